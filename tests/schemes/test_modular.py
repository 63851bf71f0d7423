"""The keyed check of products of integers: exact in arithmetic that wraps round, dense and sparse."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

import kofn
from kofn.schemes._task import Task
from kofn.schemes.products._modular import COLUMNS, Modular

DTYPES = ["i1", "u1", "i2", "i4", "u4", "i8", "u8"]


def anything(rng, shape, dtype):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def check(seed=0):
    return Modular(lambda task: (*task.arguments, task.arguments[0][:1] @ task.arguments[1]), seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_honest_products_that_wrap_round_are_right_whatever_they_hold(dtype):
    rng = np.random.default_rng(1)
    for seed in range(60):
        m, k, n = rng.integers(1, 30, 3)
        a, b = anything(rng, (m, k), dtype), anything(rng, (k, n), dtype)
        assert check(seed).excess(Task(np.matmul, (a, b)), a @ b) == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_turned_bit_of_every_number_is_found(dtype):
    """2^-24 each: of so many none is missed, the highest bit, which even multiples hide, among them."""
    rng = np.random.default_rng(2)
    a, b = anything(rng, (5, 7), dtype), anything(rng, (7, 6), dtype)
    bits = 8 * np.dtype(dtype).itemsize
    for i in range(5):
        for bit in range(bits):
            wrong = a @ b
            wrong.view(f"u{bits // 8}")[i, (i + bit) % 6] ^= np.array(1 << bit, f"u{bits // 8}")
            assert check(seed=bit).excess(Task(np.matmul, (a, b)), wrong) == math.inf


def test_one_column_misses_a_turned_highest_bit_every_other_time():
    """So the chance of 24 is 2^-24, and no better: the reason why there are so many."""
    a, b = np.ones((1, 3), np.int64), np.ones((3, 4), np.int64)
    right = a @ b
    wrong = right.copy()
    wrong[0, 1] ^= np.int64(-(2**63))
    seen = []
    for seed in range(400):
        x = check(seed)._of(4, "u8")
        seen.append((x.T @ (wrong - right)[0].view("u8") != 0).mean())
    assert x.shape == (4, COLUMNS) and abs(np.mean(seen) - 0.5) < 0.05


@pytest.mark.parametrize("result", [None, 3, np.zeros((2, 2), int), np.zeros((3, 4), np.int32), np.zeros((3, 4))])
def test_what_is_no_product_is_wrong(result):
    assert check().excess(Task(np.matmul, (np.ones((3, 5), int), np.ones((5, 4), int))), result) == math.inf


def matrices(kind, rng):
    dense = rng.integers(-9, 9, (40, 30)), rng.integers(-9, 9, (30, 20))
    sparse = [sp.random_array(one.shape, density=0.3, rng=rng).tocsr() for one in dense]
    whole = [sp.csr_array((np.ceil(9 * one.data).astype(int), one.indices, one.indptr), one.shape) for one in sparse]
    return {
        "integers": dense,
        "int8": tuple(one.astype(np.int8) for one in dense),
        "booleans": tuple(one > 0 for one in dense),
        "sparse": sparse,
        "sparse, single": [one.astype(np.float32) for one in sparse],
        "sparse, complex": [one * (1 + 2j) for one in sparse],
        "sparse, integers": whole,
        "sparse, booleans": [one.astype(bool) for one in whole],
        "sparse times dense": (sparse[0], dense[1] * 0.5),
        "dense times sparse": (dense[0] * 0.5, sparse[1]),
        "columns by rows": (sparse[0].tocsc(), sparse[1].tocsc()),
        "integers times floats": (dense[0], dense[1] * 0.5),
    }[kind]


KINDS = [
    "integers", "int8", "booleans", "sparse", "sparse, single", "sparse, complex", "sparse, integers",
    "sparse, booleans", "sparse times dense", "dense times sparse", "columns by rows", "integers times floats",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [None, "Constant", "Tile", "Truncated"])
def test_products_that_no_code_can_combine_are_checked_in_runs(kind, fault):
    faults = kofn.testing.faults
    spoil = {"Constant": faults.Constant(1), "Tile": faults.Tile(1), "Truncated": faults.Truncated()}.get(fault)
    a, b = matrices(kind, np.random.default_rng(5))
    with faults.Corrupting(kofn.ThreadPool(4), {1: spoil} if fault else {}) as pool:
        answer = kofn.matmul(a, b, workers=pool, verify="correct", scheduler="static")
    value, right = (one.toarray() if sp.issparse(one) else one for one in (answer.value, a @ b))
    assert answer.exact and value.dtype == right.dtype and np.allclose(value, right)
    assert {one.worker for one in answer.report.wrong} <= ({1} if fault else set())
    if fault == "Truncated":
        assert {one.worker for one in answer.report.wrong} == {1}
