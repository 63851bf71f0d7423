"""Coded layers against PyTorch's own gradients, and what they say to bad input."""

import copy
import itertools
import subprocess
import sys

import numpy as np
import pytest

import kofn
import kofn.torch
import torch
from kofn.errors import ArgumentError
from processes import crossed
from torch import nn

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads

SIMULATED = {"latency": kofn.Exponential(1.0), "workers": 18, "rng": 0}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
SCHEMES = [
    {"code": "uncoded"},
    {"code": "repetition"},
    {"code": "now-uep"},
    {"code": "ew-uep"},
    {"code": "ew-uep", "realisation": "ideal", "classes": (1, 2, 6), "gamma": (0.45, 0.35, 0.20)},
    {"code": "kronecker"},
    {"code": "uncoded", "partition": "cxr", "blocks": (9, 9)},
    {"code": "now-uep", "partition": "cxr", "blocks": (9, 9), "realisation": "ideal"},
    {"code": "ew-uep", "partition": "cxr", "blocks": (9, 9), "realisation": "window"},
    {"code": "kronecker", "partition": "cxr", "blocks": (9, 9), "realisation": "ideal"},
    {"code": "kronecker", "partition": "cxr", "blocks": (3, 3)},
]


def networks(dtype=torch.float32):
    """A network with both kinds of layers, and a batch."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(320, 30), nn.ReLU(), nn.Linear(30, 10)
    ).to(dtype)
    return model, torch.randn(20, 2, 8, 8, dtype=dtype), torch.randint(10, (20,))


def gradients(model, x, labels):
    model.zero_grad()
    nn.functional.cross_entropy(model(x), labels).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def worst(coded, plain):
    return max(float((a - b).norm() / b.norm()) for a, b in zip(coded, plain, strict=True))


@pytest.mark.parametrize(("estimator", "dtype"), crossed(["lmmse", "exact"], [torch.float32, torch.float64]))
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: "-".join(map(str, scheme.values())))
def test_with_everything_received_gradients_are_those_of_autograd(scheme, dtype, estimator):
    model, x, labels = networks(dtype)
    expected = gradients(model, x, labels)
    coded = kofn.torch.convert(model, **{"blocks": (3, 3), **SIMULATED, **scheme}, estimator=estimator)
    assert worst(gradients(coded, x, labels), expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("layer", [nn.Linear(6, 5), nn.Conv2d(2, 3, 3, stride=2, padding=1)], ids=["linear", "conv"])
def test_gradcheck(layer):
    coded = kofn.torch.convert(layer.double(), blocks=(2, 2), **SIMULATED)
    x = torch.randn((4, 6) if isinstance(layer, nn.Linear) else (2, 2, 5, 5), dtype=torch.float64, requires_grad=True)

    def function(x, weight, bias):
        return torch.func.functional_call(coded, {"weight": weight, "bias": bias}, (x,))

    # Every evaluation draws another code, so that two of them agree up to rounding only.
    assert torch.autograd.gradcheck(function, (x, coded.weight, coded.bias), nondet_tol=1e-12)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "mode"),
    [
        *itertools.product([1, (2, 1)], [0, (2, 1)], [1, 2], ["zeros"]),
        (1, "same", 2, "zeros"),
        (1, "valid", 1, "zeros"),
        (2, 1, 1, "circular"),
        (1, (1, 2), 1, "reflect"),
        (1, "same", 1, "replicate"),
    ],
)
def test_convolutions_of_any_geometry(stride, padding, dilation, mode):
    torch.manual_seed(0)
    kind = {"stride": stride, "padding": padding, "dilation": dilation, "padding_mode": mode, "dtype": torch.float64}
    plain = nn.Conv2d(3, 4, (3, 2), **kind)
    coded = kofn.torch.convert(copy.deepcopy(plain), blocks=(3, 2), **SIMULATED)
    for shape in ((2, 3, 9, 8), (3, 9, 8)):
        x, y = (torch.ones(shape, dtype=torch.float64).cumsum(-1).sin().requires_grad_() for _ in range(2))
        for layer, value in ((plain, x), (coded, y)):
            layer.zero_grad()
            layer(value).square().sum().backward()
        assert torch.allclose(plain(x), coded(y), rtol=0, atol=1e-12)
        pairs = zip([x, *plain.parameters()], [y, *coded.parameters()], strict=True)
        assert all(torch.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-10) for a, b in pairs)


def test_parameters_state_and_hooks_are_kept():
    model, x, _ = networks()
    seen = []
    model[3].register_forward_hook(lambda *_: seen.append(1))
    before, state = list(model.parameters()), copy.deepcopy(model.state_dict())
    expected = model(x)
    coded = kofn.torch.convert(model, **SIMULATED)
    assert coded is model and type(model[3]) is kofn.torch.CodedLinear and isinstance(model[3], nn.Linear)
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(coded(x), expected) and len(seen) == 2
    networks()[0].load_state_dict(coded.state_dict())
    coded.load_state_dict(state)
    assert type(copy.deepcopy(coded)[3]) is kofn.torch.CodedLinear
    alone = kofn.torch.convert(nn.Linear(3, 2), **SIMULATED)
    assert type(alone) is kofn.torch.CodedLinear


def test_layers_that_cannot_be_coded_are_named_and_exact():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    model.append(nn.ConvTranspose1d(1, 1, 2))
    with pytest.warns(kofn.torch.LeftExact, match=r"'0' \(a convolution of 2 groups\), '4' \(a ConvTranspose1d\)"):
        kofn.torch.convert(model, **SIMULATED)
    assert [type(layer) for layer in model][::3] == [nn.Conv2d, kofn.torch.CodedLinear]


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.Linear(6, 3, dtype=torch.complex128), "a Linear of complex numbers"),
        (nn.LazyLinear(3, dtype=torch.complex128), "a LazyLinear"),
    ],
    ids=["complex", "lazy"],
)
def test_layers_whose_numbers_cannot_be_coded_are_named_and_exact(layer, told):
    model = nn.Sequential(layer, nn.Linear(3, 2))
    with pytest.warns(kofn.torch.LeftExact, match=rf"'0' \({told}\)"):
        kofn.torch.convert(model, **SIMULATED)
    x = torch.randn(4, 6, dtype=torch.complex128)
    model[0](x).abs().sum().backward()
    expected = torch.autograd.grad(nn.functional.linear(x, model[0].weight, model[0].bias).abs().sum(), model[0].weight)
    assert torch.equal(model[0].weight.grad, *expected) and type(model[1]) is kofn.torch.CodedLinear


def test_only_some_layers():
    model = kofn.torch.convert(networks()[0], layers=["3"], **SIMULATED)
    assert [type(model[i]) for i in (0, 3, 5)] == [nn.Conv2d, kofn.torch.CodedLinear, nn.Linear]


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_batch_smaller_than_the_groups(samples):
    model, x, labels = networks(torch.float64)
    few = x[:samples].requires_grad_(), torch.zeros_like(labels[:samples])
    plain = copy.deepcopy(model)
    coded = kofn.torch.convert(model, blocks=(3, 3), **SIMULATED)
    for network in (plain, coded):
        network.zero_grad()
        nn.functional.cross_entropy(network(few[0]), few[1], reduction="sum").backward()
    pairs = zip(plain.parameters(), coded.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-12) for a, b in pairs)


@pytest.mark.parametrize("shape", [(6,), (2, 5, 6), (2, 3, 4, 6)])
def test_inputs_of_any_number_of_dimensions(shape):
    plain = nn.Linear(6, 3, dtype=torch.float64)
    coded = kofn.torch.convert(copy.deepcopy(plain), blocks=(2, 2), **SIMULATED)
    x, y = (torch.linspace(0, 1, int(np.prod(shape)), dtype=torch.float64).view(shape).requires_grad_() for _ in "xy")
    plain(x).square().sum().backward()
    coded(y).square().sum().backward()
    assert torch.allclose(x.grad, y.grad) and torch.allclose(plain.weight.grad, coded.weight.grad)


def test_a_factor_of_zeros_gives_zeros():
    model = kofn.torch.convert(nn.Linear(6, 3), blocks=(2, 2), deadline=1.0, **SIMULATED)
    (model(torch.ones(4, 6)) * 0).sum().backward()
    assert torch.equal(model.weight.grad, torch.zeros(3, 6))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_stop_with_the_layer_named(bad):
    model = kofn.torch.convert(nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 1)), **SIMULATED)
    with pytest.raises(kofn.ArgumentError, match=r"layer '2'.*finite numbers in step 1.*NaN or inf in the gradient"):
        (model(torch.ones(4, 6)) * bad).sum().backward()


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_numbers_whose_squares_leave_the_range_of_the_type(scale):
    plain = nn.Linear(6, 3, bias=False)
    coded = kofn.torch.convert(copy.deepcopy(plain), blocks=(2, 2), **SIMULATED)
    x = torch.arange(24.0).view(4, 6)
    for layer in (plain, coded):
        layer(x).backward(scale * torch.arange(12.0).view(4, 3))
    assert torch.allclose(coded.weight.grad, plain.weight.grad, rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_mixed_precision(dtype):
    model, x, labels = networks()
    coded = kofn.torch.convert(copy.deepcopy(model), **SIMULATED)
    found = []
    for network in (model, coded):
        network.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        found.append([parameter.grad for parameter in network.parameters()])
    assert all(gradient.dtype == torch.float32 for gradient in found[1])
    assert worst(found[1], found[0]) < 0.05  # half precision itself errs by some percent here


def test_infinite_gradients_of_half_precision_are_left_to_loss_scaling():
    layer = kofn.torch.convert(nn.Linear(4, 2, dtype=torch.float16), **SIMULATED)
    layer(torch.ones(3, 4, dtype=torch.float16)).backward(torch.full((3, 2), float("inf"), dtype=torch.float16))
    assert not torch.isfinite(layer.weight.grad).any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"code": "mds"}, "'code' must be one of"),
        ({"blocks": 3}, "'blocks' must be a pair"),
        ({"blocks": (3, 2), "partition": "cxr"}, r"\(M, M\) for column × row"),
        ({"latency": 1.0}, "'latency' must be a latency model"),
        ({"latency": None, "workers": 0.5}, "'workers' must be a number, a pool"),
        ({"workers": 0}, "'workers' must be an int of at least 1"),
        ({"deadline": -1.0}, "'deadline' must be a finite number > 0"),
        ({"late": 1.0}, "'late' must be longer than the deadline"),
        ({"late": 1.0, "deadline": 2.0}, "'late' must be longer than the deadline"),
        ({"realisation": "window"}, "'realisation' must be 'factor' or 'ideal' for this code"),
        ({"estimator": "peeling"}, "'estimator' must be one of"),
        ({"layers": ["1"]}, "'layers' must be one of '0', '3', '5'"),
        ({"rng": "seed"}, "'rng' must be None, an int"),
        ({"gamma": (0.5, 0.2), "code": "ew-uep"}, "'gamma' must hold numbers >= 0 that sum to 1"),
        ({"classes": (1, 2), "code": "ew-uep"}, "'classes' must have one size for each of the 3 numbers in 'gamma'"),
        ({"classes": 3, "code": "ew-uep"}, "'classes' must have one size for each"),
        ({"classes": (1, 0, 8), "code": "ew-uep"}, "'classes' must be an int of at least 1, but got 0"),
        ({"gamma": "abc"}, "'gamma' must hold numbers >= 0 that sum to 1"),
        ({"gamma": 3}, "'gamma' must hold numbers >= 0 that sum to 1"),
        ({"threshold": 0.1}, "'threshold' must be callable, but got 0.1; use kofn.torch.Threshold"),
        ({"layers": "0"}, "'layers' must be a sequence of names"),
        ({"layers": 3}, "'layers' must be a sequence of names"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(kofn.ArgumentError, match=sentence):
        kofn.torch.convert(networks()[0], **{**SIMULATED, **arguments})


def test_too_few_rows_to_become_exact_are_refused_in_a_sentence():
    model, x, labels = networks()
    coded = kofn.torch.convert(model, blocks=(3, 3), **{**SIMULATED, "workers": 5})
    with pytest.raises(kofn.NotDecodable, match=r"5 rows for blocks \(3, 3\) is not exact even if every row arrives"):
        gradients(coded, x, labels)


def test_without_torch_one_sentence_names_the_extra():
    code = "import sys; sys.modules['torch'] = None; import kofn; kofn.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip().splitlines()[-1] == (
        "kofn.errors.MissingPackage: kofn.torch needs PyTorch; install it with pip install 'kofn[torch]'."
    )


def test_a_layer_that_is_used_twice_is_coded_in_both_places():
    shared = nn.Linear(6, 6)
    model = kofn.torch.convert(
        nn.Sequential(shared, nn.ReLU(), shared), workers=6, latency=kofn.Exponential(1.0), rng=0
    )
    assert [type(layer).__name__ for layer in model] == ["CodedLinear", "ReLU", "CodedLinear"]
    assert model[0] is model[2]
    with pytest.raises(ArgumentError, match=r"'model' must have no coded layers yet, but got '0' coded before"):
        kofn.torch.convert(model, workers=6, latency=kofn.Exponential(1.0), rng=0)


@pytest.mark.parametrize("code", ["kronecker", "uncoded"])
def test_usual_blocks_of_the_inner_dimension_can_be_decoded(code):
    layer = nn.Linear(16, 12)
    model = kofn.torch.convert(
        nn.Sequential(layer), code=code, workers=15, latency=kofn.Exponential(2.0), partition="cxr", rng=0
    )
    x = torch.randn(8, 16)
    model(x).pow(2).sum().backward()
    expected = torch.autograd.grad(nn.functional.linear(x, layer.weight, layer.bias).pow(2).sum(), layer.weight)[0]
    assert torch.allclose(model[0].weight.grad, expected, rtol=1e-3, atol=1e-3)


def test_wide_layers_are_those_whose_encoding_takes_less_than_the_product():
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 32, 3, groups=2),
        nn.Linear(512, 256), nn.Linear(256, 10),
    )  # fmt: skip
    # 15 (27 + 32) > 27 · 32, 15 (288 + 32) < 288 · 32, 15 (512 + 256) < 512 · 256, 15 (256 + 10) > 256 · 10
    assert kofn.torch.wide_layers(model, rows=15) == ["1", "3"]
    assert kofn.torch.wide_layers(model, rows=9) == ["0", "1", "3", "4"]
    assert kofn.torch.wide_layers(nn.Linear(31, 31)) == [""] and kofn.torch.wide_layers(nn.Linear(30, 30)) == []
    with pytest.raises(ArgumentError, match=r"kofn\.torch\.wide_layers: 'rows' must"):
        kofn.torch.wide_layers(model, rows=0)
    with pytest.raises(ArgumentError, match=r"'model' must be a torch\.nn\.Module"):
        kofn.torch.wide_layers("model")
