"""`kofn.matmul` of what no code combines: integers and booleans bit for bit, sparse matrices without a dense copy."""

import os
import signal

import numpy as np
import pytest
import scipy.sparse as sp

import kofn
from kofn.schemes.products._plain import PlainScheme, multiply, multiply_by
from processes import linux

RNG = np.random.default_rng(21)
TYPES = [np.int8, np.uint8, np.int32, np.uint64, np.int64, np.bool_]


def whole(shape, dtype):
    if dtype is np.bool_:
        return RNG.random(shape) < 0.3
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


def same(found, right):
    assert type(found) is type(right)
    assert (found.shape, found.dtype) == (right.shape, right.dtype)
    if sp.issparse(right):
        assert found.format == right.format
        found, right = found.toarray(), right.toarray()
    np.testing.assert_array_equal(found, right)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


@pytest.mark.parametrize("second", TYPES)
@pytest.mark.parametrize("first", TYPES)
def test_integers_wrap_round_as_numpys_do(pool, first, second):
    A, B = whole((23, 17), first), whole((17, 11), second)
    answer = kofn.matmul(A, B, workers=pool)
    assert answer.exact
    assert answer.report.code == "uncoded"
    if (A @ B).dtype.kind == "f":  # of uint64 and a signed type NumPy makes floats
        assert answer.value.dtype == (A @ B).dtype
        np.testing.assert_allclose(answer.value, A @ B, rtol=1e-12)
    else:
        same(answer.value, A @ B)


@pytest.mark.parametrize("other", [np.float32, np.float64, np.complex64])
def test_integers_beside_floats_are_converted_as_numpy_does(pool, other):
    A, B = whole((12, 9), np.int32), RNG.standard_normal((9, 7)).astype(other)
    for one, two in ((A, B), (B.T, A.T)):
        answer = kofn.matmul(one, two, workers=pool)
        assert answer.value.dtype == (one @ two).dtype
        np.testing.assert_allclose(answer.value, one @ two, rtol=1e-5 if other is not np.float64 else 1e-13)


@pytest.mark.parametrize("code", ["uncoded", "repetition"])
@pytest.mark.parametrize("blocks", [None, (3, 2), (1, 1), (5, 4)])
def test_plain_codes_take_integers_by_name(pool, code, blocks):
    A, B = whole((23, 17), np.int64), whole((17, 11), np.int64)
    rows = 40 if code == "repetition" else None
    same(kofn.matmul(A, B, workers=pool, code=code, blocks=blocks, rows=rows).value, A @ B)


def test_lists_of_integers_are_matrices_of_integers(pool):
    same(kofn.matmul([[1, 2], [3, 4]], [[5], [6]], workers=pool).value, np.array([[17], [39]]))


@pytest.mark.parametrize("code", sorted(set(kofn.schemes.PRODUCTS) - {"uncoded", "repetition"}))
def test_codes_that_combine_refuse_them(pool, code):
    with pytest.raises(kofn.ArgumentError, match=r"'A' must hold float32, float64 or complex.*leave 'code' out"):
        kofn.matmul(whole((8, 8), np.int64), np.eye(8), workers=pool, code=code)
    with pytest.raises(kofn.ArgumentError, match=r"'B' must be a dense matrix for a code.*leave 'code' out"):
        kofn.matmul(np.eye(8), sp.eye_array(8, format="csr"), workers=pool, code=code)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
@pytest.mark.parametrize("code", ["auto", "uncoded"])
def test_what_no_code_takes_is_not_told_to_leave_the_code_out(pool, code, dtype):
    with pytest.raises(kofn.ArgumentError, match=r"but got dtype \w+; convert it, as with A.astype\(float\)\.$"):
        kofn.matmul(np.ones((8, 8), dtype), np.ones((8, 8), dtype), workers=pool, code=code)


def test_out_takes_integers_and_no_other_type(pool):
    A, B = whole((23, 17), np.int64), whole((17, 11), np.int64)
    out = np.empty((23, 11), np.int64)
    assert kofn.matmul(A, B, workers=pool, out=out).value is out
    np.testing.assert_array_equal(out, A @ B)
    with pytest.raises(kofn.ArgumentError, match="dtype int64"):
        kofn.matmul(A, B, workers=pool, out=np.empty((23, 11)))


@pytest.mark.parametrize("shapes", [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0))])
def test_empty_products(pool, shapes):
    A, B = (np.zeros(shape, np.int16) for shape in shapes)
    same(kofn.matmul(A, B, workers=pool).value, A @ B)
    same(kofn.matmul(sp.csr_array(A), sp.csr_array(B), workers=pool).value, sp.csr_array(A) @ sp.csr_array(B))


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix, sp.csc_matrix, sp.bsr_array])
def test_sparse_products_are_of_the_kind_that_scipy_makes(pool, form):
    A, B = (form(sp.random(*shape, 0.15, rng=RNG)) for shape in ((31, 24), (24, 19)))
    for one, two in ((A, B), (A, B.toarray()), (A.toarray(), B)):
        found, right = kofn.matmul(one, two, workers=pool).value, one @ two
        assert type(found) is type(right)
        assert sp.issparse(found) == sp.issparse(right)
        assert abs(found - right).max() <= 1e-14


def test_matrices_of_diagonals_are_multiplied(pool):
    A, B = (sp.dia_array(whole((5, 5), np.int64) * np.eye(5, k=k, dtype=np.int64)) for k in (0, 1))
    same(kofn.matmul(A, B, workers=pool).value, A @ B)


@pytest.mark.parametrize("dtype", [np.int8, np.bool_, np.float32])
@pytest.mark.parametrize("other", [np.int8, np.uint16, np.float64])
def test_entries_that_stand_twice_are_added_in_the_type_of_the_product(pool, dtype, other):
    values = np.array([100, 100, 1, 3], dtype)
    A = sp.coo_array((values, ([0, 0, 2, 2], [1, 1, 0, 0])), shape=(3, 2))
    for B in (whole((2, 4), np.int8).astype(other), sp.csr_array(np.ones((2, 4), other))):
        same(kofn.matmul(A, B, workers=pool).value, A @ B)


@pytest.mark.parametrize("form", [sp.csc_array, sp.bsr_matrix, sp.csr_array])
@pytest.mark.parametrize("shapes", [((0, 3), (3, 2)), ((4, 3), (3, 0))])
def test_empty_sparse_products_are_of_the_kind_that_scipy_makes(pool, form, shapes):
    A, B = (form(np.ones(shape)) for shape in shapes)
    same(kofn.matmul(A, B, workers=pool).value, A @ B)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float32, np.complex128])
def test_sparse_products_have_the_type_that_scipys_have(pool, dtype):
    A, B = (sp.csr_array((RNG.random((14, 14)) < 0.3).astype(dtype)) for _ in range(2))
    same(kofn.matmul(A, B, workers=pool, code="repetition", rows=8).value, A @ B)


def test_sparse_matrices_are_refused_with_a_sentence(pool):
    eye = sp.eye_array(4, format="csr")
    with pytest.raises(kofn.ArgumentError, match=r"'blocks' must be \(N, 1\) where a matrix is sparse"):
        kofn.matmul(eye, eye, workers=pool, code="uncoded", blocks=(2, 2))
    with pytest.raises(kofn.ArgumentError, match="'out' must be left out"):
        kofn.matmul(eye, eye, workers=pool, out=np.empty((4, 4)))
    with pytest.raises(kofn.ArgumentError, match="'B' must have 4 rows"):
        kofn.matmul(eye, sp.eye_array(3), workers=pool)
    with pytest.raises(kofn.ArgumentError, match="'A' must be a matrix of finite numbers"):
        kofn.matmul(eye * np.nan, eye, workers=pool)


def test_no_dense_copy_of_a_sparse_matrix_is_in_a_task():
    A, B = (sp.random_array((200, 200), density=0.01, format="csr", rng=RNG) for _ in range(2))
    for one, two in ((A, B), (A, B.toarray()), (A.toarray(), B)):
        scheme = kofn.schemes.uncoded(one, two, blocks=(4, 1), workers=2)
        assert isinstance(scheme, PlainScheme)
        for task in scheme.encoding().encode(np.empty):
            assert task.function in (multiply, multiply_by)
            sizes = [
                part.nnz if sp.issparse(part) else part.size for part in (*task.resident.values(), *task.arguments)
            ]
            assert max(sizes) <= (A.nnz if sp.issparse(one) and sp.issparse(two) else A.shape[0] ** 2)
        if sp.issparse(one) and sp.issparse(two):
            assert scheme.encoding().nbytes == 0


def test_integers_are_exact_with_a_worker_killed():
    A, B = whole((120, 90), np.int64), whole((90, 70), np.int64)
    with kofn.LocalPool(2) as processes:
        job = kofn.start(kofn.schemes.uncoded(A, B, blocks=(8, 1), workers=2), workers=processes)
        os.kill(processes.pids()[0], signal.SIGKILL)
        answer = job.result(60)
        assert answer.exact
        same(answer.value, A @ B)
        S = sp.csr_array(A * (RNG.random(A.shape) < 0.1))
        same(kofn.matmul(S, sp.csr_array(B), workers=processes).value, S @ sp.csr_array(B))


def test_what_changes_after_the_start_changes_nothing():
    A, B = whole((40, 30), np.int64), whole((30, 20), np.int64)
    S = sp.csr_array(A)
    right, sparse = A @ B, S @ B
    with kofn.ThreadPool(2) as threads:
        jobs = [kofn.start(kofn.schemes.uncoded(one, B, workers=2), workers=threads) for one in (A, S)]
        A[:], S.data[:], B[:] = 0, 0, 0
        for job, product in zip(jobs, (right, sparse), strict=True):
            np.testing.assert_array_equal(job.result(60).value, product)


def test_at_a_deadline_what_is_there_is_there_and_nothing_is_invented():
    A, B = whole((40, 30), np.int64), whole((30, 20), np.int64)
    delays = kofn.simulation.VirtualPool([[1.0], [1.0], [100.0]])
    answer = kofn.matmul(A, B, workers=delays, code="uncoded", blocks=(3, 1), deadline=1.5, scheduler="static")
    assert answer.recovered.ravel().tolist() == [True, True, False]
    for part in range(3):
        place = answer.where(part, 0)
        np.testing.assert_array_equal(answer.value[place], (A @ B)[place] if part < 2 else 0)


@linux
@pytest.mark.slow
def test_a_large_sparse_product_needs_no_more_memory_than_sparse_ones():
    """20 000 × 20 000 of density 1e-3; a dense copy has 3.2 GB."""
    measure_sparse_product(20_000)


@linux
def test_a_sparse_product_needs_no_more_memory_than_sparse_ones():
    measure_sparse_product(6_000)


def measure_sparse_product(n):
    import tracemalloc

    A, B = (sp.random_array((n, n), density=1e-3, format="csr", rng=np.random.default_rng(seed)) for seed in (1, 2))
    right = A @ B
    size = sum(part.data.nbytes + part.indices.nbytes + part.indptr.nbytes for part in (A, B, right, right))
    with kofn.LocalPool(2) as processes:
        kofn.matmul(A[:4], B, workers=processes)  # loads SciPy
        tracemalloc.start()
        answer = kofn.matmul(A, B, workers=processes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    difference = abs(answer.value - right)
    assert difference.max() <= 1e-12 * abs(right).max()
    assert peak < 2 * size + (1 << 24)
    assert peak < n * n * 8 / 4
