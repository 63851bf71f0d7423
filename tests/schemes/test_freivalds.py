"""The keyed check of block products: honest results pass at any type and scale, wrong ones do not."""

import math

import numpy as np
import pytest

import kofn
from kofn.schemes._task import Task
from kofn.schemes.products import _freivalds as freivalds
from kofn.schemes.products._asked import Sum
from kofn.schemes.products._freivalds import VECTORS, Freivalds
from kofn.schemes.products._recount import recount
from lies import KINDS, SCALES, matrix, must_be_found, scale


def check(seed=0):
    return Freivalds(lambda task: Sum.of(*task.arguments), seed)


def excess(a, b, result, seed=0):
    return check(seed).excess(Task(np.matmul, (a, b)), result)


@pytest.mark.parametrize("dtype", SCALES)
def test_thousands_of_honest_products_of_any_kind_and_scale_raise_no_alarm(dtype):
    rng = np.random.default_rng(7)
    largest = 0.0
    for _ in range(1500):
        rows, inner, columns = rng.integers(1, 40, 3)
        kinds = rng.choice(KINDS, 2)
        a = matrix(rng, kinds[0], (rows, inner), dtype, scale(rng, dtype))
        b = matrix(rng, kinds[1], (inner, columns), dtype, scale(rng, dtype))
        largest = max(largest, excess(a, b, a @ b, int(rng.integers(1 << 40))))
    assert largest <= 1.0


def one_after_another(a, b):
    """The slowest way to add up, which no BLAS takes: rounding of numbers that are alike then goes one way."""
    total = np.zeros((len(a), b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        total += np.outer(a[:, k], b[k])
    return total


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize("kind", ["uniform", "constant", "normal", "swamped"])
def test_the_slowest_way_to_add_up_is_honest_too_and_its_bias_is_learned_once(kind, dtype, monkeypatch):
    rng, looks = np.random.default_rng(3), []
    monkeypatch.setattr(freivalds, "recount", lambda *given: looks.append(given[2]) or recount(*given))
    a, b = (matrix(rng, "uniform" if kind == "swamped" else kind, shape, dtype) for shape in [(30, 3000), (3000, 12)])
    if kind == "swamped":  # what is added to the first number is lost
        a[:, 0], a[:, 1:], b[...] = 0.25 / np.finfo(dtype).eps, 0.1 * a[:, 1:], 1.0
    total, one = one_after_another(a, b), check()
    for rows in (3, 30, 30):
        assert one.excess(Task(np.matmul, (a[:rows], b)), total[:rows]) <= 1.0
    assert sum(map(len, looks)) <= 12 and (len(looks) > 0) == (one.bias > 0.0)
    assert one.bias > 0.0 or kind != "swamped"
    wrong = total.copy()
    wrong[20, 3] *= 1.5
    assert one.excess(Task(np.matmul, (a, b)), wrong) > 1.0


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
@pytest.mark.parametrize("dtype", SCALES)
def test_an_error_of_thirty_thresholds_is_always_found(shape, dtype):
    rng = np.random.default_rng(2)
    a, b = matrix(rng, "normal", shape[:2], dtype), matrix(rng, "normal", shape[1:], dtype)
    right = a @ b
    sizes = must_be_found(a, b, right)
    for seed in range(300):
        i, j = int(rng.integers(shape[0])), int(rng.integers(shape[2]))
        wrong = right.copy()
        wrong[i, j] += 1.01 * sizes[i, j]
        assert excess(a, b, wrong, seed) > 1.0


@pytest.mark.parametrize("deviations", [0.8, 1.2, 1.8])
def test_what_is_missed_is_what_the_formula_says(deviations):
    """The largest of four normal numbers is below t of their deviation with probability (2 Φ(t) - 1)^4."""
    rng = np.random.default_rng(5)
    a, b = matrix(rng, "normal", (2, 4), "f"), matrix(rng, "normal", (4, 900), "f")  # no number is near its own bound
    right = a @ b
    wrong, threshold = right.copy(), must_be_found(a, b, right)[1, 4] / 30.0
    wrong[1, 4] += threshold / deviations
    error = float(wrong[1, 4]) - float(right[1, 4])
    missed = np.mean([excess(a, b, wrong, seed) <= 1.0 for seed in range(1000)])
    expected = math.erf(threshold / error / math.sqrt(2)) ** VECTORS
    assert abs(missed - expected) < 4 * math.sqrt(expected * (1 - expected) / 1000) + 0.03
    assert (2 / (math.sqrt(2 * math.pi) * 30)) ** VECTORS < 1e-6


@pytest.mark.parametrize("result", [None, 3.0, np.zeros((2, 2)), np.zeros((3, 4), np.float32), np.full((3, 4), np.nan)])
def test_what_is_no_block_product_is_wrong(result):
    assert excess(np.ones((3, 5)), np.ones((5, 4)), result) == math.inf


def test_another_key_is_another_check_and_the_same_key_the_same():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((3, 50)), rng.standard_normal((50, 20))
    assert excess(a, b, a @ b, 1) == excess(a, b, a @ b, 1) != excess(a, b, a @ b, 2)


def test_a_sketch_is_made_once_for_a_block_and_forgotten_with_it():
    one = check()
    a, b = np.ones((9, 50)), np.ones((50, 20))
    for _ in range(3):
        assert one.excess(Task(np.matmul, (a, b)), a @ b) <= 1.0
    assert len(one._sketches) == len(one._products) == 1 and len(one._lines) == 2
    del b
    assert not one._sketches and not one._products and len(one._lines) == 1


@pytest.mark.parametrize("dtype", SCALES)
@pytest.mark.parametrize("shape", [(30, 50, 40), (30, 50, 3)])
def test_no_error_is_too_large_to_be_seen(shape, dtype):
    rng = np.random.default_rng(2)
    a, b = matrix(rng, "normal", shape[:2], dtype), matrix(rng, "normal", shape[1:], dtype)
    most = np.log10(float(np.finfo(dtype).max))
    for power in np.linspace(1.0, most - 0.01, 40):
        wrong = a @ b
        wrong[3, 2] += wrong.dtype.type(10.0**power)
        assert excess(a, b, wrong) > 1.0


@pytest.mark.parametrize("dtype", SCALES)
def test_numbers_that_leave_the_range_are_honest_and_others_that_are_none_are_not(dtype):
    large = float(np.finfo(dtype).max) ** 0.6
    a, b = np.full((3, 20), large, dtype), np.full((20, 30), 1.0, dtype)
    b[:, 4] = large
    with np.errstate(over="ignore", invalid="ignore"):
        right = a @ b
    assert not np.isfinite(right[:, 4]).any() and excess(a, b, right) <= 1.0
    for lie in (np.inf, np.nan):
        wrong = right.copy()
        wrong[1, 5] = lie
        assert excess(a, b, wrong) == math.inf


CODES = ["mds", "mds-dense", "mds-chebyshev", "polynomial", "matdot", "kronecker", "uncoded", "now-uep", "ew-uep"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("dtype", SCALES)
def test_every_task_of_every_product_is_checked(code, dtype):
    rng = np.random.default_rng(4)
    a, b = matrix(rng, "normal", (30, 20), dtype), matrix(rng, "uniform", (20, 33), dtype, 1e5)
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
def test_the_size_of_a_fault_is_told_in_units_of_what_rounding_can_do(dtype):
    """γ of K + 6 roundings, the worker's and once more those of the second look, times Σ |a||b|."""
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((3, 50)).astype(dtype), rng.standard_normal((50, 400)).astype(dtype)
    units = [56 * float(np.finfo(one).eps) / 2 for one in (dtype, "d")]
    bound = sum(unit / (1 - unit) for unit in units) * float(np.abs(a[1].astype("d")) @ np.abs(b[:, 7].astype("d")))
    wrong = a @ b
    wrong[1, 7] += 1e3 * bound
    for seed in range(30):
        assert excess(a, b, wrong, seed) == pytest.approx(1e3, rel=0.01)


@pytest.mark.parametrize("inner", range(1, 9))
def test_numbers_below_the_smallest_are_no_fault(inner):
    rng = np.random.default_rng(inner)
    for seed in range(50):
        a, b = ((1e-21 * rng.standard_normal(shape)).astype("f") for shape in ((5, inner), (inner, 30)))
        assert excess(a, b, a @ b, seed) <= 1.0
