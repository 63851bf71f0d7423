"""Large shared memory is used again: when nobody can see it any more, never before, and only so much of it."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

import kofn
from kofn.engines.local import _shared_memory as memory
from kofn.engines.local._shared_memory import KEPT_FROM, Memory, SegmentStore, Spares, pack
from processes import linux, opens, until

COUNT = 2 * KEPT_FROM // 8


@pytest.fixture
def pool():
    with kofn.LocalPool(1) as own:
        yield own


def place(array):
    return array.__array_interface__["data"][0]


def test_the_smallest_that_fits_is_taken_and_half_of_it_is_not_wasted():
    spares, sizes = Spares(1 << 30), (1000, 4000, 2000, 9000)
    for number, size in enumerate(sizes):
        assert spares.give(Memory(-1, number, size)) == []
    assert [spares.take(size) for size in (900, 4600, 400, 1500, 2001)] == [
        Memory(-1, 0, 1000), Memory(-1, 3, 9000), None, Memory(-1, 2, 2000), Memory(-1, 1, 4000),
    ]  # fmt: skip


def test_what_is_too_much_goes_the_oldest_first():
    spares = Spares(1000)
    gone = [spares.give(Memory(-1, number, 400)) for number in range(4)]
    assert [[one.id for one in each] for each in gone] == [[], [], [0], [1]]
    assert [one.id for one in spares.give(Memory(-1, 4, 1001))] == [2, 3, 4]


def test_an_array_takes_the_place_of_one_that_is_gone():
    store = SegmentStore(lambda: None)
    first = store.empty((COUNT,), float)
    where = place(first)
    second = store.empty((COUNT,), float)
    assert place(second) != where
    payload = pack(first, store)
    view = first[5:]
    del first
    third = store.empty((COUNT,), float)
    assert place(third) != where  # a view looks at it
    del view
    fourth = store.empty((COUNT,), float)
    assert place(fourth) != where  # it is to be sent
    del payload
    again = store.empty((COUNT - 100,), float)
    assert place(again) == where
    assert store.find(memoryview(again).cast("B")) is not None
    store.close()


def test_a_closed_store_keeps_nothing():
    store = SegmentStore(lambda: None)
    array = store.empty((COUNT,), float)
    segment = pack(array, store).segments[0]
    fd, identity = segment.fd, segment.id
    del array, segment
    os.fstat(fd)
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert list(store.freed) == [identity]


def test_memory_that_a_task_reads_is_not_used_again(pool, tmp_path):
    """The client forgets the array at once, and what it then writes elsewhere is not what the task sees."""
    array = pool.empty((COUNT,))
    array[:] = 1.0
    gate = tmp_path / "gate"
    future = pool.submit(0, lambda a, wait: (wait(), a.sum())[1], array, opens(gate))
    where = place(array)
    del array
    other = pool.empty((COUNT,))
    other[:] = 2.0
    assert place(other) != where
    gate.touch()
    assert future.result(60) == COUNT
    until(lambda: place(pool.empty((COUNT,))) == where)


def test_a_worker_sees_what_is_written_anew_even_where_a_task_has_written(pool):
    for number in range(4):
        array = pool.empty((COUNT,))
        array[:] = number

        def spoil(a):
            before = a.sum()
            a[:] = 99.0
            return before

        for _ in range(2):
            assert pool.submit(0, spoil, array).result(60) == number * COUNT
        del array


def test_a_resident_value_keeps_its_memory(pool):
    array = pool.empty((COUNT,))
    array[:] = 1.0
    pool.put(0, "x", array)
    where = place(array)
    del array
    for number in range(3):
        other = pool.empty((COUNT,))
        other[:] = 7.0
        assert place(other) != where
        assert pool.submit(0, lambda x, n: x.sum() + n, number, keys=("x",)).result(60) == COUNT + number
    pool.drop("x")
    pool.put(0, "x", other)
    assert pool.submit(0, np.sum, keys=("x",)).result(60) == 7 * COUNT


def test_results_that_somebody_holds_stay_as_they_are(pool):
    held = [pool.submit(0, np.full, COUNT, float(number)).result(60) for number in range(3)]
    part = held.pop(1)[10:20]
    for number in range(6):
        assert pool.submit(0, np.full, COUNT, 10.0 + number).result(60).sum() == (10 + number) * COUNT
    assert held[0].sum() == 0.0
    assert held[1].sum() == 2 * COUNT
    assert part.sum() == 10.0
    held[1][:] = 5.0  # a result is one's own
    assert pool.submit(0, np.zeros, COUNT).result(60).sum() == 0.0
    assert held[1].sum() == 5 * COUNT


@linux
def test_results_come_back_in_memory_that_was_used(pool):
    """Not by ids alone: a worker that gets nothing back would have one more segment with each result."""

    def open_files():
        return len(list(Path("/proc/self/fd").iterdir()))

    counts = []
    for _ in range(6):
        result = pool.submit(0, np.zeros, COUNT).result(60)
        assert result.sum() == 0.0
        del result
        counts.append(pool.submit(0, open_files).result(60))
    assert len(set(counts[1:])) == 1


def test_a_new_process_is_told_nothing_of_an_old_ones_memory(pool):
    old = pool.submit(0, np.full, COUNT, 1.0).result(60)
    dead = pool.pids()[0]
    os.kill(dead, signal.SIGKILL)
    until(lambda: pool.pids()[0] not in (None, dead) and pool.state(0) == "idle")
    young = pool.submit(0, np.full, COUNT, 2.0).result(60)
    del old
    assert pool.submit(0, np.full, COUNT, 3.0).result(60).sum() == 3 * COUNT
    assert young.sum() == 2 * COUNT


def test_many_threads_never_share_memory():
    store, wrong = SegmentStore(lambda: None), []

    def work(number):
        for _ in range(200):
            array = store.empty((KEPT_FROM // 8,), float)
            array[:: 1 << 12] = number
            if not (array[:: 1 << 12] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert not wrong


def test_a_pool_keeps_only_so_much(monkeypatch):
    monkeypatch.setattr(memory, "KEPT_BYTES", 3 * KEPT_FROM)
    store = SegmentStore(lambda: None)
    arrays = [store.empty((KEPT_FROM // 8,), float) for _ in range(5)]
    fds = [pack(array, store).segments[0].fd for array in arrays]
    del arrays
    still = 0
    for fd in fds:
        try:
            os.fstat(fd)
            still += 1
        except OSError:
            pass
    assert still == 3
    store.close()


def test_what_tasks_write_into_parts_of_one_array_is_undone(pool):
    """Parts that begin and end within a page: only the pages that a task has seen are looked at."""
    array = pool.empty((COUNT,))
    array[:] = 1.0
    for part in (slice(0, 100), slice(100, 5000), slice(COUNT - 700, COUNT), slice(513, 514), slice(0, COUNT)):

        def spoil(a):
            before = a.sum()
            a[:] = 99.0
            return before

        assert pool.submit(0, spoil, array[part]).result(60) == len(array[part])
        assert pool.submit(0, np.sum, array).result(60) == COUNT
