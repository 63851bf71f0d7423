"""Tasks that are encoded when they are asked for: the limit is kept, what is held stays, the last needed goes."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kofn.arrays._blocks import Blocks
from kofn.arrays._spans import Spans
from kofn.jobs._stream import TaskStream
from kofn.schemes._encoding import Encoding, Factor
from kofn.schemes._task import Task

BLOCKS, SIDE = 4, 3
BLOCK_BYTES = SIDE * 2 * 8
A = np.random.default_rng(0).standard_normal((BLOCKS * SIDE, 2))


class Room:
    """An allocator that knows how many bytes of what it gave out are still there."""

    def __init__(self):
        self.now = self.most = 0

    def __call__(self, shape, dtype):
        array = np.empty(shape, dtype)
        self.now += array.nbytes
        self.most = max(self.most, self.now)
        weakref.finalize(array, self._gone, array.nbytes)
        return array

    def _gone(self, size):
        self.now -= size


def encoding_of(needs):
    """One factor whose distinct rows are the blocks of A one by one."""
    factor = Factor(np.eye(BLOCKS), Blocks(A, Spans(len(A), BLOCKS), 0))
    kernel = lambda rows, blocks: [Task(sum, tuple(of_row)) for of_row in blocks]  # noqa: E731
    return Encoding([[(0, i) for i in row] for row in needs], kernel, (factor,))


def block(number):
    return A[number * SIDE : (number + 1) * SIDE]


NEEDS = st.lists(st.lists(st.integers(0, BLOCKS - 1), min_size=1, max_size=2, unique=True), min_size=1, max_size=8)


@given(NEEDS, st.data())
def test_every_task_gets_its_blocks_within_the_limit(needs, data):
    room, limit = Room(), data.draw(st.integers(2, BLOCKS)) * BLOCK_BYTES
    stream = TaskStream(encoding_of(needs), room, limit)
    for row in data.draw(st.permutations(range(len(needs)))):
        task = stream[row]
        for given_block, number in zip(task.arguments, needs[row], strict=True):
            np.testing.assert_array_equal(given_block, block(number))
        del task, given_block
        assert room.now <= limit
    assert room.most <= limit


@pytest.mark.parametrize("needs", [[[0], [1, 0], [1]], [[3, 1], [1, 3], [2], [0]]])
def test_what_a_task_holds_is_neither_freed_nor_encoded_again(needs):
    room = Room()
    stream = TaskStream(encoding_of(needs), room, 0)
    held = [stream[row] for row in range(len(needs))]
    distinct = {number for row in needs for number in row}
    assert room.now == room.most == len(distinct) * BLOCK_BYTES
    for task, numbers in zip(held, needs, strict=True):
        for array, number in zip(task.arguments, numbers, strict=True):
            np.testing.assert_array_equal(array, block(number))


def test_room_is_used_for_what_comes_next():
    room = Room()
    stream = TaskStream(encoding_of([[0], [1], [2], [3]]), room, 3 * BLOCK_BYTES)
    stream[0]
    assert room.most == 3 * BLOCK_BYTES  # rows 1 and 2 were encoded with it


def test_what_is_needed_last_goes_first():
    made = []

    def allocate(shape, dtype):
        made.append(shape)
        return np.empty(shape, dtype)

    stream = TaskStream(encoding_of([[0], [1], [2], [0, 1]]), allocate, 2 * BLOCK_BYTES)
    stream[0], stream[1]  # blocks 0 and 1 are there
    assert len(made) == 2
    stream[2]  # one of the two must go; both are needed by row 3 at the same time, one of them stays
    assert len(made) == 3
    stream[3]
    assert len(made) == 4


def test_a_slice_is_the_list_of_its_tasks():
    stream = TaskStream(encoding_of([[0], [1], [2]]), np.empty, 10 * BLOCK_BYTES)
    assert [task.arguments[0][0, 0] for task in stream[:2]] == [block(0)[0, 0], block(1)[0, 0]]
    with pytest.raises(IndexError):
        stream[3]
