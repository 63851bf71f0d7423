"""Coded sums of gradients against PyTorch's own gradient."""

import copy
from functools import partial

import numpy as np
import pytest

import kofn
import kofn.torch
import torch
from kofn.simulation import VirtualPool
from torch import nn

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


def setting():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, labels = torch.randn(50, 10, dtype=torch.float64), torch.randint(3, (50,))
    cuts = [7, 9, 8, 6, 10, 10]  # shards need not be equal
    return model, x, labels, list(zip(x.split(cuts), labels.split(cuts), strict=True))


def plain(model, x, labels):
    loss = nn.functional.cross_entropy(model(x), labels)
    return float(loss.detach()), torch.autograd.grad(loss, list(model.parameters()))


def assert_equal(model, expected):
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "code",
    ["uncoded", "gradient", "rep", "cyclic", partial(kofn.schemes.gradient, stragglers=2)],
    ids=["uncoded", "gradient", "rep", "cyclic", "gradient-2"],
)
def test_gradients_of_all_data_are_those_of_autograd(code):
    model, x, labels, shards = setting()
    loss, expected = plain(model, x, labels)
    with (
        kofn.ThreadPool(6) as pool,
        kofn.torch.DataParallel(model, nn.functional.cross_entropy, shards, workers=pool, code=code, rng=0) as parallel,
    ):
        step = parallel.backward()
        assert step.exact and step.error == 0 and abs(step.loss - loss) < 1e-12
        assert_equal(model, expected)
        parallel.backward()  # like loss.backward(), it adds
        assert_equal(model, [2 * gradient for gradient in expected])


def test_a_gradient_code_does_not_wait_for_a_straggling_process():
    model, x, labels, shards = setting()
    _, expected = plain(model, x, labels)
    late = kofn.Slowdown(kofn.Constant(0.001), {2: 1e5})
    with (
        kofn.Straggling(kofn.LocalPool(3), late) as pool,
        kofn.torch.DataParallel(
            model, nn.functional.cross_entropy, shards, workers=pool, code="gradient", rng=0
        ) as parallel,
    ):
        step = parallel.backward()
    assert step.exact
    assert_equal(model, expected)
    assert all(attempt.worker != 2 for attempt in step.report.attempts if attempt.outcome == "arrived")


def test_past_a_deadline_the_gradient_is_estimated_with_an_error_bar():
    model, x, labels, shards = setting()
    late = kofn.Slowdown(kofn.Constant(0.001), {5: 1e5})
    with (
        kofn.Straggling(kofn.ThreadPool(6), late) as pool,
        kofn.torch.DataParallel(
            model, nn.functional.cross_entropy, shards, workers=pool, code="uncoded", rng=0
        ) as parallel,
    ):
        step = parallel.backward(deadline=0.5)
    assert not step.exact and 0 < step.error < 1
    # Of the missing shard the mean of the five others is expected.
    _, others = plain(model, x[:-10], labels[:-10])
    for parameter, gradient in zip(model.parameters(), others, strict=True):
        assert torch.allclose(parameter.grad, gradient * 40 / 50 * 6 / 5, rtol=1e-5, atol=1e-8)


def test_mini_batches_are_drawn_anew_but_equally_by_whoever_computes_them():
    model, _, _, shards = setting()
    with kofn.ThreadPool(6) as pool:
        found = []
        for code in ("uncoded", "rep"):
            network = copy.deepcopy(model)
            with kofn.torch.DataParallel(
                network, nn.functional.cross_entropy, shards, workers=pool, code=code, batch=4, rng=5
            ) as parallel:
                losses = [parallel.backward().loss for _ in range(3)]
            found.append((losses, [parameter.grad for parameter in network.parameters()]))
    assert len(set(found[0][0])) == 3
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    assert all(torch.allclose(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shards": []}, "'shards' must be pairs"),
        ({"shards": [(torch.ones(3, 10), torch.ones(2))]}, "'shards' must be pairs"),
        ({"shards": [torch.ones(3, 10)]}, "'shards' must be pairs"),
        ({"shards": None}, "'shards' must be pairs"),
        ({"model": 3}, "'model' must be a torch.nn.Module"),
        ({"loss": 3}, "'loss' must be callable"),
        ({"batch": 0}, "'batch' must be an int of at least 1"),
        ({"code": "none"}, "'code' must be one of"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, sentence):
    model, _, _, shards = setting()
    asked = {"model": model, "loss": nn.functional.cross_entropy, "shards": shards, "workers": 2, **arguments}
    with pytest.raises(kofn.ArgumentError, match=sentence):
        kofn.torch.DataParallel(**asked)


def test_a_gradient_that_is_not_finite_names_the_shard():
    model, _, _, shards = setting()
    shards[3][0][0, 0] = float("nan")
    with (
        kofn.ThreadPool(3) as pool,
        kofn.torch.DataParallel(model, nn.functional.cross_entropy, shards, workers=pool, code="uncoded") as parallel,
        pytest.raises(kofn.TermError) as caught,
    ):
        parallel.backward()
    assert caught.value.term == 3


def test_copies_of_a_shard_draw_the_same_dropout():
    """Any three of four workers give one gradient: with masks of their own, copies would contradict each other."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    shards = [(torch.randn(5, 6), torch.randint(3, (5,))) for _ in range(4)]
    found = []
    for late in (0, 1, 2):
        model.zero_grad()
        slow = kofn.Slowdown(kofn.Constant(0.01), {late: 50.0})
        with (
            kofn.Straggling(kofn.ThreadPool(4), slow) as pool,
            kofn.torch.DataParallel(model, nn.functional.cross_entropy, shards, workers=pool, rng=3) as parallel,
        ):
            assert parallel.backward().exact
        found.append(torch.cat([value.grad.reshape(-1) for value in model.parameters()]))
    assert torch.allclose(found[0], found[1], atol=1e-5) and torch.allclose(found[0], found[2], atol=1e-5)
    assert found[0].abs().max() > 0.01


def test_batches_of_unequal_shards_are_unbiased():
    x = torch.cat([torch.zeros(90, 1), torch.ones(10, 1)])
    model = nn.Linear(1, 1, bias=False)
    shards = [(x[:90], 5 * x[:90]), (x[90:], 5 * x[90:])]
    with (
        kofn.ThreadPool(2) as pool,
        kofn.torch.DataParallel(
            model, nn.functional.mse_loss, shards, workers=pool, code="uncoded", batch=5, rng=0
        ) as parallel,
    ):
        parallel.backward()
    expected = torch.mean(2 * x * (model(x) - 5 * x))
    assert torch.isclose(model.weight.grad, expected, rtol=1e-5).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_trains_at_half_precision(dtype):
    model, x, labels, _ = setting()
    half, x = copy.deepcopy(model).to(dtype), x.to(dtype)
    shards = list(zip(x.chunk(6), labels.chunk(6), strict=True))
    with kofn.ThreadPool(6) as pool:
        kofn.torch.DataParallel(half, nn.functional.cross_entropy, shards, workers=pool, rng=0).backward()
    _, wanted = plain(half, x, labels)
    for parameter, gradient in zip(half.parameters(), wanted, strict=True):
        assert parameter.grad.dtype == dtype and torch.allclose(parameter.grad, gradient, rtol=0.05, atol=0.01)


@pytest.mark.parametrize("training", [True, False])
def test_modules_train_where_they_do_in_the_model_as_it_is_now(training):
    """Frozen statistics are the usual way to fine-tune: one module is told another mode than the model."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    _, x, labels, shards = setting()
    model[1].running_mean.uniform_(-1, 1)
    with (
        kofn.ThreadPool(6) as pool,
        kofn.torch.DataParallel(model, nn.functional.cross_entropy, shards, workers=pool, rng=0) as parallel,
    ):
        model.train(training)
        for module in (model[1], model[2]):
            module.eval()
        _, expected = plain(model, x, labels)
        parallel.backward()
    assert_equal(model, expected)


@pytest.mark.parametrize("weight", [1.0, 1e-8])
def test_the_error_of_an_estimate_is_that_of_the_gradient_and_not_of_the_loss_beside_it(weight):
    torch.manual_seed(0)
    x, noise = torch.randn(600, 4, dtype=torch.float64), 5 * torch.randn(600, 1, dtype=torch.float64)
    labels = x.sum(1, keepdim=True) + noise
    model = nn.Linear(4, 1, bias=False).double()
    best = torch.linalg.lstsq(x, labels).solution.T

    def loss(outputs, labels):
        return weight * nn.functional.mse_loss(outputs, labels)

    shards = list(zip(x.split(60), labels.split(60), strict=True))
    pool = VirtualPool([[1.0 + worker] for worker in range(10)])
    errors = promised = 0.0
    with kofn.torch.DataParallel(model, loss, shards, workers=pool, code="uncoded", rng=0) as parallel:
        for _ in range(8):
            with torch.no_grad():  # near the optimum, where losses of shards are alike and gradients are not
                model.weight.copy_(best + torch.randn(1, 4) / 3)
            [truth] = torch.autograd.grad(loss(model(x), labels), [model.weight])
            model.zero_grad()
            step = parallel.backward(deadline=7.5)
            assert not step.exact
            errors += float((model.weight.grad - truth).norm() / truth.norm())
            promised += step.error
    assert promised / 2 < errors < 2 * promised


class Configured(nn.Module):
    """Its outputs depend on what can be changed in place without another object being there."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 1)
        self.settings, self.scales, self.numbers = {"scale": 1.0}, [1.0, {"all": [1.0]}], np.ones(2)
        self.register_buffer("nothing", torch.full((2,), float("nan")))

    def forward(self, x):
        return self.line(x) * self.settings["scale"] * self.scales[1]["all"][0] * float(self.numbers[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.settings.update(scale=3.0),
        lambda model: model.scales[1]["all"].__setitem__(0, 3.0),
        lambda model: model.numbers.__setitem__(1, 3.0),
    ],
    ids=["dict", "list", "array"],
)
def test_what_is_changed_in_place_counts_from_then_on(change):
    """Workers went on with what it was when the object was made, and the gradient was called exact."""
    torch.manual_seed(1)
    model, x = Configured().double(), torch.randn(8, 3, dtype=torch.float64)
    labels, loss = torch.randn(8, 1, dtype=torch.float64), nn.functional.mse_loss
    shards = list(zip(x.chunk(4), labels.chunk(4), strict=True))
    with kofn.ThreadPool(4) as pool, kofn.torch.DataParallel(model, loss, shards, workers=pool, rng=0) as parallel:
        for _ in range(2):
            model.zero_grad()
            assert parallel.backward().exact
            assert_equal(model, torch.autograd.grad(loss(model(x), labels), list(model.parameters())))
            change(model)
