"""Derivatives through coded layers: right where products are exact, refused where they are estimates."""

import copy
import gc
import io
import pickle
import weakref
from functools import partial

import numpy as np
import pytest
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.utils import parametrizations

import kofn
import kofn.torch
import torch
from torch import nn

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),  # by forward mode itself
    pytest.mark.filterwarnings("ignore:Complex modules are a new feature:UserWarning"),
]

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads

EXACT = {"latency": kofn.Exponential(1.0), "workers": 9, "blocks": (2, 2), "rng": 0}
DOUBLE = {"dtype": torch.float64}

LAYERS = {
    "linear": (lambda: nn.Linear(5, 4, **DOUBLE), (3, 5)),
    "linear without bias": (lambda: nn.Linear(5, 4, bias=False, **DOUBLE), (2, 2, 5)),
    "linear of a vector": (lambda: nn.Linear(5, 4, **DOUBLE), (5,)),
    "convolution": (lambda: nn.Conv2d(2, 3, 2, **DOUBLE), (2, 2, 3, 4)),
    "strides": (lambda: nn.Conv2d(2, 3, (2, 1), stride=(2, 1), padding=(1, 0), bias=False, **DOUBLE), (2, 2, 4, 3)),
    "dilation": (lambda: nn.Conv2d(1, 2, 2, dilation=2, **DOUBLE), (1, 4, 4)),
    "circular": (lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular", **DOUBLE), (1, 2, 3, 3)),
    "reflect": (lambda: nn.Conv2d(1, 2, 3, padding="same", padding_mode="reflect", **DOUBLE), (1, 1, 3, 4)),
    # Left exact:
    "groups": (lambda: nn.Conv2d(2, 4, 2, groups=2, **DOUBLE), (1, 2, 3, 3)),
    "one dimension": (lambda: nn.Conv1d(2, 3, 2, **DOUBLE), (2, 2, 4)),
    "three dimensions": (lambda: nn.Conv3d(1, 2, 2, **DOUBLE), (1, 1, 3, 3, 2)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 1, 2, stride=2, **DOUBLE), (1, 2, 2, 2)),
    "complex": (lambda: nn.Linear(3, 2, dtype=torch.complex128), (2, 3)),
}
CODES = {
    "kronecker": {},
    "uncoded": {"code": "uncoded"},
    "expanding windows": {"code": "ew-uep"},
    "column × row": {"code": "kronecker", "partition": "cxr", "blocks": (2, 2)},
}


def pair(name, **options):
    """A plain layer, the same one coded, and an input."""
    torch.manual_seed(0)
    made, shape = LAYERS[name]
    plain = made()
    coded = kofn.torch.convert(nn.Sequential(copy.deepcopy(plain)), **{**EXACT, **options})
    return plain, coded, torch.randn(shape, dtype=next(plain.parameters()).dtype)


def as_function(model):
    names = [name for name, _ in model.named_parameters()]
    return lambda x, *values: functional_call(model, dict(zip(names, values, strict=True)), (x,))


@pytest.mark.filterwarnings("ignore::kofn.torch.LeftExact")
@pytest.mark.parametrize(
    ("layer", "code"), [(layer, "kronecker") for layer in LAYERS] + [("linear", c) for c in CODES if c != "kronecker"]
)
def test_first_and_second_derivatives_in_both_modes(layer, code):
    _, coded, x = pair(layer, **CODES[code])
    arguments = (x.requires_grad_(), *coded.parameters())
    # Every evaluation draws another code, so that two of them agree up to rounding only.
    check = {"nondet_tol": 1e-10, "fast_mode": True}
    assert torch.autograd.gradcheck(as_function(coded), arguments, check_forward_ad=True, **check)
    assert torch.autograd.gradgradcheck(as_function(coded), arguments, check_fwd_over_rev=True, **check)


@pytest.mark.parametrize("order", [2, 3])
def test_a_penalty_on_gradients_is_that_of_the_plain_model(order):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    coded = kofn.torch.convert(copy.deepcopy(plain), **EXACT)
    x = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    found = []
    for model in (plain, coded):
        value = model(x).sum()
        for _ in range(order - 1):
            value = torch.autograd.grad(value, x, create_graph=True)[0].square().sum()
        found.append(torch.autograd.grad(value, list(model.parameters())[:3]))  # of the last bias it is none
    assert all(float(a.norm()) > 1e-3 for a in found[0])
    assert all(torch.allclose(a, b, rtol=1e-8, atol=1e-12) for a, b in zip(*found, strict=True))


TRANSFORMS = {
    "grad": lambda f, p, x: grad(f)(p, x),
    "per sample": lambda f, p, x: vmap(grad(f), (None, 0))(p, x),
    "vjp": lambda f, p, x: vjp(f, p, x)[1](torch.ones((), **DOUBLE)),
    "jvp": lambda f, p, x: jvp(lambda x: f(p, x), (x,), (torch.ones_like(x),)),
    "jacrev": lambda f, p, x: jacrev(f)(p, x),
    "jacfwd": lambda f, p, x: jacfwd(f)(p, x),
    "hessian": lambda f, p, x: hessian(f)(p, x),
    "jacrev twice": lambda f, p, x: jacrev(jacrev(f))(p, x),
    "forward twice": lambda f, p, x: jacfwd(jacfwd(f, 1), 1)(p, x),
    "ensemble": lambda f, p, x: vmap(grad(f), (0, None))({name: torch.stack([v, 2 * v]) for name, v in p.items()}, x),
}


@pytest.mark.parametrize("layer", ["linear", "strides"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_function_transforms(transform, layer):
    plain, coded, x = pair(layer)
    found = [
        TRANSFORMS[transform](
            lambda p, x, model=model: functional_call(model, p, (x,)).sin().sum(),
            {name: value.detach() for name, value in model.named_parameters()},
            x,
        )
        for model in (nn.Sequential(plain), coded)
    ]
    leaves = [torch.utils._pytree.tree_leaves(one) for one in found]
    assert len(leaves[0]) > 0
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in zip(*leaves, strict=True))


@pytest.mark.parametrize("options", [{"deadline": 0.5}, {"threshold": kofn.torch.Threshold()}], ids=["deadline", "tau"])
@pytest.mark.parametrize("layer", ["linear", "strides"])
def test_estimates_refuse_derivatives_of_their_own(layer, options):
    plain, coded, x = pair(layer, **options)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(coded(x).square().sum(), x, create_graph=True)
    for kind in (kofn.errors.NotDifferentiable, RuntimeError, kofn.KofnError):
        with pytest.raises(kind, match=r"second derivatives through layer '0' need exact products"):
            slope.sum().backward(retain_graph=True)
    tangent = jvp(coded, (x,), (torch.ones_like(x),))[1]  # the forward pass is exact
    assert torch.allclose(tangent, jvp(plain, (x,), (torch.ones_like(x),))[1])


def test_what_hides_the_numbers_is_refused():
    _, coded, x = pair("linear")
    with pytest.raises(RuntimeError, match=r"layer '0' cannot be computed in batches by 'is_grads_batched'"):
        torch.autograd.grad(
            coded(x), coded[0].weight, torch.eye(12, dtype=torch.float64).view(12, 3, 4), is_grads_batched=True
        )


def test_workers_that_never_answer_make_nothing_exact():
    class Dead:
        def arrivals(self, work, worker, trials, rng):
            return np.where(np.arange(len(work)) < 3, 1.0, np.inf)[None].repeat(trials, 0)

    layer = kofn.torch.convert(nn.Linear(4, 3), latency=Dead(), workers=6, blocks=(2, 2), rng=0)
    with pytest.raises(kofn.NotDecodable, match="waits until it is exact"):
        layer(torch.ones(5, 4)).sum().backward()


def test_only_what_backward_needs_is_kept():
    """As in PyTorch: a frozen weight's inputs are free to go, and a weight that is not needed may change."""
    plain, coded, x = pair("linear")
    found = []
    for layer in (plain, coded[0]):
        layer.weight.requires_grad_(False)
        inputs = (x.clone().requires_grad_() * 1.0).relu()
        gone = weakref.ref(inputs)
        out = layer(inputs)
        del inputs
        gc.collect()
        found.append(gone() is None)
        del out
        layer.weight.requires_grad_(True)
        out = layer(x)
        with torch.no_grad():
            layer.weight.mul_(2.0)
        out.sum().backward()  # of x nothing is asked
        out = layer(x.clone().requires_grad_())
        with torch.no_grad():
            layer.weight.mul_(2.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()
    assert found[0] == found[1]
    assert torch.allclose(plain.weight.grad, coded[0].weight.grad)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal"])
@pytest.mark.parametrize("before", [True, False])
def test_parametrised_layers(kind, before):
    plain, _, x = pair("linear")
    parametrised = getattr(parametrizations, kind)
    coded = nn.Sequential(copy.deepcopy(plain))
    for layer in (plain, *([coded[0]] if before else [])):
        torch.manual_seed(1)
        parametrised(layer)
    if before:
        with pytest.warns(kofn.torch.LeftExact, match="ParametrizedLinear"):
            kofn.torch.convert(coded, **EXACT)
    else:
        kofn.torch.convert(coded, **EXACT)
        torch.manual_seed(1)
        parametrised(coded[0])
        with pytest.raises(kofn.ArgumentError, match="no coded layers yet"):
            kofn.torch.convert(coded, **EXACT)
    for layer in (plain, coded):
        layer(x).square().sum().backward()
    pairs = zip(plain.parameters(), coded.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-9, atol=1e-12) for a, b in pairs)


def test_tied_weights_frozen_ones_and_hooks():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.hidden, self.out = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 7, bias=False)
            self.out.weight = self.words.weight

        def forward(self, x):
            return self.out(self.hidden(self.words(x)).tanh())

    torch.manual_seed(0)
    plain = Tied().double()
    coded = copy.deepcopy(plain)
    with pytest.warns(kofn.torch.LeftExact, match="'words'"):
        kofn.torch.convert(coded, **EXACT)
    assert coded.out.weight is coded.words.weight
    found = []
    for model in (plain, coded):
        seen = []
        model.hidden.bias.requires_grad_(False)
        model.words.weight.register_hook(lambda g, seen=seen: seen.append(g.clone()))
        model.hidden.weight.register_post_accumulate_grad_hook(lambda p, seen=seen: seen.append(p.grad.clone()))
        model.hidden.register_full_backward_hook(lambda _, of_in, of_out, seen=seen: seen.extend((*of_in, *of_out)))
        for _ in range(2):
            model(torch.tensor([[1, 2, 3], [3, 6, 0]])).square().mean().backward()
        assert model.hidden.bias.grad is None
        found.append([*sorted(seen, key=lambda g: (g.shape, float(g.norm()))), model.words.weight.grad])
    assert len(found[0]) == 9
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_backward_within_autocast_computes_products_in_single_precision(dtype):
    """Where backward is called within autocast, as many do by mistake, blocks must not be rounded to half precision."""
    torch.manual_seed(0)
    plain = nn.Linear(64, 8)
    coded = kofn.torch.convert(copy.deepcopy(plain), **EXACT)
    x, g = torch.randn(16, 64), torch.randn(16, 8).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        out = coded(x)
        assert out.dtype == dtype
        out.backward(g)
    right = g.double().T @ x.double()
    unit = torch.finfo(dtype).eps  # the gradient itself comes in half precision, and the estimate leaves in it
    assert coded.weight.grad.dtype == torch.float32
    assert float((coded.weight.grad - right).norm() / right.norm()) < unit


def test_a_layer_made_complex_afterwards_is_computed_here():
    plain, coded, x = pair("linear")
    plain, coded, x = plain.to(torch.complex128), coded.to(torch.complex128), torch.complex(x, x.flip(0))
    for layer in (plain, coded):
        layer(x).abs().square().sum().backward()
    assert torch.allclose(plain.weight.grad, coded[0].weight.grad) and coded[0].weight.grad.imag.norm() > 0.1
    assert torch.autograd.gradcheck(as_function(coded), (x, *coded.parameters()))


def test_defaults_are_local_processes_and_exact():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    coded = kofn.torch.convert(copy.deepcopy(plain))
    x = torch.randn(4, 8, dtype=torch.float64)
    for model in (plain, coded):
        model(x).square().sum().backward()
    pairs = zip(plain.parameters(), coded.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-10) for a, b in pairs)


SAVERS = [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [*SAVERS, saved], ids=["copy", "deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize("options", [{"late": 1.0}, {"code": "ew-uep"}], ids=["late", "windows"])
def test_a_simulated_model_is_saved_with_all_that_it_knows(again, options):
    torch.manual_seed(0)
    x = torch.randn(6, 8)
    model = nn.Sequential(nn.Linear(8, 6))
    kofn.torch.convert(model, **{**EXACT, "deadline": 0.5, **options})
    model(x).square().sum().backward()
    other = again(model)
    if again is not copy.copy:  # which shares its layers
        model.zero_grad(), other.zero_grad()
        for one in (model, other):
            one(x).square().sum().backward()
    assert type(other[0]) is kofn.torch.CodedLinear
    assert torch.equal(model[0].weight.grad, other[0].weight.grad)


@pytest.mark.parametrize("again", [pickle.dumps, partial(torch.save, f=io.BytesIO())], ids=["pickle", "torch.save"])
def test_a_model_with_a_pool_cannot_be_saved_whole_and_says_what_can(again):
    with kofn.ThreadPool(2) as pool:
        model = kofn.torch.convert(nn.Sequential(nn.Linear(4, 3)), workers=pool)
        for kind in (kofn.KofnError, TypeError):
            with pytest.raises(kind, match=r"cannot be pickled or saved whole.*save model\.state_dict\(\)"):
                again(model)
        fresh = nn.Sequential(nn.Linear(4, 3))
        fresh.load_state_dict(model.state_dict())
        assert torch.equal(kofn.torch.convert(fresh, workers=pool)[0].weight, model[0].weight)
        assert copy.deepcopy(model)[0].products.inputs.driver.workers.pool is pool
