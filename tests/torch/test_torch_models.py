"""Models of data-parallel training: modules, parameters and hooks as in plain PyTorch, or refused in a sentence."""

import copy
import random
from functools import partial

import numpy as np
import pytest
from torch.nn import functional
from torch.nn.utils import parametrizations

import kofn
import torch
from kofn.torch import DataParallel
from kofn.torch._additive import Shares
from kofn.torch._shard import Layout, Shard, ShardRequest
from kofn.torch._state import copy_state
from torch import nn
from torch_parallel import CUTS, DOUBLE, assert_same, both, classes, data, network

pytestmark = pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning")

torch.set_num_threads(1)  # small products on a busy machine would wait for their threads


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as pool:
        yield pool


class Sparse(nn.Module):
    """A mean of embeddings."""

    def __init__(self, sparse=True):
        super().__init__()
        self.words, self.out = nn.Embedding(40, 3, sparse=sparse, padding_idx=0), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.words(x).mean(1))


class Mixed(nn.Module):
    """Parameters of three types, one of them complex; one is not used, one used by some samples only."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(4, 3, dtype=torch.complex64))
        self.second = nn.Parameter(torch.randn(3, 2, **DOUBLE))
        self.third, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
        self.register_buffer("count", torch.tensor([3, 1]))

    def forward(self, x):
        hidden = (x.to(torch.complex64) @ self.first).abs().square().double() @ self.second
        return (self.third(hidden.float()) * self.count).double()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.two(self.frozen(self.one(x).tanh())))


MODELS = {
    "sparse embedding": (Sparse, "words"),
    "dense embedding": (partial(Sparse, False), "words"),
    "mixed types": (Mixed, "numbers"),
    "tied and frozen": (Tied, "numbers"),
    "layer normalisation": (lambda: network(2, nn.LayerNorm(6), nn.GELU()), "numbers"),
    "group normalisation": (lambda: network(2, nn.GroupNorm(2, 6)), "numbers"),
    "frozen statistics": (lambda: network(2, nn.BatchNorm1d(6).eval()), "numbers"),
    "dropout in eval mode": (lambda: network(2, nn.Dropout(0.5)).eval(), "numbers"),
    "parametrised": (lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 2))), "numbers"),
    "in place": (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2)), "numbers"),
    "recurrent": (lambda: Last(nn.LSTM(4, 2, batch_first=True)), "numbers"),
    "attention": (lambda: Last(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)), "numbers"),
}


class Last(nn.Module):
    """The last of a sequence."""

    def __init__(self, body):
        super().__init__()
        self.body, self.out = body, nn.LazyLinear(2)
        self(torch.ones(2, 4))

    def forward(self, x):
        found = self.body(x.to(next(self.parameters()).dtype).unflatten(1, (1, 4)))
        return self.out((found[0] if isinstance(found, tuple) else found)[:, -1])


@pytest.mark.parametrize(("made", "kind"), MODELS.values(), ids=MODELS)
def test_modules_and_parameters(pool, made, kind):
    torch.manual_seed(3)
    model = made().double() if made is not Mixed else made()
    x = torch.randint(30, (30, 6)) if kind == "words" else data()
    rtol = 1e-5 if made is Mixed else 1e-10
    assert_same(*both(pool, model, functional.mse_loss, x, torch.rand(30, 2, **DOUBLE), steps=2), rtol=rtol)


class Sometimes(nn.Module):
    """A part is used for some shards only."""

    def __init__(self):
        super().__init__()
        self.always, self.positive, self.never = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        out = self.always(x)
        rows = x[:, 0] > 5
        return out.index_add(0, rows.nonzero()[:, 0], self.positive(x[rows])) if bool(rows.any()) else out


def test_what_no_shard_uses_keeps_its_gradient_and_what_one_uses_has_it(pool):
    x = data()
    x[25, 0] = 9.0
    torch.manual_seed(0)
    model = Sometimes().double()
    plain, other = both(pool, model, functional.mse_loss, x, torch.rand(30, 2, **DOUBLE))
    assert other.never.bias.grad is None
    assert other.positive.weight.grad is not None
    assert_same(plain, other)


def test_unused_parts_are_not_decayed(pool):
    torch.manual_seed(0)
    models = [Sometimes().double()]
    models.append(copy.deepcopy(models[0]))
    x, y = data().clamp(-2, 2), torch.rand(30, 2, **DOUBLE)
    shards = list(zip(x.chunk(3), y.chunk(3), strict=True))
    optimisers = [torch.optim.SGD(m.parameters(), lr=0.1, weight_decay=0.5, momentum=0.9) for m in models]
    with DataParallel(models[1], functional.mse_loss, shards, workers=pool, rng=0) as parallel:
        for number in range(5):
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=number % 2 == 0)
            functional.mse_loss(models[0](x), y).backward()
            parallel.backward()
            for optimiser in optimisers:
                optimiser.step()
    for one, two in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-10)


def test_hooks_of_parameters_see_the_whole_gradient_once(pool):
    found = []

    def hooked(model, seen):
        model[0].weight.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
        model[0].bias.register_hook(lambda g: seen.append(g.clone()))
        model[2].weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
        found.append(seen)
        return model

    plain = network()  # once: a late thread of another test may change what PyTorch draws from
    model, other = hooked(copy.deepcopy(plain), []), hooked(plain, [])
    x, y = data(), classes()
    with DataParallel(
        other, functional.cross_entropy, list(zip(x.split(CUTS), y.split(CUTS), strict=True)), workers=pool
    ) as p:
        for _ in range(2):
            functional.cross_entropy(model(x), y).backward()
            p.backward()
    assert_same(model, other)
    assert len(found[0]) == len(found[1]) == 4
    assert all(
        torch.allclose(a, b) for a, b in zip(*[sorted(s, key=lambda g: float(g.norm())) for s in found], strict=True)
    )


def test_the_model_as_it_is_now(pool):
    """Buffers, modes, frozen parameters and plain attributes of every step, also after they change."""
    model = network(2, nn.BatchNorm1d(6).eval(), nn.Dropout(0.5))
    other = copy.deepcopy(model)
    x, y = data(), torch.rand(30, 2, **DOUBLE)
    with DataParallel(
        other, functional.mse_loss, list(zip(x.chunk(3), y.chunk(3), strict=True)), workers=pool, rng=0
    ) as parallel:
        for change in (
            lambda m: m.eval(),
            lambda m: m[2].running_mean.fill_(0.7),
            lambda m: (m.train(), m[2].eval(), setattr(m[3], "p", 0.0)),
            lambda m: m[0].weight.requires_grad_(False),
            lambda m: (m[0].weight.requires_grad_(True), setattr(m[2], "eps", 0.5)),
            lambda m: m.load_state_dict(
                {k: 0.5 * v if v.is_floating_point() else v for k, v in m.state_dict().items()}
            ),
        ):
            for one in (model, other):
                change(one)
                one.zero_grad()
            functional.mse_loss(model(x), y).backward()
            parallel.backward()
            assert_same(model, other)
        x.zero_()  # shards are the caller's no more
        before = other[0].weight.grad.clone()
        other.zero_grad()
        parallel.backward()
        assert torch.allclose(other[0].weight.grad, before, rtol=1e-9)
        other[1] = nn.ReLU()
        with pytest.raises(kofn.ArgumentError, match=r"'model' must have the modules.*a change of '1'"):
            parallel.backward()


class Noisy(nn.Module):
    def __init__(self, source):
        super().__init__()
        self.layer, self.source = nn.Linear(4, 2), source

    def forward(self, x):
        return self.layer(x) * self.source()


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x - x.mean(0))


class BySize(Centred):
    def forward(self, x):
        return self.layer(x) / len(x)


class Pooling(Centred):
    def forward(self, x):
        return self.layer(x).mean(0, keepdim=True)


class Spoiling(Centred):
    def forward(self, x):
        return self.layer(x.mul_(2.0))


class Hiding(Centred):
    def __init__(self):
        super().__init__()
        self.scale = torch.ones(2, **DOUBLE, requires_grad=True)

    def forward(self, x):
        return self.layer(x) * self.scale


class Counting(Centred):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layer(x) * self.calls


def hooked():
    model = network(2)
    model[0].register_full_backward_hook(lambda *_: None)
    return model


GENERATOR = np.random.default_rng(0)
REFUSED = {
    "batch normalisation": (lambda: network(2, nn.BatchNorm1d(6)), "by itself.*'2', which normalises"),
    "without statistics": (lambda: network(2, nn.BatchNorm1d(6, track_running_stats=False)).eval(), "by itself"),
    "centred": (Centred, "treat each sample by itself"),
    "by size": (BySize, "treat each sample by itself"),
    "pooling": (Pooling, "whose first dimension counts samples"),
    "spectral norm": (lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 2))), "leave its buffers"),
    "counting": (Counting, "leave its buffers as they are.*'calls'"),
    "instance statistics": (lambda: nn.Sequential(
        nn.Linear(4, 6), nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten(),
        nn.Linear(6, 2)), "leave its buffers"),
    "inputs in place": (Spoiling, "leave its inputs as they are"),
    "hidden parameter": (Hiding, "compute outputs from its parameters"),
    "numpy's generator": (partial(Noisy, lambda: GENERATOR.random()), "draw random numbers from PyTorch alone"),
    "python's generator": (partial(Noisy, lambda: random.random()), "draw random numbers from PyTorch alone"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(2)), "which is lazy"),
    "backward hook": (hooked, "no backward hooks on modules"),
}  # fmt: skip


@pytest.mark.parametrize(("made", "told"), REFUSED.values(), ids=REFUSED)
def test_models_that_mix_samples_or_remember_are_refused(pool, made, told):
    model = made().double()
    x, y = data(), torch.rand(30, 2, **DOUBLE)
    with pytest.raises(kofn.ArgumentError, match=f"DataParallel: 'model' must .*{told}"):
        shards = list(zip(x.split(CUTS), y.split(CUTS), strict=True))
        with DataParallel(model, functional.mse_loss, shards, workers=pool, rng=0) as parallel:
            parallel.backward()
    assert all(value.grad is None for value in model.parameters())


def test_noise_of_pytorch_is_drawn_alike_by_whoever_computes_it(pool):
    torch.manual_seed(0)
    model = Noisy(partial(torch.rand, ())).double()
    x, y = data(), torch.rand(30, 2, **DOUBLE)
    found = []
    for code in ("uncoded", "rep"):
        other = copy.deepcopy(model)
        shards = list(zip(x.split(CUTS), y.split(CUTS), strict=True))
        with DataParallel(other, functional.mse_loss, shards, workers=pool, rng=5, code=code) as parallel:
            parallel.backward()
        found.append(other.layer.weight.grad)
    assert torch.allclose(*found, rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "spoil", "told"),
    [
        (RuntimeError, lambda m, x, y: (m, x[:, :3], y), "shapes cannot be multiplied"),
        (RuntimeError, lambda m, x, y: (m, x.float(), y), "dtype"),
        (RuntimeError, lambda m, x, y: (m.requires_grad_(False), x, y), "does not require grad"),
        (IndexError, lambda m, x, y: (m, x, y + 1), "out of bounds"),
        (RuntimeError, lambda m, x, y: (m, x, y.double()), None),
    ],
    ids=["shape", "type", "frozen", "label", "label type"],
)
def test_errors_are_those_of_pytorch(pool, kind, spoil, told):
    model, x, y = spoil(network(), data(), classes())
    with pytest.raises(kind):
        functional.cross_entropy(model(x), y).backward()
    with pytest.raises(kind, match=told):
        both(pool, model, functional.cross_entropy, x, y)


def test_a_loss_without_reduction_is_refused_by_pytorch(pool):
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        both(pool, network(), partial(functional.cross_entropy, reduction="none"), data(), classes())


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError, IndexError])
def test_what_fails_in_a_shard_alone_names_it_and_stays_what_it_is(pool, kind):
    class Failing(Centred):
        def forward(self, x):
            if bool((x[:, 0] > 5).any()):
                raise kind("no")
            return self.layer(x)

    x, y = data(), torch.rand(30, 2, **DOUBLE)
    x[25, 0] = 9.0
    shards = list(zip(x.split(CUTS), y.split(CUTS), strict=True))
    with DataParallel(Failing().double(), functional.mse_loss, shards, workers=pool, code="uncoded") as parallel:
        for caught in (kind, kofn.TermError):
            with pytest.raises(caught, match="term 3 raised") as error:
                parallel.backward()
            assert error.value.term == 3 and str(error.value.__cause__) == "no"


def test_numbers_that_models_make_have_the_callers_type():
    """A worker's own process would make them in single precision."""

    class Scaled(Centred):
        def forward(self, x):
            return self.layer(x) * torch.tensor(0.1)

    torch.manual_seed(0)
    model, x, y = Scaled().double(), data(), torch.rand(30, 2, **DOUBLE)
    shard = Shard(model, functional.mse_loss, x, y, None, Shares([1.0], False), 0, 0)
    sparse = (False, False)
    vector = shard(ShardRequest(copy_state(model), 1, sparse, torch.float64).pack())
    found = Layout.of(model, sparse).loss(vector)
    outputs = functional.linear(x, model.layer.weight, model.layer.bias)
    assert found == pytest.approx(float(functional.mse_loss(0.1 * outputs, y).detach()), rel=1e-14)
    assert torch.get_default_dtype() == torch.float32


def test_trying_a_model_leaves_the_generator_alone(pool):
    torch.manual_seed(7)
    expected = torch.rand(3)
    model = network(2, nn.Dropout(0.5))
    x, y = data(), torch.rand(30, 2, **DOUBLE)
    shards = [(x[:9], y[:9]), (x[9:], y[9:])]
    # Uncoded: no thread is left over that still draws for its shard when the gradient is there.
    with DataParallel(model, functional.mse_loss, shards, workers=pool, code="uncoded", rng=0) as parallel:
        torch.manual_seed(7)
        parallel.backward()
    assert torch.equal(torch.rand(3), expected)
