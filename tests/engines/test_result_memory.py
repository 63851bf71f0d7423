"""Results that a task writes where the client reads them: without a copy, and seen by nobody else."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.engines import result_empty
from kofn.engines.local._results import RESULT_BYTES, MappedResults, ResultMemory
from kofn.engines.local._shared_memory import KEPT_FROM, SegmentStore, pack, unpack

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
    return payload, unpack(payload.frames, held.map(payload.frames, arriving, fds, gone).blocks), arriving


def test_elsewhere_it_is_an_ordinary_array():
    array = result_empty((2, 3), np.float32)
    assert array.shape == (2, 3)
    assert array.dtype == np.float32
    assert array.base is None


def test_the_client_sees_the_very_memory_that_the_task_wrote():
    memory, held = ResultMemory(), MappedResults(SegmentStore(lambda: None))
    array = memory.empty((COUNT,), float)
    array[:] = 3.0
    _, value, _ = reply(memory, held, {"part": array[10:20], "all": array.reshape(2, -1)})
    assert value["part"].tolist() == [3.0] * 10
    array[10] = 4.0  # what nobody may do shows that nothing was copied
    assert value["part"][0] == value["all"][0, 10] == 4.0


def test_memory_is_mapped_once_and_used_again():
    memory, held = ResultMemory(), MappedResults(SegmentStore(lambda: None))
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
    memory, held = ResultMemory(), MappedResults(SegmentStore(lambda: None))
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
        assert sum(len(block) for block, _ in kept.values()) <= RESULT_BYTES


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
    memory, held = ResultMemory(), MappedResults(SegmentStore(lambda: None))
    array = memory.empty((COUNT,), float)
    payload = pack(array, memory, memory.new)
    arriving, fds, gone = memory.lend(payload.segments)

    def refuse(fd, size):
        raise OSError("no more maps")

    monkeypatch.setattr("kofn.engines.local._shared_memory.map_shared", refuse)
    assert isinstance(held.map(payload.frames, arriving, [os.dup(fd) for fd in fds], gone), OSError)
    monkeypatch.undo()
    del array
    memory.come_back(held.returned)
    again = memory.empty((COUNT,), float)
    again[:] = 5.0
    assert reply(memory, held, again)[1].sum() == 5 * COUNT


# -- results that travel on ---------------------------------------------------------------------------


@pytest.fixture
def keeping():
    with kofn.LocalPool(2) as own:
        yield kofn.engines.references_of(own)


def spoilt_sum(array):
    array += 1.0
    return float(array.sum())


@pytest.mark.parametrize(("make", "count"), [(filled, COUNT), (np.full, COUNT), (np.full, RESULT_BYTES // 8 + 1)])
def test_what_is_kept_travels_on_without_a_copy(keeping, make, count):
    """In memory that its worker lends, and in a piece of its own where it lends no more."""
    for number in range(3):
        ref = keeping.keep(0, make, count, float(number)).result(60)
        copied = keeping.bytes_sent["shared"]
        for worker in (0, 1, 1):
            assert keeping.submit(worker, spoilt_sum, ref).result(60) == count * (number + 1.0)
        assert keeping.bytes_sent["shared"] == copied
        assert keeping.fetch(ref).result()[-1] == number
        keeping.release(ref)


def test_memory_is_not_lent_again_before_those_who_see_it_are_done(keeping, tmp_path):
    ref = keeping.keep(0, filled, COUNT, 1.0).result(60)
    slow = keeping.submit(1, waits_and_adds, tmp_path / "gate", ref)
    keeping.release(ref)
    del ref
    gc.collect()
    for number in range(5):  # would be written where the other worker reads
        assert keeping.submit(0, filled, COUNT, 7.0 + number).result(60)[0] == 7.0 + number
    (tmp_path / "gate").touch()
    assert slow.result(60) == COUNT


def waits_and_adds(gate, array):
    import time

    while not gate.exists():
        time.sleep(0.005)
    return float(array.sum())


def test_a_result_that_nobody_keeps_is_copied_as_it_is_when_it_is_sent(keeping, tmp_path):
    mine = keeping.submit(0, filled, COUNT, 1.0).result(60)
    slow = keeping.submit(1, waits_and_adds, tmp_path / "gate", mine)
    mine[:] = 5.0
    (tmp_path / "gate").touch()
    assert slow.result(60) == COUNT


def test_descriptors_go_with_what_they_are_of(keeping):
    def descriptors():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    keeping.keep(0, filled, COUNT, 1.0).result(60)
    before = descriptors()
    for _ in range(3):
        refs = [keeping.keep(0, np.ones, RESULT_BYTES // 8 + 1).result(60) for _ in range(3)]
        assert keeping.submit(1, spoilt_sum, refs[0]).result(60) == 2 * len(keeping.fetch(refs[0]).result())
        arrays = [keeping.submit(0, np.ones, RESULT_BYTES // 8 + 1).result(60) for _ in range(2)]
        assert descriptors() == before + len(refs)  # of what is not kept, none
        del refs, arrays
    keeping.submit(1, int).result(60)
    assert descriptors() == before


def test_a_kept_value_outlives_the_process_that_made_it(keeping):
    ref = keeping.keep(0, filled, COUNT, 1.0).result(60)
    keeping.submit(0, os._exit, 1).exception(60)
    assert keeping.submit(0, filled, COUNT, 2.0).result(60)[0] == 2.0
    for worker in range(2):
        assert keeping.submit(worker, spoilt_sum, ref).result(60) == 2 * COUNT
