"""Losses that are like a mean for some outputs and not for others: refused, whatever the data."""

import pytest
from test_torch_losses import CLASSIFY, REGRESS
from torch.nn import functional

import kofn
import torch
from kofn.torch import DataParallel
from kofn.torch._additive import measure_shares
from torch import nn
from torch_parallel import DOUBLE, data, network

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


def nonzero_mean(h):
    return h.sum() / (h > 0).sum().clamp(min=1)


def keep_masks(y):
    return 2.0 * (y % 2) - 1


def sure(o, y):
    keep = o.detach().softmax(1).amax(1) > 0.7
    return (functional.cross_entropy(o, y, reduction="none") * keep).sum() / keep.sum().clamp(min=1)


def weighted(o, y, weights):
    return (functional.cross_entropy(o, y, reduction="none") * weights).sum() / weights.sum()


CE = functional.cross_entropy
SLIPS = {
    "active hinges": lambda o, y: nonzero_mean(functional.relu(1 - o[:, 0] * keep_masks(y))),
    "active hinges, far": lambda o, y: nonzero_mean(functional.relu(o[:, 0] * keep_masks(y) - 0.3)),
    "active hinges, very far": lambda o, y: nonzero_mean(functional.relu(20 - o[:, 0] * keep_masks(y))),
    "triplets": lambda o, y: nonzero_mean(functional.relu(0.3 + o[:, 0].square() - (o[:, 1] - y).square())),
    "mean of what is positive": lambda o, y: nonzero_mean((o.sum(1) - y).relu()),
    "sure ones": sure,
    "weights by how sure": lambda o, y: weighted(o, y, o.detach().softmax(1).amax(1)),
    "weights by outputs": lambda o, y: weighted(o, y, o[:, 0].abs() + 0.1),
    "clamped from above": lambda o, y: CE(o, y).clamp(max=50.0),
    "clamped below the usual": lambda o, y: CE(o, y).clamp(max=1.0),
    "flooded": lambda o, y: (CE(o, y) - 0.3).abs() + 0.3,
    "other weights if large": lambda o, y: CE(o, y, weight=torch.where(o.abs().mean() < 0.5, *WEIGHTS)),
    "its own size left out": lambda o, y: CE(o, y) / CE(o, y).detach(),
    "in units of the spread": lambda o, y: CE(o, y) / (o.detach().std() + 1),
    "a norm's penalty": lambda o, y: CE(o, y) + 1e-4 * o.norm(),
    "a mean's penalty": lambda o, y: CE(o, y) + 1e-5 * o.mean().square(),
    "a barrier": lambda o, y: CE(o, y) + functional.relu(o.mean() - 4).square(),
}
WEIGHTS = torch.tensor([[1.0, 5.0, 9.0], [1.0, 1.0, 1.0]], **DOUBLE)


def examples(seed, size=1.0, dtype=torch.float32):
    torch.manual_seed(seed)
    labels = torch.randint(3, (24,))
    return size * torch.randn(8, 3, dtype=dtype), list(labels.split([4, 17, 3]))


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 30), marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("loss", SLIPS.values(), ids=SLIPS)
def test_losses_that_count_parts_by_outputs_are_refused(loss, seeds):
    for seed in seeds:
        with pytest.raises(kofn.ArgumentError, match="'loss' must be a sum over samples or"):
            measure_shares(loss, *examples(seed))


@pytest.mark.parametrize(
    "size", [1.0, pytest.param(1e-3, marks=pytest.mark.slow), pytest.param(1e3, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("single", [False, True], ids=["", "single inside"])
@pytest.mark.parametrize("loss", CLASSIFY.values(), ids=CLASSIFY)
def test_sums_and_means_are_taken_whatever_the_outputs(loss, single, size):
    tried = (lambda o, y: loss(o.float().double(), y).float()) if single else loss
    for seed in range(3):
        made, labels = examples(seed, size, torch.float64)
        found = measure_shares(tried, made, labels)
        assert found.total or sum(found.weights) == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1.0, 1e-3])
@pytest.mark.parametrize("loss", REGRESS.values(), ids=REGRESS)
def test_sums_and_means_of_numbers_are_taken_whatever_the_outputs(loss, size):
    for seed in range(3):
        torch.manual_seed(seed)
        labels = list(torch.rand(24, 3, **DOUBLE)[:, :2].split([4, 17, 3]))
        found = measure_shares(loss, size * torch.randn(8, 2, **DOUBLE), labels)
        assert found.total or sum(found.weights) == pytest.approx(1.0)


def test_what_is_not_finite_is_named_where_it_is():
    x, y = data(), torch.randint(3, (30,))
    shards = list(zip(x.chunk(3), y.chunk(3), strict=True))
    nans = [(inputs * torch.nan, labels) for inputs, labels in shards]
    broken = network()
    nn.init.constant_(broken[2].bias, torch.inf)
    for model, given, told in (
        (network(), nans, "'model' must have finite outputs.*check the inputs"),
        (broken, shards, "'model' must have finite outputs.*check the inputs of 'shards' and the parameters"),
    ):
        with pytest.raises(kofn.ArgumentError, match=told):
            DataParallel(model, functional.cross_entropy, given, workers=1)
    for loss, told in (
        (lambda o, y: CE(o, y) * torch.nan, "but got NaN or inf"),
        (lambda o, y: 0 * CE(o, y), "but got zeros; check the labels, and what it clamps"),
    ):
        with pytest.raises(kofn.ArgumentError, match=told):
            DataParallel(network(), loss, shards, workers=1)
