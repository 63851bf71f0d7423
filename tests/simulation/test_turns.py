"""Whose turn it is, how many rows go at once, and what a pool with delays keeps of what it ran."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import kofn
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.jobs._stop import Decodable
from kofn.simulation._virtual import VirtualPool


@pytest.mark.parametrize("rows", [1, 5, 40])
def test_messages_that_take_no_time_at_all_are_no_reason_to_divide_by_it(rows):
    scheme = kofn.schemes.uncoded(np.eye(2 * rows), np.ones((2 * rows, 1)), workers=2, blocks=(2 * rows, 1))
    pool = VirtualPool([[0.0], [0.0]])
    run = RunLoop(scheme, pool, Collector(scheme.code, stop=Decodable()), Placement(pool))
    answer = run.run()
    assert answer.exact
    np.testing.assert_array_equal(answer.value, np.ones((2 * rows, 1)))


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
