"""Closed forms of entangled polynomial codes, codes of low weight and ε-approximate MatDot."""

from itertools import combinations

import numpy as np
import pytest

import kofn
from kofn.codes import decode
from kofn.schemes import entangled, low_weight, matdot, matdot_approximate
from kofn.testing._schemes import results_of
from oracles import code_verdict

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((13, 9)), RNG.standard_normal((9, 11))
CUTS = [(1, 1, 1), (2, 2, 2), (3, 2, 2), (1, 2, 3), (2, 1, 3), (3, 2, 1), (1, 1, 4), (2, 3, 3)]


@pytest.mark.parametrize(("n", "p", "parts"), CUTS)
def test_entangled_codes_have_the_threshold_of_the_paper_and_are_exact_at_it(n, p, parts):
    threshold = parts * n * p + parts - 1
    scheme = entangled(A, B, blocks=(n, p), inner=parts, rows=threshold + 2, rng=0)
    code, results = scheme.code, results_of(scheme)
    assert (code.threshold, code.unknowns, len(code.targets)) == (threshold, threshold, n * p)
    assert np.all(code.load == 1.0) and results[0].shape == (-(-13 // n), -(-11 // p))
    sizes = [task.arguments[0].shape for task in scheme.encoding().encode(np.empty)]
    assert set(sizes) == {(-(-13 // n), -(-9 // parts))}
    everything = decode(code, np.arange(code.rows))
    assert everything.amplification < 1.0 + 1e-9  # sines are orthogonal
    for rows in list(combinations(range(code.rows), threshold))[:40]:
        decoding = decode(code, rows)
        assert decoding.exact
        value = scheme.assemble(decoding.matrix, [results[row] for row in rows])
        np.testing.assert_allclose(value, A @ B, rtol=0, atol=1e-13 * float(decoding.amplification) * 50)


@pytest.mark.parametrize(("n", "p", "parts"), [(2, 2, 2), (1, 2, 3), (2, 1, 2)])
def test_one_result_less_than_the_threshold_is_not_enough_for_an_entangled_code(n, p, parts):
    code = entangled(A, B, blocks=(n, p), inner=parts, rows=parts * n * p + parts + 1, rng=0).code
    subsets = list(combinations(range(code.rows), code.threshold - 1))
    assert not all(code_verdict(code, rows, (n, p)).all() for rows in subsets)
    assert all(code_verdict(code, rows, (n, p)).all() for rows in combinations(range(code.rows), code.threshold))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 12, 24])
def test_entangled_codes_leave_a_quarter_of_the_rows_to_spare_by_default(rows):
    for blocks in (None, (1, 1)):
        code = entangled(A, B, blocks=blocks, rows=rows, rng=0).code
        assert code.threshold <= rows - (max(1, rows // 4) if rows > 1 else 0)


@pytest.mark.parametrize(("inner", "said"), [(0, "'inner' must be"), (10, "'inner' must cut the inner dimension of 9")])
def test_an_inner_dimension_that_cannot_be_cut_so_is_refused(inner, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        entangled(A, B, inner=inner, rows=40)


def test_too_few_rows_for_an_entangled_code_are_refused():
    with pytest.raises(kofn.ArgumentError, match="'blocks' must need at most 8 results, one per coded row, but got 9"):
        entangled(A, B, blocks=(2, 2), inner=2, rows=8)


def test_an_entangled_product_of_files_is_that_of_arrays(tmp_path):
    for name, matrix in (("A", A), ("B", B)):
        np.save(tmp_path / f"{name}.npy", matrix)
    files = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "AB"]
    with kofn.ThreadPool(12) as pool:
        for given in ((A, B), files, (A.astype(np.complex64), B)):
            answer = kofn.matmul(*given, workers=pool, code="entangled-polynomial", rng=0)
            assert answer.exact
            bound = 50 * float(answer.amplification) * np.linalg.norm(A) * np.linalg.norm(B)
            eps = np.finfo(given[0].dtype).eps
            assert np.linalg.norm(answer.value - given[0] @ B) <= bound * eps


@pytest.mark.parametrize(("k", "spare"), [(k, spare) for k in range(1, 7) for spare in range(5)])
def test_any_k_rows_of_low_weight_are_enough_and_none_is_lighter(k, spare):
    """In the arithmetic of a prime field, every way to lose rows."""
    wide = RNG.standard_normal((12, 3))
    code = low_weight(wide, np.eye(3), blocks=(k, 1), rows=k + spare, rng=1).code
    weight = -(-k * (spare + 1) // (k + spare))
    assert np.all(np.count_nonzero(code.generator, axis=1) == weight)
    assert np.all(np.count_nonzero(code.generator, axis=0) >= spare + 1)
    for rows in combinations(range(k + spare), k):
        assert code_verdict(code, list(rows), (k, 1)).all()


def test_combinations_of_low_weight_keep_what_is_mostly_zeros_so():
    sparse = np.where(RNG.random((1200, 50)) < 0.01, 1.0, 0.0)
    counts = {}
    for build in (low_weight, kofn.schemes.mds_dense):
        tasks = build(sparse, np.eye(50), blocks=(12, 1), rows=16, rng=0).encoding().encode(np.empty)
        counts[build] = np.mean([np.count_nonzero(task.arguments[0]) for task in tasks])
    block = np.count_nonzero(sparse) / 12
    assert counts[low_weight] <= 4 * block and counts[kofn.schemes.mds_dense] > 10 * block


def approximate(epsilon, parts, count, rows=12, gram=False, trials=12):
    """Root mean squares of relative errors: (interpolation, least squares, its bar, least squares of `matdot`)."""
    found = []
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((8 * parts, 20)) + gram
        first, second = (X.T.copy(), X) if gram else (rng.standard_normal((20, 8 * parts)), X)
        size = np.linalg.norm(first @ second)
        received = np.sort(rng.permutation(rows)[:count])
        scheme = matdot_approximate(first, second, blocks=(parts, parts), rows=rows, rng=seed, epsilon=epsilon)
        plain = matdot(first, second, blocks=(parts, parts), rows=rows, rng=seed)
        points = scheme.code.generator[received, 1] / epsilon
        through = np.linalg.inv(np.vander(points, count, increasing=True))[parts - 1] / epsilon ** (parts - 1)
        errors = []
        for one, matrix in ((scheme, through[None]), (scheme, None), (plain, None)):
            decoding, results = decode(one.code, received, one.prior()), results_of(one)
            matrix = decoding.matrix if matrix is None else matrix
            value = one.assemble(matrix, [results[row] for row in received])
            errors += [np.linalg.norm(value - first @ second) / size, float(decoding.error)]
        found.append([errors[0], errors[2], errors[3], errors[4]])
    return np.sqrt(np.mean(np.square(found), axis=0))


@pytest.mark.parametrize(("parts", "beyond"), [(2, 0), (3, 0), (3, 1), (4, 0), (4, 2)])
def test_the_error_of_approximate_matdot_falls_with_the_size_of_its_points(parts, beyond):
    """As ε from M results, ε² from M + 1, …, and with an honest bar."""
    sizes = (0.1, 0.02)
    errors = np.array([approximate(size, parts, parts + beyond) for size in sizes])
    order = np.log(errors[0, :2] / errors[1, :2]) / np.log(sizes[0] / sizes[1])
    np.testing.assert_allclose(order, beyond + 1, atol=0.1)
    ratio = errors[:, 1] / errors[:, 2]
    assert np.all((ratio > 0.7) & (ratio < 1.5)), ratio


def test_least_squares_is_as_good_as_interpolation_and_better_where_blocks_are_alike():
    interpolated, squares, _, plain = approximate(0.1, 3, 3)
    assert 0.9 < squares / interpolated < 1.1 and plain > 5 * squares
    interpolated, squares, _, plain = approximate(0.1, 3, 3, gram=True)
    assert squares < 0.7 * interpolated and plain > 5 * squares


@pytest.mark.parametrize(
    ("parts", "dtype"),
    [*((parts, np.float64) for parts in (1, 2, 3, 4, 6, 8)), *((parts, np.float32) for parts in range(1, 6))],
)
def test_default_points_are_as_small_as_lets_the_threshold_be_exact(parts, dtype):
    first, second = (RNG.standard_normal((16, 16)).astype(dtype) for _ in range(2))
    scheme = matdot_approximate(first, second, blocks=(parts, parts), rows=2 * parts + 1, rng=0)
    exact = [
        decode(scheme.code, rows, epsilon=scheme.epsilon).exact
        for rows in combinations(range(2 * parts + 1), 2 * parts - 1)
    ]
    assert np.mean(exact) > 0.9


@pytest.mark.parametrize("epsilon", [0, -1.0, 2.0, np.nan, "small"])
def test_points_of_no_size_are_refused(epsilon):
    with pytest.raises(kofn.ArgumentError, match="'epsilon' must be a number above 0 and at most 1"):
        matdot_approximate(A, B, rows=5, epsilon=epsilon)
