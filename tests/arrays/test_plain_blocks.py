"""Blocks that are used as they are: views where nothing travels, one copy where it does, nothing for late rows."""

import numpy as np
import pytest

import kofn
from kofn.arrays._blocks import Blocks
from kofn.arrays._combine import apply, combine
from kofn.arrays._spans import Spans

RNG = np.random.default_rng(11)
A, B = RNG.standard_normal((24, 10)), RNG.standard_normal((10, 18))


def allocated(scheme, by_reference):
    """The tasks of a scheme, and the bytes that it has allocated once they are there."""
    sizes = []

    def allocate(shape, dtype):
        sizes.append(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return np.empty(shape, dtype)

    return scheme.encoding().encode(allocate, by_reference), sizes


@pytest.mark.parametrize(("code", "blocks"), [("uncoded", (4, 3)), ("repetition", (4, 3)), ("mds", (6, 1))])
def test_threads_are_given_views(code, blocks):
    scheme = kofn.schemes.PRODUCTS[code](A, B, blocks=blocks, rows=12, workers=3, rng=0)
    tasks, sizes = allocated(scheme, True)
    for task in tasks[: blocks[0] * blocks[1]]:
        assert all(np.shares_memory(one, whole) for one, whole in zip(task.arguments, (A, B), strict=True))
    assert not sizes


def test_where_blocks_travel_they_are_copied_once():
    tasks, sizes = allocated(kofn.schemes.mds(A, B, blocks=(6, 1), rows=9, rng=0), False)
    assert sum(sizes) == A.nbytes + B.nbytes
    assert not any(
        np.shares_memory(argument, whole) for argument, whole in zip(tasks[0].arguments, (A, B), strict=True)
    )


def test_combinations_are_made_when_the_first_of_their_rows_is_asked_for():
    tasks, sizes = allocated(kofn.schemes.mds(A, B, blocks=(6, 1), rows=9, rng=0), True)
    assert not sizes
    combination = tasks[7].arguments[0]
    assert sizes == [3 * A.nbytes // 6]
    tasks[6], tasks[8]
    assert len(sizes) == 1
    scheme = kofn.schemes.mds(A, B, blocks=(6, 1), rows=9, rng=0)
    np.testing.assert_allclose(combination, np.tensordot(scheme.code.generator[7], A.reshape(6, 4, 10), 1))


def test_short_blocks_alone_are_padded():
    tasks, sizes = allocated(kofn.schemes.uncoded(A[:22], B, blocks=(4, 1), rng=0), True)
    views = [np.shares_memory(tasks[row].arguments[0], A) for row in range(4)]
    assert views == [True, True, False, False]  # 6, 6, 5 and 5 rows
    assert sizes == [2 * 6 * 10 * 8]
    assert not tasks[3].arguments[0][5:].any()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("raised", [False, True])
def test_blocks_are_copied_as_they_are_read(axis, order, raised):
    length = A.shape[axis]
    spans = Spans(
        length, 3,
        RNG.permutation(length) if order else None,
        RNG.integers(-3, 4, length).astype(np.intc) if raised else None,
    )  # fmt: skip
    blocks = Blocks(A, spans, axis)
    out = np.full((3, *blocks.shape), np.nan)
    combine(np.eye(3)[[2, 0, 1]], blocks, out)
    np.testing.assert_array_equal(out, blocks.piece(0, blocks.shape[0])[[2, 0, 1]])


def test_a_result_that_is_a_target_comes_back_bit_for_bit():
    """Not through a matrix product, in which it would meet the others: 0 · inf is not 0."""
    results = [np.array([[1.0, -0.0]]), np.array([[np.inf, np.nan]]), np.array([[2.0, 3.0]])]
    targets = [np.empty((1, 2)) for _ in range(3)]
    apply(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [-2.0, 0.0, 1.0]]), results, targets)
    for target, right in zip(targets, (results[1], results[0], [[0.0, 3.0]]), strict=True):
        np.testing.assert_array_equal(target, right)
    assert np.signbit(targets[1][0, 1])


def test_a_product_over_processes_moves_what_it_is_made_of_once():
    """A and B in, the product back: nothing else of that size passes shared memory or pipes."""
    X, Y = RNG.standard_normal((800, 400)), RNG.standard_normal((400, 300))
    with kofn.LocalPool(2) as pool:
        before = pool.bytes_sent
        answer = kofn.matmul(X, Y, workers=pool, code="mds", blocks=(4, 1), rows=5, rng=0)
        moved = {way: count - before[way] for way, count in pool.bytes_sent.items()}
    np.testing.assert_allclose(answer.value, X @ Y)
    assert moved["shared"] == 0
    assert moved["pipe"] < 1 << 16
    assert moved["returned"] <= 1.3 * answer.value.nbytes  # the combination, where a worker was late
    assert answer.report.sent_bytes <= X.nbytes * 5 // 4 + 5 * Y.nbytes
