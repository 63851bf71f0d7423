"""`kofn.operator` against SciPy on the plain matrix."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sparse
from scipy.sparse.linalg import cg, eigsh, svds

import kofn
from kofn._api._operator import CodedOperator

RNG = np.random.default_rng(7)
A = RNG.standard_normal((90, 50))


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(5) as threads:
        yield threads


@pytest.mark.parametrize("code", ["mds", "mds-chebyshev", "repetition", "uncoded"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_products_in_both_directions_equal_the_matrix(pool, code, dtype):
    matrix = np.asfortranarray(A.astype(dtype) if dtype != np.complex128 else A + 1j * A[::-1])
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    x, y = RNG.standard_normal((50, 3)).astype(dtype), RNG.standard_normal(90).astype(dtype)
    with kofn.operator(matrix, workers=pool, code=code, rng=1) as op:
        np.testing.assert_allclose(op @ x, matrix @ x, rtol=0, atol=tolerance * 100)
        np.testing.assert_allclose(op @ x[:, 0], matrix @ x[:, 0], rtol=0, atol=tolerance * 100)
        np.testing.assert_allclose(op.H @ y, matrix.conj().T @ y, rtol=0, atol=tolerance * 100)
        assert op.answer.exact


def test_svds_cg_and_eigsh_run_on_it(pool):
    symmetric = A.T @ A + np.eye(50)
    with kofn.operator(A, workers=pool, rng=1) as op:
        np.testing.assert_allclose(np.sort(svds(op, 4)[1]), np.sort(np.linalg.svd(A)[1])[-4:], rtol=1e-10)
    with kofn.operator(symmetric, workers=pool, rng=1) as op:
        x, info = cg(op, np.ones(50), rtol=1e-10)
        assert info == 0
        np.testing.assert_allclose(symmetric @ x, np.ones(50), atol=1e-8)
        largest = eigsh(op, 2, return_eigenvectors=False)
        np.testing.assert_allclose(np.sort(largest), np.linalg.eigvalsh(symmetric)[-2:], rtol=1e-10)


@pytest.mark.parametrize("kind", [kofn.ThreadPool, pytest.param(kofn.LocalPool, marks=pytest.mark.slow)])
def test_svds_on_workers_of_which_one_is_dead_and_one_slow(kind):
    delays = kofn.Dying(kofn.Slowdown(kofn.Constant(0.0005), {7: 10.0}), {2: 0.001})
    with kofn.Straggling(kind(8), delays) as eight, kofn.operator(A, workers=eight, rng=0) as op:
        values = np.sort(svds(op, 3, return_singular_vectors=False))
    np.testing.assert_allclose(values, np.sort(np.linalg.svd(A)[1])[-3:], rtol=1e-8)


@pytest.mark.parametrize("code", [None, "mds"])
def test_sparse_matrices_stay_sparse(pool, code):
    matrix = sparse.random_array((101, 60), density=0.05, rng=np.random.default_rng(1), format="coo")
    with kofn.operator(matrix, workers=pool, code=code, rng=2) as op:
        np.testing.assert_allclose(op @ np.ones(60), matrix @ np.ones(60), atol=1e-12)
        np.testing.assert_allclose(op.H @ np.ones(101), matrix.T @ np.ones(101), atol=1e-12)
        blocks = [block for plan in op._plans.values() for block in plan._asked.encoded]
        assert len(op._plans) == 2 and all(sparse.issparse(block) for block in blocks)


def test_after_placement_only_vectors_travel(pool):
    with kofn.operator(A, workers=pool, code="mds", rng=1) as op:
        op @ np.ones(50)
        first = op.answer.report
        op @ np.ones(50)
        later = op.answer.report
    k, rows = 4, 5
    assert first.placed_bytes == rows * -(-90 // k) * 50 * 8
    assert later.placed_bytes == 0
    assert k * 50 * 8 <= later.sent_bytes <= rows * 50 * 8  # the last row is not sent where four are back before
    assert later.received_bytes <= rows * -(-90 // k) * 8


def test_a_tolerance_gives_estimates_with_an_honest_error_bar(pool):
    errors, bars = [], []
    with kofn.operator(A, workers=pool, rng=1, tolerance=0.9) as op:
        for seed in range(40):
            x = np.random.default_rng(seed).standard_normal(50)
            errors.append(np.linalg.norm(op @ x - A @ x) / np.linalg.norm(A @ x))
            bars.append(op.answer.error)
            assert bars[-1] <= 0.9
    assert 0.7 < np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(bars))) < 1.4


@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_a_single_matrix_times_a_double_vector_has_double_precision(kind):
    """As in NumPy; blocks that were combined in single precision could not give it."""
    rng = np.random.default_rng(0)
    matrix, x = rng.standard_normal((200, 50)).astype(np.float32), rng.standard_normal(50).astype(kind)
    true = matrix.astype(np.float64) @ x
    with kofn.ThreadPool(30) as threads:
        for seed in range(6):
            with kofn.operator(matrix, workers=threads, code="mds-chebyshev", blocks=22, rng=seed) as op:
                found = op @ x
                assert op.answer.exact and found.dtype == kind
                bound = (50 * op.answer.amplification + 50) * 2.0**-52
                assert np.all(np.abs(found - true) <= bound * np.linalg.norm(matrix, axis=1) * np.linalg.norm(x))


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.full(50, np.nan), r"kofn\.operator: 'x' must be finite, but got nan at \[0, 0\]"),
        (np.full(50, 1e308), "'x' must have a product with A that stays well inside float64"),
        (np.full(50, "one"), "'x' must hold float32, float64 or complex numbers"),
        (np.ma.array(np.ones(50), mask=np.arange(50) < 3), "'x' must be an array without a mask"),
        (np.ones(49), "'x' must have 50 rows"),
    ],
)
def test_factors_that_have_no_product_get_a_sentence(pool, x, said, adjoint):
    matrix = A[:50].T if adjoint else A[:50]
    with kofn.operator(matrix, workers=pool, rng=1) as op, pytest.raises(kofn.ArgumentError, match=said):
        op.product(x[:, None], adjoint=adjoint)


def test_integers_are_numbers_and_a_vector_needs_a_second_dimension(pool):
    with kofn.operator(A, workers=pool, rng=1) as op:
        np.testing.assert_allclose(op @ np.arange(50), A @ np.arange(50), rtol=1e-10)
        with pytest.raises(kofn.ArgumentError, match="'x' must have 2 dimensions"):
            op.product(np.ones(50))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_a_matrix_whose_combinations_would_overflow_serves_where_its_products_are_numbers(pool, make):
    with kofn.operator(make(np.full((9, 9), 3e38, np.float32)), workers=pool, rng=0) as op:
        found = op @ np.full(9, 0.1, np.float32)
        np.testing.assert_allclose(found, 2.7e38, rtol=1e-4)
        with pytest.raises(kofn.ArgumentError, match="a product with B that stays well inside float32"):
            op @ np.ones(9, np.float32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"A": np.ones(3)}, "kofn.operator: 'A' must have 2 dimensions"),
        ({"A": np.array([[np.nan]])}, r"'A' must be finite, but got nan at \[0, 0\]"),
        ({"A": [[1.0, 2.0], [3.0]]}, "kofn.operator: 'A' must be a matrix with rows of one length"),
        ({"A": np.ma.masked_less(A, 0)}, "kofn.operator: 'A' must be an array without a mask"),
        ({"A": np.ones((3, 3), int)}, "'A' must hold float32, float64 or complex numbers"),
        ({"code": "kronecker"}, "'code' must be one of"),
        ({"blocks": 9}, "'blocks' must need at most 5 results"),
        ({"memory_limit_bytes": 10}, "'memory_limit_bytes' must be at least"),
        ({"deadline": -1.0}, "must be a finite number > 0"),
    ],
)
def test_bad_arguments_get_a_sentence(pool, arguments, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        kofn.operator(**{"A": A, "workers": pool, **arguments})


@pytest.mark.parametrize(
    "make",
    [
        lambda: kofn.operator(A, workers=2, rng=0).matvec,
        lambda: kofn.CodedSum([np.sum], workers=2),
        lambda: kofn.CodedMap(np.square, workers=2, code="uncoded"),
    ],
    ids=["operator", "sum", "map"],
)
def test_what_was_closed_with_its_workers_says_so(make):
    used, x = make(), np.ones(50)
    used(x)
    owner = getattr(used, "__self__", used)
    owner.close()
    owner.close()
    with pytest.raises(kofn.PoolClosed, match="closed before"):
        used(x)


def test_threads_that_ask_for_a_direction_at_once_have_the_matrix_placed_once(pool, monkeypatch):
    both, factor = threading.Barrier(2, timeout=60.0), CodedOperator._factor
    monkeypatch.setattr(CodedOperator, "_factor", lambda *given: (factor(*given), both.wait())[0])
    made, dealt = [], CodedOperator._dealt
    monkeypatch.setattr(CodedOperator, "_dealt", lambda *given: made.append(given) or dealt(*given))
    with kofn.operator(A, workers=pool, rng=1) as op, ThreadPoolExecutor(2) as threads:
        products = [threads.submit(op.product, np.ones((90, 1)), adjoint=True) for _ in range(2)]
        for product in products:
            np.testing.assert_allclose(product.result().value[:, 0], A.sum(axis=0), atol=1e-10)
    assert len(made) == 2  # A, and its adjoint
