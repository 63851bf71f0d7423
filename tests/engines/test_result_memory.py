"""Results that a task writes where the client reads them: without a copy, and seen by nobody else."""

import gc
import os

import numpy as np
import pytest

import kofn
from kofn.engines import result_empty
from kofn.engines.local._results import RESULT_BYTES, MappedResults, ResultMemory
from kofn.engines.local._shared_memory import KEPT_FROM, pack, unpack

COUNT = 2 * KEPT_FROM // 8


def filled(count, value):
    array = result_empty((count,))
    array[:] = value
    return array


@pytest.fixture
def pool():
    with kofn.LocalPool(1) as own:
        yield own


def reply(memory, held, value):
    """Send a value as a worker does, and take it as the client does."""
    payload = pack(value, memory, memory.new)
    arriving, fds, gone = memory.lend(payload.segments)
    fds = [os.dup(fd) for fd in fds]
    return payload, unpack(payload.frames, held.map(payload.frames, arriving, fds, gone)), arriving


def test_elsewhere_it_is_an_ordinary_array():
    array = result_empty((2, 3), np.float32)
    assert array.shape == (2, 3)
    assert array.dtype == np.float32
    assert array.base is None


def test_the_client_sees_the_very_memory_that_the_task_wrote():
    memory, held = ResultMemory(), MappedResults()
    array = memory.empty((COUNT,), float)
    array[:] = 3.0
    _, value, _ = reply(memory, held, {"part": array[10:20], "all": array.reshape(2, -1)})
    assert value["part"].tolist() == [3.0] * 10
    array[10] = 4.0  # what nobody may do shows that nothing was copied
    assert value["part"][0] == value["all"][0, 10] == 4.0


def test_memory_is_mapped_once_and_used_again():
    memory, held = ResultMemory(), MappedResults()
    seen = []
    for number in range(3):
        array = memory.empty((COUNT - number,), float)
        array[:] = number
        payload, value, arriving = reply(memory, held, array)
        seen.append(([segment.id for segment in payload.segments], len(arriving)))
        assert value.sum() == number * (COUNT - number)
        del array, value, payload
        memory.come_back([held.returned.popleft()])
    assert seen == [(seen[0][0], 1), (seen[0][0], 0), (seen[0][0], 0)]


def test_memory_of_which_the_task_keeps_an_array_is_not_used_again():
    memory, held = ResultMemory(), MappedResults()
    kept = memory.empty((COUNT,), float)
    kept[:] = 1.0
    payload, value, _ = reply(memory, held, kept)
    assert memory.find(memoryview(kept).cast("B")) is None  # returned once more, it is copied
    del value, payload
    memory.come_back([held.returned.popleft()])
    other = memory.empty((COUNT,), float)
    other[:] = 2.0
    assert kept.sum() == COUNT
    reply(memory, held, other)
    assert len(held._kept) == 1  # the client has let go of the first


def test_what_a_task_asked_for_and_did_not_return_is_used_again():
    memory = ResultMemory()
    where = memory.empty((COUNT,), float).__array_interface__["data"][0]
    gc.collect()
    assert memory.empty((COUNT,), float).__array_interface__["data"][0] == where


def test_no_more_is_kept_than_said_whatever_the_sizes(pool):
    for count in range(COUNT, 12 * COUNT, COUNT):
        assert pool.submit(0, filled, count, 1.0).result(60).sum() == count
        kept = pool._supervisor.slots[0].results._kept
        assert sum(map(len, kept.values())) <= RESULT_BYTES


def test_results_that_are_held_stay_as_they_are_also_beyond_what_is_kept(pool):
    count = RESULT_BYTES // 8 // 3
    held = [pool.submit(0, filled, count, float(number)).result(60) for number in range(5)]
    assert [array.min() for array in held] == [array.max() for array in held] == [0.0, 1.0, 2.0, 3.0, 4.0]
    held[0][:] = 7.0  # a result is one's own
    del held[1]
    assert pool.submit(0, filled, count, 9.0).result(60).max() == 9.0
    assert [array.max() for array in held] == [7.0, 2.0, 3.0, 4.0]


def test_several_results_of_one_message_lie_apart(pool):
    def both(make, count):
        return [make(count, 1.0), make(count, 2.0)]

    for _ in range(3):
        first, second = pool.submit(0, both, filled, COUNT).result(60)
        assert (first.sum(), second.sum()) == (COUNT, 2 * COUNT)


def test_memory_that_the_client_cannot_map_is_not_lent_again(monkeypatch):
    memory, held = ResultMemory(), MappedResults()
    array = memory.empty((COUNT,), float)
    payload = pack(array, memory, memory.new)
    arriving, fds, gone = memory.lend(payload.segments)

    def refuse(fd, size):
        raise OSError("no more maps")

    monkeypatch.setattr("kofn.engines.local._results.map_shared", refuse)
    assert isinstance(held.map(payload.frames, arriving, [os.dup(fd) for fd in fds], gone), OSError)
    monkeypatch.undo()
    del array
    memory.come_back(held.returned)
    again = memory.empty((COUNT,), float)
    again[:] = 5.0
    assert reply(memory, held, again)[1].sum() == 5 * COUNT
