"""Products of a resident matrix are checked with what is kept of each block, without the block."""

import numpy as np
import pytest
import scipy.sparse as sp

import kofn
from kofn.schemes.products._freivalds import Freivalds
from kofn.testing import faults

RNG = np.random.default_rng(2)
DENSE = RNG.standard_normal((240, 60))
MATRICES = {
    "double": DENSE,
    "single": DENSE.astype(np.float32),
    "complex": DENSE + 1j * DENSE[::-1],
    "sparse": sp.csr_array(DENSE * (np.abs(DENSE) > 1.0)),
}


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("code", [None, "mds", "repetition"])
@pytest.mark.parametrize("fault", [faults.Tile(1), faults.Scaled(2.0), faults.Truncated()], ids=repr)
def test_a_liar_is_named_and_the_product_is_right(kind, code, fault):
    A = MATRICES[kind]
    x, close = np.cos(np.arange(60.0)).astype(A.dtype), 1e-3 if kind == "single" else 1e-9
    liars = faults.Corrupting(kofn.ThreadPool(4), {1: fault})
    with liars as pool, kofn.operator(A, workers=pool, code=code, rng=0, verify="correct") as operator:
        assert np.allclose(operator @ x, A @ x, atol=close) and operator.answer.exact
        assert {one.worker for one in operator.answer.report.wrong} <= {1}
        assert np.allclose(operator.H @ np.ones(240), A.conj().T @ np.ones(240), atol=100 * close)


def test_each_block_is_read_once_whatever_is_multiplied(monkeypatch):
    read, make = [], Freivalds._sketched
    monkeypatch.setattr(Freivalds, "_sketched", lambda *given: read.append(given[1].shape) or make(*given))
    with kofn.ThreadPool(3) as pool, kofn.operator(DENSE, workers=pool, rng=0, verify="correct") as operator:
        for columns in (1, 5, 40):
            for _ in range(3):
                assert np.allclose(operator @ np.ones((60, columns)), DENSE @ np.ones((60, columns)))
        rows = operator._plan(operator.dtype, adjoint=False).certificate.matrix.shape[1]
    assert 0 < len(read) <= rows and all(shape[1] == 60 for shape in read)
