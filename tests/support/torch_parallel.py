"""Plain PyTorch and `kofn.torch.DataParallel` side by side."""

import copy

import pytest

import torch
from kofn.torch import DataParallel
from torch import nn

CUTS = [7, 9, 3, 11]
DOUBLE = {"dtype": torch.float64}
WEIGHT = torch.tensor([10.0, 1.0, 0.1], **DOUBLE)


def classes(n=30, kinds=3):
    torch.manual_seed(1)
    labels = torch.randint(kinds, (n,))
    labels[:5] = 0
    return labels


def network(out=3, *extra):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), *extra, nn.Linear(6, out)).double()


def data(n=30):
    torch.manual_seed(2)
    return torch.randn(n, 4, **DOUBLE)


def both(pool, model, loss, x, y, *, cuts=CUTS, steps=1, **options):
    """Gradients of plain PyTorch, and of a copy of the model in parallel."""
    other = copy.deepcopy(model)
    shards = list(zip(x.split(cuts), y.split(cuts), strict=True))
    with DataParallel(other, loss, shards, workers=pool, rng=0, **options) as parallel:
        for _ in range(steps):
            plain = loss(model(x), y)
            plain.backward()
            step = parallel.backward()
    assert step.exact and step.loss == pytest.approx(float(plain.detach()), rel=1e-5, abs=0)
    return model, other


def assert_same(model, other, rtol=1e-10):
    found = 0
    for (name, one), (_, two) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None), name
        if one.grad is not None:
            found += 1
            assert one.grad.dtype == two.grad.dtype and one.grad.layout == two.grad.layout, name
            a, b = one.grad, two.grad
            if a.is_sparse:
                a, b = a.coalesce(), b.coalesce()
                assert torch.equal(a.indices(), b.indices()), name
                a, b = a.to_dense(), b.to_dense()
            assert torch.allclose(a, b, rtol=rtol, atol=rtol * float(a.abs().max())), name
    assert found
