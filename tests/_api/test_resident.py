"""`kofn.operator` as it deals a matrix out: who holds what, what a product sends, and what is lost with a worker."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sparse

import kofn
from kofn.jobs.scheduling import Static
from kofn.simulation import VirtualPool

RNG = np.random.default_rng(11)
A = RNG.standard_normal((1344, 60))


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(8) as threads:
        yield threads


@pytest.mark.parametrize("redundancy", [0, 1, 2, 4])
def test_workers_hold_n_of_n_minus_r_parts_of_the_matrix(pool, redundancy):
    with kofn.operator(A, workers=pool, redundancy=redundancy, rng=0) as op:
        np.testing.assert_allclose(op @ np.ones(60), A.sum(axis=1), atol=1e-11)
        report = op.answer.report
        op @ np.ones(60)
    held = np.array(report.resident_bytes)
    assert held.sum() == report.placed_bytes == A.nbytes * 8 // (8 - redundancy) and len(set(held)) == 1
    assert op.answer.report.placed_bytes == 0 and report.to_dict()["resident_bytes"] == held.tolist()


def test_by_default_one_of_three_or_more_workers_may_be_lost(pool):
    with kofn.operator(A, workers=pool, rng=0) as op:
        op @ np.ones(60)
        assert sum(op.answer.report.resident_bytes) <= 1.16 * A.nbytes
    with kofn.ThreadPool(2) as two, kofn.operator(A, workers=two, rng=0) as op:
        op @ np.ones(60)
        assert sum(op.answer.report.resident_bytes) == A.nbytes


def test_the_adjoint_is_placed_when_it_is_first_used(pool):
    with kofn.operator(A, workers=pool, redundancy=1, rng=0) as op:
        op @ np.ones(60)
        before = sum(op.answer.report.resident_bytes)
        np.testing.assert_allclose(op.H @ np.ones(1344), A.sum(axis=0), atol=1e-10)
        report = op.answer.report
    padded = -(-60 // 56) * 56  # rows of the adjoint, in 56 pieces
    assert (
        report.placed_bytes == padded * 1344 * 8 * 8 // 7 and sum(report.resident_bytes) == before + report.placed_bytes
    )


@pytest.mark.parametrize("kind", ["dense", "complex", "single", "csr"])
@pytest.mark.parametrize("redundancy", [1, 2])
def test_whichever_workers_are_lost_the_answer_is_exact(redundancy, kind):
    matrix = RNG.standard_normal((37, 23)).astype(np.float32 if kind == "single" else np.float64)
    matrix = matrix + 1j * matrix[::-1] if kind == "complex" else matrix
    true = matrix
    if kind == "csr":
        matrix = sparse.csr_array(np.where(np.abs(matrix) > 1.2, matrix, 0.0))
        true = matrix.toarray()
    x, y = np.arange(23, dtype=matrix.dtype), np.arange(37, dtype=matrix.dtype)
    for lost in itertools.combinations(range(5), redundancy):
        gone = VirtualPool([[1.0]] * 5, dict.fromkeys(lost, 0.0))
        with kofn.operator(matrix, workers=gone, redundancy=redundancy, rng=0) as op:
            bound = 1e3 * np.finfo(matrix.dtype).eps * np.linalg.norm(true) * np.linalg.norm(y)
            assert np.all(np.abs(op @ x - true @ x) <= bound) and op.answer.exact
            assert np.all(np.abs(op.H @ y - true.conj().T @ y) <= bound) and op.answer.exact
            assert {a.worker for a in op.answer.report.of("arrived")}.isdisjoint(lost)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (3, 200), (61, 5)])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.coo_array])
def test_matrices_of_any_shape_are_padded_and_cut(pool, shape, make):
    matrix = RNG.standard_normal(shape)
    with kofn.operator(make(matrix), workers=pool, redundancy=1, rng=0) as op:
        np.testing.assert_allclose(op @ np.ones((shape[1], 2)), matrix @ np.ones((shape[1], 2)), atol=1e-12)
        np.testing.assert_allclose(op.H @ np.ones(shape[0]), matrix.sum(axis=0), atol=1e-12)


def test_rows_of_unlike_sizes_are_exact_row_by_row(pool):
    scale = np.where(np.arange(1344) % 7 == 3, 1e-12, 1.0) * np.where(np.arange(1344) % 5 == 1, 0.0, 1.0)
    matrix = A * scale[:, None]
    dead = VirtualPool([[1.0]] * 8, {2: 0.0})
    with kofn.operator(matrix, workers=dead, redundancy=1, rng=0) as op:
        off = np.abs(op @ np.ones(60) - matrix @ np.ones(60))
        bound = (50 * op.answer.amplification + 60) * np.finfo(float).eps * np.linalg.norm(matrix, axis=1) * 60**0.5
        assert op.answer.exact and np.all(off <= bound)


def test_what_was_passed_counts_and_not_what_became_of_it(pool):
    matrix = A.copy()
    with kofn.operator(matrix, workers=pool, redundancy=1, rng=0) as op:
        matrix[:] = 0.0
        np.testing.assert_allclose(op @ np.ones(60), A.sum(axis=1), atol=1e-11)
        np.testing.assert_allclose(op.H @ np.ones(1344), A.sum(axis=0), atol=1e-10)


def test_an_estimate_has_an_honest_error_bar(pool):
    errors, bars = [], []
    with kofn.operator(A, workers=pool, redundancy=1, tolerance=0.9, rng=0) as op:
        for seed in range(30):
            x = np.random.default_rng(seed).standard_normal(60)
            errors.append(np.linalg.norm(op @ x - A @ x) / np.linalg.norm(A @ x))
            bars.append(op.answer.error)
    assert 0.7 < np.sqrt(np.mean(np.square(errors)) / np.mean(np.square(bars))) < 1.4


@pytest.mark.parametrize("code", [None, "repetition", "mds"])
def test_a_sparse_matrix_is_never_made_dense(pool, code):
    matrix = sparse.random_array((4000, 4000), density=1e-3, rng=np.random.default_rng(1), format="csr")
    x = RNG.standard_normal(4000)
    tracemalloc.start()
    try:
        with kofn.operator(matrix, workers=pool, code=code, redundancy=1, rng=0) as op:
            found, back = op @ x, op.H @ x
            _, peak = tracemalloc.get_traced_memory()
            held = sum(op.answer.report.resident_bytes)
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found, matrix @ x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(back, matrix.T @ x, rtol=0, atol=1e-12)
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    # Twice, in both directions; each piece has row pointers of its own.
    assert 4 * size * 0.9 <= held <= 4 * size * 1.2 and peak < 20 * size < 4000 * 4000 * 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"redundancy": 8}, "'redundancy' must be less than the number of workers, 8, but got 8; lose fewer"),
        ({"redundancy": 1, "rows": 9}, "'redundancy' must say alone how many rows there are, but got 1 beside rows=9"),
        ({"redundancy": 1, "blocks": 3}, "but got 1 beside blocks=3"),
        ({"redundancy": 1, "code": "uncoded"}, "but got 1 beside code='uncoded'"),
        ({"redundancy": 1.5}, "'redundancy' must be an int"),
    ],
)
def test_redundancy_that_cannot_be_gets_a_sentence(pool, arguments, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        kofn.operator(A, workers=pool, **arguments)


def test_redundancy_is_settled_with_the_operator_and_a_scheduler_is_not(pool):
    with kofn.operator(A, workers=pool, redundancy=1, rng=0) as op:
        with pytest.raises(kofn.ArgumentError, match="'redundancy' must be 1, as of the operator, but got 2"):
            op.product(np.ones((60, 1)), redundancy=2)
        for scheduler in ("auto", "static", Static()):
            assert op.product(np.ones((60, 1)), redundancy=1, scheduler=scheduler).exact


def test_single_precision_has_too_few_digits_for_some_combinations():
    with kofn.ThreadPool(24) as many:
        with pytest.raises(kofn.ArgumentError, match="'redundancy' must leave half of the digits"):
            kofn.operator(A.astype(np.float32), workers=many, redundancy=9, rng=0)
        with kofn.operator(A, workers=many, redundancy=9, rng=0) as op:
            np.testing.assert_allclose(op @ np.ones(60), A.sum(axis=1), atol=1e-8)
