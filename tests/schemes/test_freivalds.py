"""The keyed check of block products: honest results pass at any type and scale, wrong ones do not."""

import math
from statistics import NormalDist

import numpy as np
import pytest

import kofn
from kofn.schemes._task import Task
from kofn.schemes.products._freivalds import VECTORS, Freivalds, Sum

DTYPES = {"f": 15, "d": 20, "F": 15, "D": 20}


def check(seed=0):
    return Freivalds(lambda task: Sum.of(*task.arguments), seed)


def excess(a, b, result, seed=0):
    return check(seed).excess(Task(np.matmul, (a, b)), result)


def matrix(rng, kind, shape, scale, dtype):
    numbers = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.random(shape),
        "constant": lambda: np.full(shape, rng.random() + 0.1),
        "whole": lambda: rng.integers(-9, 9, shape).astype(float),
        "zeros": lambda: np.zeros(shape),
        "uneven": lambda: rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 6, shape),
        "cancelling": lambda: np.cumsum(rng.standard_normal(shape), axis=1) * (-1.0) ** np.arange(shape[1]),
    }[kind]()
    other = 1j * rng.standard_normal(shape) if dtype in "FD" else 0.0
    return (scale * (numbers + other)).astype(dtype)


KINDS = ["normal", "uniform", "constant", "whole", "zeros", "uneven", "cancelling"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_thousands_of_honest_products_of_any_kind_and_scale_raise_no_alarm(dtype):
    rng = np.random.default_rng(7)
    largest = 0.0
    for _ in range(1500):
        rows, inner, columns = rng.integers(1, 40, 3)
        scales = 10.0 ** rng.uniform(-DTYPES[dtype], DTYPES[dtype], 2)
        kinds = rng.choice(KINDS, 2)
        a = matrix(rng, kinds[0], (rows, inner), scales[0], dtype)
        b = matrix(rng, kinds[1], (inner, columns), scales[1], dtype)
        largest = max(largest, excess(a, b, a @ b, int(rng.integers(1 << 40))))
    assert largest <= 1.0


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("kind", ["uniform", "constant", "normal"])
def test_the_slowest_way_to_add_up_is_honest_too(dtype, kind):
    """One term after another, as no BLAS does: rounding of constant numbers then goes one way."""
    rng = np.random.default_rng(3)
    a, b = matrix(rng, kind, (3, 5000), 1.0, dtype), matrix(rng, kind, (5000, 12), 1.0, dtype)
    total = np.zeros((3, 12), dtype)
    for k in range(5000):
        total += np.outer(a[:, k], b[k])
    assert excess(a, b, total) <= 1.0


@pytest.mark.parametrize(("first", "second"), [(300, -300), (-300, 300), (150, 150), (-150, -155), (-300, -300)])
def test_scales_at_the_end_of_the_range_are_checked_as_well(first, second):
    rng = np.random.default_rng(1)
    a, b = 10.0**first * rng.standard_normal((20, 30)), 10.0**second * rng.standard_normal((30, 25))
    right = a @ b
    assert excess(a, b, right) <= 1.0
    if first + second > -300:
        wrong = right.copy()
        wrong[4, 5] = -wrong[4, 5]
        assert excess(a, b, wrong) > 1.0


@pytest.mark.parametrize("shape", [(30, 50, 40), (30, 50, 3), (1, 50, 1), (40, 1, 40)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_error_of_thirty_thresholds_is_always_found(shape, dtype):
    """The threshold for an error of one element: 9 (K + 6) eps/2 of the norms of row and matrix."""
    rng = np.random.default_rng(2)
    a, b = matrix(rng, "normal", shape[:2], 1.0, dtype), matrix(rng, "normal", shape[1:], 1.0, dtype)
    right, thin = a @ b, shape[2] <= 2 * VECTORS
    unit = float(np.finfo(dtype).eps) / 2
    for seed in range(300):
        i, j = int(rng.integers(shape[0])), int(rng.integers(shape[2]))
        norms = (np.linalg.norm(a), np.linalg.norm(b[:, j])) if thin else (np.linalg.norm(a[i]), np.linalg.norm(b))
        length = math.sqrt(shape[0] if thin else shape[2])
        share = 9 * (shape[1] + 6) * unit + (shape[1] + 6 + 2 * length**2) * 1.5 * (length + 1) * 2.0**-52
        wrong = right.copy()
        wrong[i, j] += 30 * (4 if dtype in "FD" else 1) * share * norms[0] * norms[1]
        assert excess(a, b, wrong, seed) > 1.0


def test_what_is_missed_is_what_the_formula_says():
    """The largest of four normal numbers is below t of their deviation with probability (2 Φ(t) - 1)^4."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 30)), rng.standard_normal((30, 20))
    wrong = a @ b
    wrong[1, 4] += 1.0
    task = Task(np.matmul, (a, b))
    sizes = [check(seed).excess(task, wrong) for seed in range(2000)]
    unit = np.median(sizes)
    median = NormalDist().inv_cdf((1 + 0.5**0.25) / 2)  # of the largest of four |N(0, 1)|: (2 Φ(t) - 1)^4 = 1/2
    for t in (0.8, 1.2, 1.8):
        expected = math.erf(t / math.sqrt(2)) ** VECTORS
        got = np.mean(np.array(sizes) / unit * median < t)
        assert abs(got - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000) + 0.03
    assert (2 / (math.sqrt(2 * math.pi) * 30)) ** VECTORS < 1e-6


@pytest.mark.parametrize("result", [None, 3.0, np.zeros((2, 2)), np.zeros((3, 4), np.float32), np.full((3, 4), np.nan)])
def test_what_is_no_block_product_is_wrong(result):
    assert excess(np.ones((3, 5)), np.ones((5, 4)), result) == math.inf


def test_another_key_is_another_check_and_the_same_key_the_same():
    a, b = np.ones((3, 50)), np.ones((50, 20))
    wrong = a @ b
    wrong[0, 0] += 1e-3
    assert excess(a, b, wrong, 1) == excess(a, b, wrong, 1) != excess(a, b, wrong, 2)


def test_a_sketch_is_made_once_for_a_block_and_forgotten_with_it():
    one = check()
    a, b = np.ones((9, 50)), np.ones((50, 20))
    for _ in range(3):
        assert one.excess(Task(np.matmul, (a, b)), a @ b) <= 1.0
    assert len(one._sketches) == 1
    del b
    assert not one._sketches


CODES = ["mds", "mds-dense", "mds-chebyshev", "polynomial", "matdot", "kronecker", "uncoded", "now-uep", "ew-uep"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_task_of_every_product_is_checked(code, dtype):
    rng = np.random.default_rng(4)
    a, b = matrix(rng, "normal", (30, 20), 1.0, dtype), matrix(rng, "uniform", (20, 33), 1e5, dtype)
    scheme = kofn.schemes.PRODUCTS[code](a, b, workers=6, rng=0)
    verifier = scheme.verifier(5)
    for task in scheme.encoding().encode(np.empty):
        result = task.function(*task.resident.values(), *task.arguments)
        assert verifier.excess(task, result) <= 1.0
        i, j = rng.integers(result.shape[0]), rng.integers(result.shape[1])
        result[i, j] += np.abs(result).max()
        assert verifier.excess(task, result) > 1.0


def test_fresh_rows_are_checked():
    rng = np.random.default_rng(4)
    scheme = kofn.schemes.uncoded(rng.standard_normal((30, 20)), rng.standard_normal((20, 30)), workers=4, rows=4)
    tasks = scheme.encoding().encode(np.empty)
    task = scheme.fresh_task(scheme.rows.fresh(scheme.code, [0, 1, 2, 3]), tasks)
    result, verifier = task.function(*task.arguments), scheme.verifier(5)
    assert verifier.excess(task, result) <= 1.0
    result[2, 3] *= -1.0
    assert verifier.excess(task, result) > 1.0


@pytest.mark.parametrize("dtype", "fd")
def test_a_threshold_is_as_large_as_the_formula_says(dtype):
    """9 γ of K + 6 roundings for the worker, and K + 6 + 2 n of the check's own in double precision, times ‖X‖ = √n."""
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((3, 50)).astype(dtype), rng.standard_normal((50, 400)).astype(dtype)
    terms, unit = 56, float(np.finfo(dtype).eps) / 2
    share = 9 * terms * unit / (1 - terms * unit) + (terms + 2 * 400) * math.sqrt(400) * 2.0**-53
    threshold = share * float(np.linalg.norm(a[1]) * np.linalg.norm(b))
    wrong = a @ b
    wrong[1, 7] += 1e3 * threshold
    median = NormalDist().inv_cdf((1 + 0.5**0.25) / 2)  # of the largest of four |N(0, 1)|
    assert np.median([excess(a, b, wrong, seed) for seed in range(300)]) == pytest.approx(1e3 * median, rel=0.12)


@pytest.mark.parametrize("inner", range(1, 9))
def test_numbers_below_the_smallest_are_no_fault(inner):
    rng = np.random.default_rng(inner)
    for seed in range(50):
        a, b = ((1e-21 * rng.standard_normal(shape)).astype("f") for shape in ((5, inner), (inner, 30)))
        assert excess(a, b, a @ b, seed) <= 1.0
