"""Backward products on a pool, of activations and weights whose rows and columns are of unlike sizes."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from products import excess, scales

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(8) as threads:
        yield threads


CODES = {
    "kronecker": {"blocks": (2, 2)},
    "now-uep": {"blocks": (2, 2)},
    "uncoded": {"blocks": (2, 2)},
    "repetition": {"blocks": (2, 2)},
    "ew-uep": {"partition": "cxr", "blocks": (3, 3), "realisation": "window"},
}


@pytest.mark.parametrize("kinds", [("uniform", "few"), ("one", "two"), ("zeros", "zeros")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("code", CODES)
def test_gradients_without_a_deadline_are_right_in_every_entry(pool, code, dtype, kinds):
    rng = np.random.default_rng(3)
    kind = np.dtype(dtype)
    layer = torch.nn.Linear(10, 8, bias=False, dtype=getattr(torch, dtype))
    coded = kofn.torch.convert(torch.nn.Sequential(layer), code=code, workers=pool, rows=8, rng=0, **CODES[code])
    x = (rng.standard_normal((9, 10)) * scales(rng, 10, kind, kinds[1])).astype(kind)
    g = (rng.standard_normal((9, 8)) * scales(rng, 8, kind, kinds[0])).astype(kind)
    given = torch.from_numpy(x).requires_grad_()
    (coded(given) * torch.from_numpy(g)).sum().backward()
    found, weight = coded[0].weight.grad.numpy(), layer.weight.detach().numpy()
    limit = np.finfo(kind).eps ** -0.5  # what is exact may be amplified so much
    assert np.isfinite(found).all()
    assert excess(found, g.T.copy(), x, limit, np.finfo(kind).eps) <= 1.0
    assert excess(given.grad.numpy(), g, weight, limit, np.finfo(kind).eps) <= 1.0
    assert not found[~g.any(axis=0)].any() and not found[:, ~x.any(axis=0)].any()


def test_what_a_deadline_ends_is_not_called_exact_where_rows_are_lost_in_others(pool):
    rng = np.random.default_rng(0)
    layer = torch.nn.Linear(10, 8, bias=False, dtype=torch.float64)
    coded = kofn.torch.convert(
        torch.nn.Sequential(layer), code="kronecker", blocks=(2, 2), workers=pool, rows=8, rng=0, deadline=0.5
    )
    x, g = rng.standard_normal((9, 10)), rng.standard_normal((9, 8))
    g[:, 2] *= 1e20
    (coded(torch.from_numpy(x)) * torch.from_numpy(g)).sum().backward()
    (told,) = kofn.torch.report(coded)
    assert 0 < told.error < 1 or excess(coded[0].weight.grad.numpy(), g.T.copy(), x, 1e3, 2.0**-52) <= 1.0
