"""Losses of data-parallel training: the gradient of plain PyTorch, or refused in a sentence."""

import copy
from functools import partial

import pytest
from torch.nn import functional

import kofn
import torch
from kofn.torch import DataParallel
from torch import nn
from torch_parallel import CUTS, DOUBLE, WEIGHT, assert_same, both, classes, data, network

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as pool:
        yield pool


def masked(outputs, labels):
    """A user's own: a mean over what is not padding."""
    keep = (labels > 0).to(outputs.dtype)
    return (functional.cross_entropy(outputs, labels, reduction="none") * keep).sum() / keep.sum().clamp(min=1)


def focal(outputs, labels):
    ce = functional.cross_entropy(outputs, labels, reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


CLASSIFY = {
    "cross entropy": functional.cross_entropy,
    "sum": partial(functional.cross_entropy, reduction="sum"),
    "class weights": partial(functional.cross_entropy, weight=WEIGHT),
    "class weights, summed": partial(functional.cross_entropy, weight=WEIGHT, reduction="sum"),
    "a class without weight": partial(functional.cross_entropy, weight=torch.tensor([0.0, 1.0, 2.0], **DOUBLE)),
    "ignore_index": partial(functional.cross_entropy, ignore_index=0),
    "ignore_index, summed": partial(functional.cross_entropy, ignore_index=0, reduction="sum"),
    "ignored and weighted": partial(functional.cross_entropy, ignore_index=1, weight=WEIGHT),
    "label smoothing": partial(functional.cross_entropy, label_smoothing=0.1, weight=WEIGHT, ignore_index=2),
    "a module": nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=1),
    "a module of single precision": nn.CrossEntropyLoss(weight=WEIGHT.float().double()),
    "nll": lambda o, y: functional.nll_loss(o.log_softmax(1), y, weight=WEIGHT),
    "a lambda": lambda o, y: functional.cross_entropy(o, y, ignore_index=0),
    "a mask": masked,
    "focal": focal,
    "margin": nn.MultiMarginLoss(),
    "weighted margin": nn.MultiMarginLoss(weight=WEIGHT),
    "margin, summed": nn.MultiMarginLoss(reduction="sum"),
}


@pytest.mark.parametrize("loss", CLASSIFY.values(), ids=CLASSIFY)
def test_losses_of_classes(pool, loss):
    assert_same(*both(pool, network(), loss, data(), classes()))


REGRESS = {
    "mse": functional.mse_loss,
    "mse, summed": nn.MSELoss(reduction="sum"),
    "l1": functional.l1_loss,
    "huber": nn.HuberLoss(delta=0.3),
    "smooth l1, summed": nn.SmoothL1Loss(reduction="sum"),
    "bce with logits": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0, 0.5], **DOUBLE)),
    "bce": lambda o, y: functional.binary_cross_entropy(o.sigmoid(), y),
    "poisson": nn.PoissonNLLLoss(),
    "kl, batchmean": lambda o, y: functional.kl_div(o.log_softmax(1), y, reduction="batchmean"),
    "soft margin": lambda o, y: functional.soft_margin_loss(o, y.round() * 2 - 1),
    "huge": lambda o, y: 1e200 * functional.mse_loss(o, y),
    "tiny": lambda o, y: 1e-200 * functional.mse_loss(o, y),
    "mean and a constant": lambda o, y: 3.0 + functional.mse_loss(o, y),
    "weights among the labels": lambda o, y: (y[:, :1] * (o - y).square()).mean(),
    "weighted mean of its own": lambda o, y: (y[:, :1] * (o - y).square()).sum() / y[:, :1].sum(),
}


@pytest.mark.parametrize("loss", REGRESS.values(), ids=REGRESS)
def test_losses_of_numbers(pool, loss):
    assert_same(*both(pool, network(2), loss, data(), torch.rand(30, 2, **DOUBLE)))


def test_a_shard_of_which_nothing_counts(pool):
    """Its own loss is 0 / 0, and it has no part in that of all the data."""
    labels = classes()
    labels[:7] = -100
    assert_same(*both(pool, network(), functional.cross_entropy, data(), labels))
    labels[7:19] = -100
    assert_same(*both(pool, network(), functional.cross_entropy, data(), labels))
    labels[:] = -100
    with pytest.raises(kofn.ArgumentError, match="'loss' must have a finite gradient"):
        both(pool, network(), functional.cross_entropy, data(), labels)


def test_labels_at_every_place_and_outputs_of_several_tensors(pool):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.tags, self.size = nn.Embedding(9, 4), nn.Linear(4, 3), nn.Linear(4, 1)

        def forward(self, x):
            hidden = self.words(x)
            return {"tags": self.tags(hidden), "size": self.size(hidden.mean(1))}

    def loss(outputs, labels):
        return (
            functional.cross_entropy(outputs["tags"].transpose(1, 2), labels, ignore_index=2)
            + 0 * outputs["size"].mean()
        )

    torch.manual_seed(0)
    x, y = torch.randint(9, (30, 5)), classes(150).view(30, 5)
    assert_same(*both(pool, Tagger().double(), loss, x, y))


def rmse(outputs, labels):
    return functional.mse_loss(outputs, labels).sqrt()


def contrastive(outputs, labels):
    return functional.cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)))


def two_denominators(outputs, labels):
    return masked(outputs, labels) + 0.1 * functional.multi_margin_loss(outputs, labels)


NO_SUMS = {
    "rmse": (rmse, "sum over samples"),
    "spread": (lambda o, y: functional.mse_loss(o, y) + o.var(), "sum over samples"),
    "largest": (lambda o, y: (o - y).abs().max(), "sum over samples"),
    "product": (lambda o, y: torch.exp(functional.mse_loss(o, y)), "sum over samples"),
    "sum and constant": (lambda o, y: functional.mse_loss(o, y, reduction="sum") + 1.0, "sum over samples"),
    "correlation": (lambda o, y: -functional.cosine_similarity(o.flatten(), y.flatten(), 0), "sum over samples"),
    "median": (lambda o, y: (o - y).square().median(), "sum over samples"),
    "square of sum": (lambda o, y: (o - y).sum() ** 2, "sum over samples"),
    "zeros": (lambda o, y: 0 * functional.mse_loss(o, y), "not all zero"),
}


@pytest.mark.parametrize(("loss", "told"), NO_SUMS.values(), ids=NO_SUMS)
@pytest.mark.parametrize("constant", [False, True], ids=["", "outputs all alike"])
def test_losses_that_are_no_sums_are_refused(pool, loss, told, constant):
    model = network(2)
    if constant:
        nn.init.zeros_(model[2].weight)
    with pytest.raises(kofn.ArgumentError, match=rf"DataParallel: 'loss' must .*{told}"):
        both(pool, model, loss, data(), torch.rand(30, 2, **DOUBLE))


@pytest.mark.parametrize("loss", [contrastive, two_denominators])
def test_losses_between_samples_are_refused(pool, loss):
    with pytest.raises(kofn.ArgumentError, match="sum over samples"):
        both(pool, network(), loss, data(), classes())


def test_a_loss_that_cannot_do_with_few_samples_says_on_how_many_it_was_tried(pool):
    def hardest(outputs, labels):
        return functional.cross_entropy(outputs, labels, reduction="none").topk(5).values.mean()

    with pytest.raises(RuntimeError, match="k out of range") as caught:
        both(pool, network(), hardest, data(), classes())
    assert "the smallest of 4 samples" in caught.value.__notes__[0]


def test_any_loss_of_a_single_shard(pool):
    for loss in (rmse, lambda o, y: (o - y).abs().max()):
        assert_same(*both(pool, network(2, nn.BatchNorm1d(6, track_running_stats=False)), loss, data(),
                          torch.rand(30, 2, **DOUBLE), cuts=[30]))  # fmt: skip


def test_a_loss_that_drops_parameters_of_its_own_is_refused(pool):
    model = network(2)
    scale = nn.Parameter(torch.ones((), **DOUBLE))
    for loss in (
        lambda o, y: functional.mse_loss(scale * o, y),
        lambda o, y: functional.mse_loss(o, y) + sum(value.square().sum() for value in model.parameters()),
    ):
        with pytest.raises(kofn.ArgumentError, match="'loss' must depend on parameters through outputs alone"):
            both(pool, model, loss, data(), torch.rand(30, 2, **DOUBLE))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_stands_for_its_shard(pool, reduction):
    """All samples of a shard are alike, so that any batch has the shard's gradient but for its size."""
    x = data(4).repeat_interleave(torch.tensor([9, 3, 6, 12]), 0)
    y = classes(4).repeat_interleave(torch.tensor([9, 3, 6, 12]))
    loss = partial(functional.cross_entropy, reduction=reduction, weight=WEIGHT)
    assert_same(*both(pool, network(), loss, x, y, cuts=[9, 3, 6, 12], batch=2))


def test_a_batch_of_one_shard_stands_for_it(pool):
    x, y = data(1).repeat(8, 1), classes(1).repeat(8)
    for reduction in ("mean", "sum"):
        assert_same(
            *both(pool, network(), partial(functional.cross_entropy, reduction=reduction), x, y, cuts=[8], batch=3)
        )


def test_single_precision_and_half(pool):
    x, y = data(), classes()
    for dtype, rtol in ((torch.float32, 1e-4), (torch.bfloat16, 0.05)):
        loss = partial(functional.cross_entropy, weight=WEIGHT.to(dtype))
        assert_same(*both_close(pool, network().to(dtype), loss, x.to(dtype), y), rtol=rtol)


def both_close(pool, model, loss, x, y):
    other = copy.deepcopy(model)
    loss(model(x), y).backward()
    with DataParallel(other, loss, list(zip(x.split(CUTS), y.split(CUTS), strict=True)), workers=pool) as parallel:
        parallel.backward()
    return model, other
