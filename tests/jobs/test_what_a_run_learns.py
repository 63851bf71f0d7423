"""What a run takes note of while it goes on: how long data moves, what was audited."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Decode, Encoded, Sent, Submit, Vanished, WakeAt
from kofn.jobs._holders import Holders
from kofn.jobs._state import RunState

EPSILON = float(np.finfo(float).eps)


@pytest.mark.parametrize(("moved", "expected"), [(1000, 4.0), (0, 1e-5)])
def test_the_time_in_which_data_moves_counts_from_when_it_was_decided(moved, expected):
    code = kofn.LinearCode("one", np.eye(2), np.eye(2), worker=[0, 0])
    state = RunState(Collector(code), 1, kofn.Static())
    state.handle(Encoded(["idle"]), 0.0)
    state.handle(Sent(0, 3.0, moved_bytes=moved), 3.0)
    state.handle(Arrived(0, "idle", [EPSILON]), 4.0)
    assert state.view.speed.moving_seconds(1000) == expected  # nothing else came back: all of it counts as moving


def test_what_arrives_after_an_audit_is_not_vouched_for():
    code = kofn.LinearCode("any two", [[1, 0], [0, 1], [1, 1], [1, -1]], np.eye(2), worker=range(4))
    collector = Collector(code, surplus=1)
    for row in range(3):
        assert not collector.wants_audit
        collector.add(row, 0.0)
    assert collector.wants_audit and not collector.exact
    collector.vouch()
    assert not collector.wants_audit
    collector.add(3, 0.0)
    assert collector.wants_audit and not collector.exact
    collector.vouch()
    assert collector.exact


def test_results_that_stay_at_workers_count_as_long_as_they_are_there():
    code = kofn.LinearCode("pair", np.eye(2), np.eye(2), worker=[0, 1])
    state = RunState(Collector(code), 2, kofn.Static(), holders=Holders(1.5))
    state.handle(Encoded(["idle", "idle"]), 0.0)
    for worker in range(2):
        state.handle(Sent(worker, 0.0), 0.0)
    assert isinstance(state.handle(Arrived(0, "idle", [EPSILON]), 1.0)[0], WakeAt)
    assert state.handle(Arrived(1, "idle", [EPSILON]), 1.0) == [Decode()]
    assert state.handle(Vanished([1]), 2.0) == [Submit(1, [1])]
    assert state.collector.received == [0]
    state.handle(Sent(1, 2.0), 2.0)
    assert state.handle(Arrived(1, "idle", [EPSILON]), 3.0) == [Decode()]
