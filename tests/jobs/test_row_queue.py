"""The rows that nobody has: their order, equal rows, what is put back, and that no row is given out twice at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kofn import KofnError, LinearCode
from kofn.jobs.scheduling._queue import RowQueue


def lanes_of(queue):
    return {worker: list(lane) for worker, lane in queue.lanes.items()}


def code_of(blocks, workers):
    return LinearCode("drawn", np.eye(4)[blocks], np.ones((1, 4)), worker=workers)


def test_rows_wait_in_the_order_of_the_code_by_worker():
    code = LinearCode("four", np.eye(4), np.ones((1, 4)), worker=[1, 0, 1, 2])
    assert lanes_of(RowQueue(code, 3)) == {0: [1], 1: [0, 2], 2: [3]}
    assert lanes_of(RowQueue(code, 2)) == {0: [1, 3], 1: [0, 2]}  # worker 2 is folded onto worker 0
    assert lanes_of(RowQueue(code, 5)) == {0: [1], 1: [0, 2], 2: [3]}


def test_what_is_put_back_comes_first_and_keeps_its_worker():
    queue = RowQueue(LinearCode("three", np.eye(3), np.ones((1, 3)), worker=[0, 0, 0]), 2)
    queue.take([0, 1])
    assert lanes_of(queue) == {0: [2]}
    queue.mark_back([0, 1], arrived=False)
    for row in (1, 0):
        queue.put_back(row)
    assert lanes_of(queue) == {0: [0, 1, 2]}


def test_a_row_is_not_taken_or_put_back_twice():
    queue = RowQueue(LinearCode("two", np.eye(2), np.ones((1, 2)), worker=[0, 1]), 2)
    queue.take([1])
    with pytest.raises(KofnError, match="row 1 does not wait"):
        queue.take([1])
    with pytest.raises(KofnError, match="row 0 waits already"):
        queue.put_back(0)


@pytest.mark.parametrize("skips_equal", [False, True])
def test_equal_rows_are_dropped_only_where_they_are_of_no_use(skips_equal):
    queue = RowQueue(code_of([0, 1, 0, 0], [0, 0, 1, 1]), 2, skips_equal)
    queue.take([0])
    assert [queue.copies(row) for row in range(4)] == [1, 0, 1, 1]
    assert lanes_of(queue) == {0: [1], 1: [2, 3]}  # it has not arrived yet
    queue.take([2])
    queue.mark_back([0], arrived=True)
    assert lanes_of(queue) == ({0: [1]} if skips_equal else {0: [1], 1: [3]})
    assert [queue.is_news(row) for row in range(4)] == [False, True, False, False]
    queue.mark_back([2], arrived=False)
    queue.put_back(2)
    assert queue.is_waiting(2) == (not skips_equal)
    assert [queue.copies(row) for row in range(4)] == [0, 0, 0, 0]


@given(st.data())
def test_each_row_is_with_one_holder_whatever_happens(data):
    """Rows are taken, arrive, are lost and put back in any order; a second account in plain sets says the same."""
    count = data.draw(st.integers(1, 8))
    blocks = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    owner = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    skips = data.draw(st.booleans())
    workers = data.draw(st.integers(1, 4))
    code = code_of(blocks, owner).on_workers(workers)
    queue = RowQueue(code, workers, skips)
    waiting, held, arrived = set(range(count)), [], set()
    order = {row: row for row in range(count)}  # smaller goes first
    for step in range(data.draw(st.integers(0, 20))):
        what = data.draw(st.sampled_from(["take", "arrive", "lose"]))
        if what == "take" and waiting:
            row = data.draw(st.sampled_from(sorted(waiting)))
            queue.take([row])
            waiting.discard(row)
            held.append(row)
        elif held:
            row = held.pop(data.draw(st.integers(0, len(held) - 1)))
            queue.mark_back([row], arrived=what == "arrive")
            if what == "arrive":
                arrived.add(blocks[row])
                waiting -= {other for other in waiting if skips and blocks[other] in arrived}
            else:
                queue.put_back(row)
                order[row] = -1 - step
                waiting |= {row} - {other for other in range(count) if skips and blocks[other] in arrived}
        assert {row for lane in queue.lanes.values() for row in lane} == waiting
        assert all(queue.is_waiting(row) == (row in waiting) for row in range(count))
        for worker, lane in lanes_of(queue).items():
            assert lane == sorted(lane, key=order.get) and lane
            assert {int(code.worker[row]) for row in lane} == {worker}
        under_way = Counter(blocks[row] for row in held)
        assert [queue.copies(row) for row in range(count)] == [under_way[block] for block in blocks]
        assert [queue.is_news(row) for row in range(count)] == [block not in arrived for block in blocks]
