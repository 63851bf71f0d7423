"""Whose turn it is, how many rows go at once, and what a pool with delays keeps of what it ran."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from kofn import LinearCode
from kofn.jobs._collector import Collector
from kofn.jobs._loop import Run
from kofn.jobs._placement import Placement
from kofn.jobs._stop import Decodable
from kofn.jobs.scheduling._queue import Rota
from kofn.simulation._virtual import ScriptedPool, VirtualClock


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_messages_that_take_no_time_at_all_are_no_reason_to_divide_by_it(rows):
    scheme = kofn.schemes.uncoded(np.eye(2 * rows), np.ones((2 * rows, 1)), workers=2, blocks=(2 * rows, 1))
    clock = VirtualClock()
    pool = ScriptedPool(clock, [[0.0], [0.0]])
    run = Run(scheme, pool, Collector(scheme.code, stop=Decodable()), Placement(pool), clock=clock)
    answer = run.run()
    assert answer.exact
    np.testing.assert_array_equal(answer.value, np.ones((2 * rows, 1)))


@given(st.data())
def test_the_row_that_is_asked_about_is_the_row_that_is_handed_out(data):
    workers = data.draw(st.integers(1, 4))
    rows = data.draw(st.integers(1, 12))
    block = [data.draw(st.integers(0, 3)) for _ in range(rows)]
    worker = [data.draw(st.integers(0, workers - 1)) for _ in range(rows)]
    code = LinearCode("drawn", np.eye(4)[block], np.ones((1, 4)), worker=worker)
    rota = Rota(code, workers, adaptive=data.draw(st.booleans()))
    for _ in range(2 * rows):
        step = data.draw(st.sampled_from(["next", "other", "arrived"]))
        asked = []

        def free(owner, row, asked=asked):
            if said := data.draw(st.booleans()):
                asked.append((owner, row))
            return said

        left = [sorted(lane) for lane in rota._lanes]
        if step == "next":
            given_out = rota.next(data.draw(st.integers(0, workers - 1)), data.draw(st.integers(1, 3)))
        else:
            given_out = rota.from_lanes(range(workers), free)
            assert not given_out or given_out[0] in [row for _, row in asked]
            assert all(row in left[owner] for owner, row in asked)
        for row in given_out:
            assert any(row in lane for lane in left)
            assert not any(row in lane for lane in rota._lanes)
        rota.sent(given_out)
        if step == "arrived":
            rota.came_back(given_out, arrived=True)


def test_a_pool_with_delays_refuses_a_worker_that_it_does_not_have():
    with kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)) as pool:
        for call in (lambda w: pool.submit(w, abs, 1), lambda w: pool.put(w, "a", 1), pool.state):
            for worker in (99, -1, 2):
                with pytest.raises(kofn.ArgumentError, match="'worker' must be"):
                    call(worker)
        with pytest.raises(kofn.ArgumentError, match="'worker' must be"):
            pool.stop(99, "kill")


class Large:
    """A result that can be watched."""


def test_a_pool_with_delays_keeps_no_result():
    with kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)) as pool:
        kept = weakref.ref(pool.submit(0, Large).result())
        pool.submit(1, abs, 1).result()
        gc.collect()
        assert kept() is None
