"""What a model does to samples, shown by trials: places, neighbours and numbers of samples, and the way back."""

from functools import partial

import pytest
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import kofn
import torch
from kofn.torch import DataParallel
from kofn.torch._gradients import check_gradients
from kofn.torch._samplewise import Draws, check_samplewise, keep_masks
from torch import nn
from torch_parallel import DOUBLE, assert_same, both

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


class By(nn.Module):
    """Applies a function of itself between two layers, and perhaps dropout."""

    def __init__(self, function, drop=0.0, **parts):
        super().__init__()
        self.first, self.last, self.drop = nn.Linear(4, 4), nn.Linear(4, 2), nn.Dropout(drop)
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.last(self.drop(self.function(self, self.first(x))))


def causal(_, x):
    return functional.conv1d(functional.pad(x.T, (2, 0))[:, None], torch.ones(1, 1, 3, dtype=x.dtype))[:, 0].T


def masked(size):
    return nn.Transformer.generate_square_subsequent_mask(size, dtype=torch.float64)


TABLE = nn.Parameter(torch.linspace(-1, 1, 80, **DOUBLE).view(20, 4))
MIXING = {
    "minus the first": lambda m, x: x - x[:1],
    "minus the last": lambda m, x: x - x[-1:],
    "minus the mean": lambda m, x: x - x.mean(0),
    "over the largest": lambda m, x: x / x.abs().amax(0),
    "running sum": lambda m, x: x.cumsum(0),
    "running sum from the end": lambda m, x: x.flip(0).cumsum(0).flip(0),
    "neighbour before": lambda m, x: x + x.roll(1, 0),
    "neighbour after": lambda m, x: x + x.roll(-1, 0),
    "every second": lambda m, x: x + x.roll(2, 0),
    "every fourth": lambda m, x: x + x.roll(4, 0),
    "with the one before alone": lambda m, x: torch.cat([x[:1], x[1:] + x[:-1]]),
    "causal filter": causal,
    "pairs": lambda m, x: torch.cat([x[0::2][: len(x) // 2] + x[1::2], x[1::2], x[len(x) // 2 * 2 :]]),
    "sorted": lambda m, x: x.sort(0).values,
    "backwards": lambda m, x: x.flip(0),
    "numbered": lambda m, x: x + torch.arange(len(x), dtype=x.dtype)[:, None],
    "positions": lambda m, x: x + m.table[: len(x)],
    "counted": lambda m, x: x / len(x),
    "only where there are many": lambda m, x: x * (2 if len(x) > 6 else 1),
    "softmax": lambda m, x: x * x.sum(1).softmax(0)[:, None],
    "recurrent": lambda m, x: m.lstm(x[:, None])[0][:, 0],
    "recurrent, both ways": lambda m, x: m.both(x[:, None])[0][:, 0, :4],
    "attention": lambda m, x: m.attention(x[:, None], src_mask=masked(len(x)))[:, 0],
    "batch normalisation": lambda m, x: functional.batch_norm(x, None, None, training=True),
    "weakly": lambda m, x: x + 1e-4 * x[:1],
}
RIGHT = {
    "nothing": lambda m, x: x,
    "running sum of features": lambda m, x: x.cumsum(1),
    "features by number": lambda m, x: x + m.table[:4, 0],
    "layer normalisation": lambda m, x: functional.layer_norm(x, (4,)),
    "kinks": lambda m, x: x.relu() + x.abs() + x.clamp(max=0.3),
    "largest feature": lambda m, x: x * x.amax(1, keepdim=True),
    "checkpoint": lambda m, x: checkpoint(lambda y: m.drop(y.tanh()), x, use_reentrant=False),
    "noise": lambda m, x: x + 0.1 * torch.randn_like(x) if m.drop.p else x,
    "random signs": lambda m, x: x * (torch.randint(2, x.shape) * 2 - 1) if m.drop.p else x,
    "recurrent": lambda m, x: m.body(x[:, None])[0][:, 0],
    "gradient turned round": lambda m, x: Way.apply(x, lambda g: -0.5 * g),
    "gradient cut off below zero": lambda m, x: Way.apply(x, lambda g: g.clamp(min=0)),
    "detached": lambda m, x: x.detach().round() + x,
}


class Way(torch.autograd.Function):
    """Leaves values as they are, and changes gradients."""

    @staticmethod
    def forward(ctx, x, back):
        ctx.back = back
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return ctx.back(g), None


def model(function, drop):
    torch.manual_seed(3)
    parts = {name: part(drop) for name, part in PARTS.items() if name in function.__code__.co_names}
    return By(function, drop, table=TABLE, **parts).double()


PARTS = {
    "lstm": lambda _: nn.LSTM(4, 4),
    "both": lambda _: nn.LSTM(4, 4, bidirectional=True),
    "body": lambda _: nn.LSTM(4, 4, batch_first=True),
    "attention": lambda drop: nn.TransformerEncoderLayer(4, 2, 8, dropout=drop),
}


def samples(count=8):
    torch.manual_seed(4)
    return torch.randn(count, 4, **DOUBLE)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("count", [8, pytest.param(7, marks=SLOW), pytest.param(3, marks=SLOW)])
@pytest.mark.parametrize("drop", [0.0, 0.5], ids=["", "dropout"])
@pytest.mark.parametrize("function", MIXING.values(), ids=MIXING)
def test_whatever_mixes_samples_or_counts_them_is_refused(function, drop, count):
    if function in (MIXING["every fourth"], MIXING["only where there are many"]) and count < 8:
        pytest.skip("does not mix so few")
    with pytest.raises(kofn.ArgumentError, match="must treat each sample by itself"):
        check_samplewise(model(function, drop), samples(count))


@pytest.mark.parametrize("dtype", [
    torch.float32, *(pytest.param(kind, marks=SLOW) for kind in (torch.float64, torch.bfloat16, torch.float16)),
])  # fmt: skip
@pytest.mark.parametrize("drop", [0.0, 0.5], ids=["", "dropout"])
@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT)
def test_what_treats_each_sample_by_itself_is_taken(function, drop, dtype):
    for count in (8, 5, 2):
        tried, inputs = model(function, drop).to(dtype), samples(count).to(dtype)
        draws = check_samplewise(tried, inputs)
        assert draws is (Draws.NONE if not drop else Draws.FREE if function is RIGHT["random signs"] else Draws.STEADY)
        check_gradients(tried, inputs, draws, scaled=True)


@pytest.mark.parametrize("count", range(2, 20))
def test_of_any_two_samples_either_stays_once_where_the_other_does_not(count):
    kept = torch.stack(list(keep_masks(count, torch.device("cpu"))))
    assert all(bool((kept[:, i] & ~kept[:, j]).any()) for i in range(count) for j in range(count) if i != j)


def hook(change):
    def function(_, x):
        if x.requires_grad:
            x.register_hook(change)
        return x

    return function


def own(change):
    return lambda _, x: Way.apply(x, change)


BACK = {
    "clipped": lambda g: g.clamp(-0.01, 0.01),
    "clipped, rarely": lambda g: g.clamp(-50, 50),
    "clipped by norm of each": lambda g: g / g.norm(dim=1, keepdim=True).clamp(min=1.0),
    "signs": torch.sign,
    "each normalised": lambda g: functional.normalize(g, dim=1),
    "small ones left out": lambda g: g * (g.abs() > 0.1),
    "a constant added": lambda g: g + 0.1,
    "squared": lambda g: g.square(),
}
BACK_MIXING = {
    "all normalised": lambda g: g / g.norm(),
    "centred": lambda g: g - g.mean(0),
    "divided by their number": lambda g: g / len(g),
    "neighbours added": lambda g: g + g.roll(1, 0),
    "running sum": lambda g: g.cumsum(0),
    "numbered": lambda g: g * torch.arange(len(g), dtype=g.dtype)[:, None],
    "the first alone": lambda g: torch.cat([g[:1], 0 * g[1:]]),
    "noise": lambda g: g + torch.randn_like(g),
}


@pytest.mark.parametrize(("way", "drop"), [
    (hook, 0.0), pytest.param(hook, 0.5, marks=SLOW), pytest.param(own, 0.0, marks=SLOW), (own, 0.5),
])  # fmt: skip
@pytest.mark.parametrize("back", [*BACK.values(), *BACK_MIXING.values()], ids=[*BACK, *BACK_MIXING])
def test_gradients_changed_on_their_way_are_refused(back, way, drop):
    tried = model(way(back), drop)
    draws = check_samplewise(tried, samples())
    with pytest.raises(kofn.ArgumentError, match=r"on the way back|in proportion"):
        check_gradients(tried, samples(), draws, scaled=True)
    if back in BACK.values():  # a sum hands every shard what it hands all the data
        check_gradients(tried, samples(), draws, scaled=False)


@pytest.mark.parametrize("made", [
    lambda: nn.Sequential(nn.Embedding(9, 3, scale_grad_by_freq=True), nn.Flatten(), nn.Linear(15, 2)),
    lambda: nn.Sequential(nn.EmbeddingBag(9, 3, scale_grad_by_freq=True, mode="mean"), nn.Linear(3, 2)),
    lambda: nn.Sequential(nn.Embedding(10**6, 1, scale_grad_by_freq=True), nn.Flatten(), nn.Linear(5, 2)),
])  # fmt: skip
def test_gradients_by_how_often_a_word_comes_are_refused(made):
    words, labels = torch.randint(9, (24, 5)), torch.randint(2, (24,))
    shards = list(zip(words.chunk(3), labels.chunk(3), strict=True))
    with (
        kofn.ThreadPool(2) as pool,
        DataParallel(made(), functional.cross_entropy, shards, workers=pool, code="uncoded") as parallel,
        pytest.raises(kofn.ArgumentError, match=r"way back, too.*'0', which divides gradients by how often"),
    ):
        parallel.backward()


def test_wide_layers_are_not_refused_for_rounding():
    torch.manual_seed(0)
    tried = nn.Sequential(nn.Linear(300, 2000), nn.ReLU(), nn.Linear(2000, 900), nn.ReLU(), nn.Linear(900, 5))
    inputs = torch.randn(8, 300)
    check_gradients(tried, inputs, check_samplewise(tried, inputs), scaled=True)


def test_a_gradient_clipped_on_its_way_is_right_where_the_loss_is_a_sum():
    loss = partial(functional.mse_loss, reduction="sum")
    x, y = torch.randn(30, 4, **DOUBLE), torch.rand(30, 2, **DOUBLE)
    with kofn.ThreadPool(4) as pool:
        assert_same(*both(pool, model(hook(BACK["clipped"]), 0.0), loss, x, y))


def test_nothing_is_tried_while_a_deadline_runs(monkeypatch):
    calls = []
    monkeypatch.setattr("kofn.torch._data_parallel.check_samplewise", lambda *_: calls.append(1) or Draws.NONE)
    x, y = torch.randn(12, 4), torch.randint(2, (12,))
    with (
        kofn.ThreadPool(3) as pool,
        DataParallel(nn.Linear(4, 2), functional.cross_entropy, [(x[:6], y[:6]), (x[6:], y[6:])], workers=pool) as made,
    ):
        assert calls == [1]
        made.backward(deadline=5.0)
        made.backward()
    assert calls == [1]


@pytest.mark.parametrize(
    "shards", [[({"x": torch.ones(3, 4)}, torch.ones(3))], [([1.0, 2.0], torch.ones(2))], [(torch.ones(2, 4), "ab")]]
)
def test_what_is_no_tensor_is_refused_as_such(shards):
    with pytest.raises(kofn.ArgumentError, match=r"'shards' must be pairs of tensors.*but got a (dict|list|str)"):
        DataParallel(nn.Linear(4, 1), functional.mse_loss, shards, workers=1)
