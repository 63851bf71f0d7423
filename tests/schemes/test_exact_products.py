"""`exact` speaks of every entry: right to rounding beside its own row and column, whatever sizes these have.

The bound is (50 · amplification + K) · eps · ‖row of A‖ · ‖column of B‖ with K the inner dimension, against extended
arithmetic.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kofn
from draws import examples
from kofn.schemes import PRODUCTS
from products import KINDS, TINY, Drawn, errors, exact_errors, excess, lengths, matrices, scales

TYPES = (np.float64, np.float32, np.complex128, np.complex64)
FORMS = ("gauss", "integers", "rank", "equal")
CUTS = [(2, 1), (3, 1), (2, 2), (3, 2), (3, 3), (2, 4), (4, 1), (5, 1), (1, 3), (8, 2)]


@st.composite
def drawn(draw):
    n, p = draw(st.sampled_from(CUTS))
    m, columns = n * p + draw(st.integers(0, 2 * n * p)), n * p + draw(st.integers(0, n * p))
    seed = draw(st.integers(0, 2**32 - 1))
    shape, kinds = (m, n + draw(st.integers(0, 9)), columns), draw(st.tuples(*[st.sampled_from(KINDS)] * 2))
    dtype, form = draw(st.sampled_from(TYPES)), draw(st.sampled_from(FORMS))
    A, B = matrices(np.random.default_rng(seed), shape, dtype, kinds, form)
    name, extra, beyond = draw(st.sampled_from(sorted(PRODUCTS))), draw(st.integers(0, 3)), draw(st.integers(-1, 2))
    return Drawn(A, B, name, (n, p), extra, beyond, seed)


def right_if_exact(case):
    try:
        _, _, worst = case.judged()
    except kofn.ArgumentError as error:
        assert "stays well inside" in str(error)  # what could overflow is refused
        return
    assert worst <= 1.0


@examples(280)
@given(drawn())
def test_what_is_called_exact_is_right_entry_by_entry(case):
    right_if_exact(case)


@pytest.mark.slow
@settings(max_examples=12_000)
@given(drawn())
def test_what_is_called_exact_is_right_entry_by_entry_in_many_draws(case):
    right_if_exact(case)


@pytest.mark.parametrize("dtype", TYPES)
def test_nearly_all_that_could_be_exact_is_called_so(dtype):
    """Exact arithmetic says that the rows span the targets, and the code alone amplifies within the bound."""
    could = called = 0
    for seed in range(6 * len(PRODUCTS)):
        rng = np.random.default_rng(seed)
        n, p = CUTS[rng.integers(len(CUTS))]
        shape = n * p + int(rng.integers(9)), n + 5, n * p + int(rng.integers(9))
        kinds = ("uniform", "few", "two", "zeros")[seed % 4], KINDS[rng.integers(len(KINDS))]
        name = sorted(PRODUCTS)[seed % len(PRODUCTS)]
        case = Drawn(*matrices(rng, shape, dtype, kinds, "gauss"), name, (n, p), 2, int(rng.integers(0, 2)), seed)
        exact, possible, worst = case.judged()
        assert worst <= 1.0
        could += possible
        called += exact and possible
    assert could >= 20
    assert called >= 0.95 * could


def test_extended_arithmetic_agrees_with_integers():
    A, B = matrices(np.random.default_rng(0), (9, 5, 8), np.complex128, ("uniform", "uniform"), "gauss")
    value, scale = A @ B, lengths(A, 0)[:, None] * lengths(B, 1)
    np.testing.assert_allclose(errors(value, A, B) / scale, exact_errors(value, A, B) / scale, rtol=1e-2, atol=1e-19)


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(6) as threads:
        yield threads


@pytest.mark.parametrize("kinds", [("uniform", "few"), ("one", "two"), ("zeros", "zeros"), ("few", "uniform")])
@pytest.mark.parametrize("code", sorted(PRODUCTS))
def test_matmul_is_right_in_every_entry(pool, code, kinds):
    rng = np.random.default_rng(3)
    for dtype in TYPES:
        A, B = matrices(rng, (25, 7, 19), dtype, kinds, "gauss")
        answer = kofn.matmul(A, B, workers=pool, code=code, rng=1)
        assert answer.exact and answer.value.dtype == dtype
        assert excess(answer.value, A, B, answer.amplification, np.finfo(dtype).eps) <= 1.0
        assert not answer.value[~A.any(axis=1)].any() and not answer.value[:, ~B.any(axis=0)].any()


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("code", ["mds", "mds-chebyshev", "repetition", "uncoded"])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_operator_is_right_in_every_entry_in_both_directions(pool, code, adjoint, sparse):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(4)
    for dtype in TYPES:
        A, x = matrices(rng, (31, 23, 3), dtype, ("uniform", "few"), "gauss")
        A *= np.where(rng.random(23) < 0.2, 0.0, scales(rng, 23, dtype, "few")).astype(A.real.dtype)
        A[np.abs(A) < 1e-25] = 0
        given, y = (A.conj().T.copy(), x) if adjoint else (A, x)
        matrix = scipy_sparse.coo_array(given) if sparse else given
        with kofn.operator(matrix, workers=pool, code=code, rng=2) as operator:
            found = operator.H @ y if adjoint else operator @ y
        assert operator.answer.exact and found.dtype == dtype
        assert excess(found, A, y, operator.answer.amplification, np.finfo(dtype).eps) <= 1.0


@pytest.mark.parametrize("code", ["mds", "repetition", "uncoded"])
@pytest.mark.parametrize("first", TYPES)
@pytest.mark.parametrize("second", TYPES)
def test_an_operator_is_as_precise_as_the_type_of_its_product(pool, code, first, second):
    rng = np.random.default_rng(5)
    (A, _), (_, x) = (matrices(rng, (30, 20, 2), dtype, ("few", "few"), "gauss") for dtype in (first, second))
    with kofn.operator(A, workers=pool, code=code, rng=2) as operator:
        for matrix, given, adjoint in ((A, x, False), (A.conj().T, x.repeat(2, axis=0)[:30], True)):
            found = operator.product(given, adjoint=adjoint).value
            assert operator.answer.exact and found.dtype == np.result_type(first, second)
            assert excess(found, matrix, given, operator.answer.amplification, np.finfo(found.dtype).eps) <= 1.0


@pytest.mark.parametrize("how", ["out", "columns", "memmap", "limited", "mapped input"])
@pytest.mark.parametrize("code", ["mds", "kronecker", "now-uep"])
def test_wherever_numbers_lie_they_come_back_in_their_own_units(pool, code, how, tmp_path):
    rng = np.random.default_rng(6)
    A, B = matrices(rng, (120, 30, 60), np.float64, ("uniform", "zeros"), "gauss")
    options = {}
    if how == "out":
        options["out"] = np.empty((120, 60))
    elif how == "columns":
        options["out"] = np.empty((120, 60), order="F")
    elif how == "memmap":
        options["out"] = np.lib.format.open_memmap(tmp_path / "C.npy", "w+", float, (120, 60))
    elif how == "limited":
        options["memory_limit_bytes"] = 195_000
    first = A
    if how == "mapped input":
        np.save(tmp_path / "A.npy", A)
        first = np.load(tmp_path / "A.npy", mmap_mode="r")
    answer = kofn.matmul(first, B, workers=pool, code=code, rng=1, **options)
    assert answer.exact
    assert excess(np.array(answer.value), A, B, answer.amplification, 2.0**-52) <= 1.0


def test_a_dask_array_is_raised_chunk_by_chunk_and_written_back_on_the_cluster(pool):
    da = pytest.importorskip("dask.array")
    A, B = matrices(np.random.default_rng(7), (40, 9, 30), np.float64, ("uniform", "two"), "gauss")
    given = da.from_array(A, chunks=(7, 4)), da.from_array(B, chunks=(5, 11))
    for code in ("mds", "kronecker", "matdot", "entangled-polynomial"):
        answer = kofn.matmul(*given, workers=pool, code=code, rng=1)
        assert answer.exact
        assert excess(answer.value, A, B, answer.amplification, 2.0**-52) <= 1.0


def test_a_design_is_right_in_every_entry(pool):
    A, B = matrices(np.random.default_rng(8), (40, 9, 30), np.float64, ("uniform", "two"), "gauss")
    design = kofn.design(A, B, workers=6, latency=kofn.Exponential(1.0), deadline=0.5, blocks=(2, 2), rng=0)
    answer = kofn.matmul(A, B, workers=pool, code=design)
    assert answer.exact
    assert excess(answer.value, A, B, answer.amplification, 2.0**-52) <= 1.0


@pytest.mark.parametrize("code", ["mds", "polynomial"])
def test_rows_that_are_much_alike_are_left_as_they_are(code):
    A, B = matrices(np.random.default_rng(9), (40, 60, 30), np.float64, ("none", "none"), "gauss")
    scheme = PRODUCTS[code](A, B, workers=6, rng=0)
    first, second = scheme.encoding().factors
    assert scheme.code.spread is None
    assert first.blocks.spans.exponents is None and second.blocks.spans.exponents is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_lost_below_the_smallest_number_is_all_that_is_lost(pool, dtype):
    tiny = TINY[np.dtype(dtype)]
    A, B = matrices(np.random.default_rng(10), (20, 5, 10), dtype, ("none", "none"), "gauss")
    A = (A * np.sqrt(tiny) * 1e3).astype(dtype)
    B = (B * np.sqrt(tiny)).astype(dtype)
    answer = kofn.matmul(A, B, workers=pool, rng=1)
    assert answer.exact
    assert excess(answer.value, A, B, answer.amplification, np.finfo(dtype).eps) <= 1.0


def test_an_error_bar_holds_for_rows_of_unlike_sizes():
    """Small rows are raised, but not so far that they would count beside the large ones they are mixed with."""
    from kofn.codes import decode
    from kofn.testing._schemes import results_of

    true, expected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        A, B = matrices(rng, (60, 20, 12), np.float64, ("uniform" if seed % 2 else "one", "few"), "gauss")
        scheme = PRODUCTS["mds"](A, B, workers=8, rng=seed)
        rows = rng.permutation(8)[:4]
        decoding, results = decode(scheme.code, rows, scheme.prior()), results_of(scheme)
        product, unit = A @ B, np.abs(A @ B).max()
        value = scheme.assemble(decoding.matrix, [results[row] for row in rows])
        true.append(np.linalg.norm((value - product) / unit) / np.linalg.norm(product / unit))
        expected.append(float(decoding.error))
    ratio = np.sqrt(np.mean(np.square(true)) / np.mean(np.square(expected)))
    assert 0.3 < ratio < 1.2
