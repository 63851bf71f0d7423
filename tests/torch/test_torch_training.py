"""What coded products are worth: their size, late results, deadlines that adapt, and real workers."""

import copy
import math

import numpy as np
import pytest

import kofn
import kofn.torch
import torch
from kofn.codes.decoding import _decode as decoding
from kofn.schemes import Scheme
from kofn.torch import _mixture as mixture
from kofn.torch import _pool_driver as pooled
from kofn.torch._coder import Coder
from kofn.torch._options import CodingOptions
from kofn.torch._simulated_driver import SimulatedDriver
from kofn.torch._sparsify import sparsify
from processes import slow_but
from torch import nn

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


def factors(dtype=torch.float32):
    """Two factors like those of a layer: a gradient of low rank and inputs after a ReLU, unevenly scaled."""
    torch.manual_seed(3)
    gradient = (torch.randn(40, 4) @ torch.randn(4, 32) + 0.3 * torch.randn(40, 32)) * torch.rand(40, 1)
    inputs = torch.relu(torch.randn(32, 50) + 0.5) * torch.rand(50).exp()
    return gradient.to(dtype), inputs.to(dtype)


def coder(coding, deadline, late=None, seed=0):
    driver = SimulatedDriver(deadline, late, kofn.Exponential(2.0), coding.rows)
    return Coder("layer", coding, driver, np.random.SeedSequence(seed), feedback=late is not None)


def estimates(coding, deadline, count, late=None):
    """Captured shares ⟨Ĉ, C⟩ / ‖C‖² and squared relative errors of many estimates of one product."""
    a, b = factors()
    made = coder(coding, deadline, late)
    exact = a @ b
    found = torch.stack([made(a, b) for _ in range(count)])
    energy = exact.square().sum()
    shares = (found * exact).sum((1, 2)) / energy
    return shares.numpy(), ((found - exact).square().sum((1, 2)) / energy).numpy(), made


@pytest.mark.parametrize("deadline", slow_but([0.25, 1.0], {0.25}))
@pytest.mark.parametrize("coding", [
    CodingOptions("kronecker", 15, (3, 3), scale_load=True),
    CodingOptions("kronecker", 15, (9, 9), "cxr", "ideal", scale_load=True),
    CodingOptions("uncoded", 9, (3, 3), estimator="exact", scale_load=True),
], ids=["rxc", "cxr", "zero-fill"])  # fmt: skip
def test_rescaled_estimates_have_the_right_size(coding, deadline):
    shares, _, _ = estimates(coding, deadline, 2000)
    assert abs(shares.mean() - 1) < 0.05


def test_reported_errors_are_those_of_the_estimates():
    coding = CodingOptions("kronecker", 15, (3, 3), rescale=False, scale_load=True)
    a, b = factors()
    exact, made = a @ b, coder(coding, 0.5)
    found = [float((made(a, b) - exact).square().sum() / exact.square().sum()) for _ in range(1000)]
    loss = 1 - made.tally.share / made.tally.steps  # of least squares
    assert abs(np.mean(found) / loss - 1) < 0.1


def test_codes_at_one_deadline_stand_in_the_order_of_the_findings():
    """Least squares beats zero filling, and the energy-shaped code beats windows."""
    windows = {"classes": (1, 2, 6), "gamma": (0.45, 0.35, 0.20), "realisation": "ideal"}
    base = {"rows": 15, "blocks": (3, 3), "rescale": False, "scale_load": True}
    losses = [
        estimates(CodingOptions(code, **base, estimator=estimator, **options), 0.5, 500)[1].mean()
        for code, estimator, options in (
            ("kronecker", "lmmse", {}), ("ew-uep", "lmmse", windows), ("ew-uep", "exact", windows),
        )
    ]  # fmt: skip
    assert losses[0] < losses[1] < losses[2]


def test_late_results_bring_what_they_would_have_brought_in_time():
    """An estimate and its correction in the next step are, summed, the estimate of the longer deadline."""
    coding = CodingOptions("kronecker", 15, (3, 3), scale_load=True)
    a, b = factors(torch.float64)
    hasty, patient = coder(coding, 0.25, late=1.0), coder(coding, 1.0)
    first = [hasty(a, b) for _ in range(32)]
    waited = [patient(a, b) for _ in range(32)]
    # Sums over steps differ by the correction that is still to come.
    assert torch.allclose(sum(first) + hasty._correction(), sum(waited), rtol=1e-9)
    assert float(hasty._correction().norm()) > 0


def test_an_adaptive_deadline_reaches_the_wanted_error():
    coding = CodingOptions("kronecker", 15, (3, 3), rescale=False, scale_load=True)
    wanted = 0.5
    for start in (0.05, 20.0):
        _, losses, made = estimates(coding, kofn.torch.AdaptiveDeadline(wanted, start), 800)
        assert abs(math.sqrt(losses[300:].mean()) - wanted) < 0.1
        assert 0.05 < made.tally.seconds / made.tally.steps < 20


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"error": 1.5, "start": 1.0}, "'error' must be below 1"),
    ({"error": 0.5, "start": 1e-9}, "'start' must lie between least and most"),
])  # fmt: skip
def test_adaptive_deadlines_that_make_no_sense(arguments, sentence):
    with pytest.raises(kofn.ArgumentError, match=sentence):
        kofn.torch.AdaptiveDeadline(**arguments)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_gradient_of_rank_one_is_known_from_one_result(scale):
    """All of its energy is in one principal component, but in every block of its rows."""
    torch.manual_seed(0)
    a, b = torch.outer(torch.randn(12), torch.randn(90)) * scale, torch.randn(90, 60)
    exact, losses = a @ b, []
    for wanted in (True, False):
        made = coder(CodingOptions("kronecker", 6, (3, 1), rescale=False, principal=wanted), 0.15)
        found = [float(((made(a, b) - exact) / scale).norm() / (exact / scale).norm()) for _ in range(64)]
        losses.append(np.array(found))
    arrived = losses[0] < 1
    assert 10 < arrived.sum() < 64 and np.array_equal(arrived, losses[1] < 1)
    assert losses[0][arrived].max() < 0.1 < losses[1][arrived].mean()


@pytest.mark.parametrize(("code", "turned"), [("kronecker", True), ("now-uep", False), ("uncoded", False)])
def test_the_codes_of_the_paper_cut_rows_as_they_are(code, turned):
    assert CodingOptions(code).turns(16, 200, 200) is turned
    assert not CodingOptions(code, principal=True).turns(200, 16, 200)  # as dear as the product


def test_thresholding_is_equation_28_and_follows_its_schedule():
    assert sparsify(torch.tensor([0.5, -0.2, -0.21]), 0.2).tolist() == [0.5, 0.0, pytest.approx(-0.21)]
    calls = []

    def threshold(layer, step):
        calls.append((layer, step))
        return 0.3, 0.2

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Linear(4, 3, bias=False)).double()
    coded = kofn.torch.convert(
        copy.deepcopy(plain), workers=9, latency=kofn.Exponential(1.0), threshold=threshold, rng=0
    )
    x, g = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    coded(x).backward(g)
    hidden = plain[0](x)
    back = sparsify(g, 0.3) @ sparsify(plain[1].weight, 0.2)
    assert torch.allclose(coded[1].weight.grad, sparsify(g, 0.3).T @ sparsify(hidden, 0.2))
    assert torch.allclose(coded[0].weight.grad, sparsify(back, 0.3).T @ sparsify(x, 0.2))
    assert sorted(calls) == [(0, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize("real", [False, True], ids=["simulated", "pool"])
def test_a_copy_goes_on_like_the_original_and_apart_from_it(real):
    x = torch.linspace(-1, 1, 48, dtype=torch.float64).view(6, 8)

    def stepped(model):
        model.zero_grad()
        model(x).square().sum().backward()
        return model[0].weight.grad.clone()

    with kofn.ThreadPool(4) as pool:
        options = {"workers": pool} if real else {"workers": 4, "latency": kofn.Exponential(1.0), "late": 1.0}
        model = nn.Sequential(nn.Linear(8, 6).double())
        kofn.torch.convert(model, blocks=(2, 2), deadline=10.0 if real else 0.5, rng=0, **options)
        stepped(model)
        copied = copy.deepcopy(model)
        first = [stepped(model) for _ in range(3)]
        assert all(torch.allclose(a, stepped(copied), rtol=1e-12) for a in first)


class Replay:
    """A latency in which, product after product, the rows arrive that have arrived before."""

    def __init__(self, arrived):
        self._arrived = iter(arrived)

    def arrivals(self, work, worker, trials, rng):
        times = np.full((trials, len(work)), math.inf)
        rows = next(self._arrived)
        times[0, rows] = np.linspace(0.01, 0.02, len(rows))
        return times


@pytest.fixture(scope="module")
def straggling():
    """Four real processes, of which one is late and none has time for a second row before the deadline."""
    with kofn.Straggling(kofn.LocalPool(4), kofn.Trace([[0.1, 0.12, 9.0, 0.14]])) as pool:
        yield pool


@pytest.mark.parametrize("scheme", [
    {"code": "kronecker", "blocks": (2, 2)},
    {"code": "kronecker", "blocks": (2, 2), "principal": False},
    {"code": "uncoded", "blocks": (2, 2), "estimator": "exact"},
    {"code": "ew-uep", "blocks": (2, 2)},
    {"code": "kronecker", "blocks": (2, 2), "partition": "cxr"},
    {"code": "uncoded", "blocks": (4, 4), "partition": "cxr", "estimator": "exact"},
], ids=lambda scheme: "-".join(map(str, scheme.values())))  # fmt: skip
def test_real_workers_give_the_gradients_of_the_simulation(scheme, straggling, monkeypatch):
    """One step on four processes, and the same step simulated with the same arrivals."""
    arrived = []

    class Recorded(pooled.ProductRun):
        def received(self, seconds):
            found = super().received(seconds)
            arrived.append(list(found.rows))
            return found

    monkeypatch.setattr(pooled, "ProductRun", Recorded)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 10)).double()
    x, labels = torch.randn(8, 40, dtype=torch.float64), torch.randint(10, (8,))
    options = {**scheme, "deadline": 0.2, "rescale": False, "rng": 3}
    found = []
    for workers in ({"workers": straggling}, {"workers": 4, "latency": Replay(arrived)}):
        coded = kofn.torch.convert(copy.deepcopy(model), **workers, **options)
        nn.functional.cross_entropy(coded(x), labels).backward()
        found.append([parameter.grad for parameter in coded.parameters()])
    assert any(len(rows) < 4 for rows in arrived)
    for real, simulated in zip(*found, strict=True):
        assert torch.allclose(real, simulated, rtol=1e-9, atol=1e-12)


def test_late_results_of_real_workers_refine_the_next_gradient():
    """Two steps: the second gradient is its own and what the first had missed."""
    torch.manual_seed(0)
    plain = nn.Linear(12, 6, bias=False).double()
    x, options = torch.randn(8, 12, dtype=torch.float64), {"code": "uncoded", "blocks": (2, 2), "rescale": False}
    with kofn.Straggling(kofn.ThreadPool(4), kofn.Trace([[0.0, 0.0, 1.0, 0.0]])) as pool:
        coded = kofn.torch.convert(copy.deepcopy(plain), workers=pool, deadline=0.4, late=30.0, rng=0, **options)
        coded(x).sum().backward()
        first, coded.weight.grad = coded.weight.grad, None
        coded(x).sum().backward()
    plain(x).sum().backward()
    missed = plain.weight.grad - first
    assert float(missed.norm()) > 0 and float((first != 0).double().mean()) > 0.5
    own = coded.weight.grad - missed
    assert torch.allclose(own * (own - plain.weight.grad), torch.zeros_like(own), atol=1e-9)  # each entry: 0 or exact
    assert float(own.norm()) > 0


def test_real_workers_without_a_deadline_give_exact_gradients():
    torch.manual_seed(0)
    plain = nn.Linear(12, 5).double()
    with kofn.ThreadPool(4) as pool:
        coded = kofn.torch.convert(copy.deepcopy(plain), code="kronecker", blocks=(3, 1), workers=pool, rng=0)
        x = torch.randn(8, 12, dtype=torch.float64)
        for layer in (plain, coded):
            layer(x).square().sum().backward()
    assert torch.allclose(coded.weight.grad, plain.weight.grad, rtol=1e-10)


def test_options_are_given_together_or_by_keyword():
    def gradient(**options):
        torch.manual_seed(0)
        layer = kofn.torch.convert(nn.Linear(9, 6), latency=kofn.Exponential(1.0), deadline=0.5, rng=0, **options)
        layer(torch.ones(8, 9)).square().sum().backward()
        return layer.weight.grad

    coding = kofn.torch.CodingOptions("ew-uep", blocks=(2, 2))
    apart = gradient(code="ew-uep", blocks=(2, 2), rescale=False)
    assert torch.equal(gradient(coding=coding, rescale=False), apart)
    assert not torch.equal(gradient(coding=coding), apart)
    with pytest.raises(TypeError, match=r"'block'; see kofn\.torch\.CodingOptions"):
        kofn.torch.convert(nn.Linear(9, 6), block=(2, 2))
    with pytest.raises(kofn.ArgumentError, match=r"^kofn\.torch\.convert: 'coding' must be CodingOptions"):
        kofn.torch.convert(nn.Linear(9, 6), coding="ew-uep")


@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_product_is_decoded_once_and_assembled_once(deadline, monkeypatch):
    count = {"decode_dense": 0, "assemble": 0}

    def counted(name, function):
        def call(*arguments, **options):
            count[name] += 1
            return function(*arguments, **options)

        return call

    counting = counted("decode_dense", decoding.decode_dense)
    for module in (decoding, mixture):
        monkeypatch.setattr(module, "decode_dense", counting)
    monkeypatch.setattr(Scheme, "assemble", counted("assemble", Scheme.assemble))
    with kofn.ThreadPool(4) as pool:
        layer = kofn.torch.convert(nn.Linear(12, 5), blocks=(2, 2), workers=pool, deadline=deadline, rng=0)
        layer(torch.randn(8, 12).requires_grad_()).square().sum().backward()
    assert count == {"decode_dense": 2, "assemble": 2}  # the gradients of weights and of inputs


@pytest.mark.parametrize("partition", ["rxc", "cxr"])
def test_rows_of_one_product_are_ideal_and_real_at_once(partition):
    torch.manual_seed(0)
    plain, x = nn.Linear(12, 6).double(), torch.randn(8, 12, dtype=torch.float64)
    with kofn.ThreadPool(3) as pool:
        options = {"code": "uncoded", "realisation": "ideal", "partition": partition, "blocks": (3, 3)}
        coded = kofn.torch.convert(copy.deepcopy(plain), rows=9, workers=pool, **options)
        for layer in (plain, coded):
            layer(x).square().sum().backward()
    assert torch.allclose(coded.weight.grad, plain.weight.grad, rtol=1e-10)


def test_nothing_in_time_from_real_workers_is_zero():
    with kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(9.0)) as pool:
        coded = kofn.torch.convert(nn.Linear(4, 3), code="uncoded", blocks=(2, 1), workers=pool, deadline=0.02)
        coded(torch.ones(5, 4)).sum().backward()
    assert torch.equal(coded.weight.grad, torch.zeros(3, 4))


def test_real_workers_cannot_return_ideal_rows():
    with kofn.ThreadPool(2) as pool:
        coded = kofn.torch.convert(nn.Linear(4, 3), code="ew-uep", realisation="ideal", workers=pool)
        with pytest.raises(kofn.ArgumentError, match="'realisation' must be 'factor' or 'window' with real workers"):
            coded(torch.ones(5, 4)).sum().backward()


def test_training_is_repeatable_and_leaves_the_generators_of_the_caller_alone():
    def trained():
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 4))
        kofn.torch.convert(model, blocks=(2, 2), workers=6, latency=kofn.Exponential(1.0), deadline=0.5, rng=7)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(40):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(torch.randn(16, 20)), torch.randint(4, (16,))).backward()
            optimiser.step()
        return model[0].weight, torch.rand(1)

    first, second = trained(), trained()
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    torch.manual_seed(5)
    [torch.nn.Linear(*shape) for shape in ((20, 12), (12, 4))]
    for _ in range(40):
        torch.randn(16, 20), torch.randint(4, (16,))
    assert torch.equal(torch.rand(1), first[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).double().cuda()
    coded = kofn.torch.convert(copy.deepcopy(plain), blocks=(3, 3), workers=15, latency=kofn.Exponential(1.0), rng=0)
    x = torch.randn(8, 1, 6, 6, dtype=torch.float64, device="cuda")
    for model in (plain, coded):
        model(x).square().sum().backward()
    for expected, found in zip(plain.parameters(), coded.parameters(), strict=True):
        assert torch.allclose(found.grad, expected.grad, rtol=1e-10)
