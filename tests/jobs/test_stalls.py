"""Who is late is told while it lasts, and who fails at once again and again is given nothing more."""

import json
import logging
import math
import os
import signal

import numpy as np
import pytest

import kofn
from kofn.engines._wrapped import WrappedPool
from kofn.errors import WorkerLost
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Encoded, Lost, Sent, Submit
from kofn.jobs._stalls import Stalls
from kofn.jobs._state import RunState
from kofn.jobs.report._attempt import Stalled
from kofn.jobs.scheduling import Static
from kofn.simulation import VirtualPool

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((12, 8)), RNG.standard_normal((8, 6))


def told(caplog, delays, **options):
    with caplog.at_level(logging.WARNING, logger="kofn"):
        given = {"code": "uncoded", "scheduler": "static", "blocks": (len(delays), 1)} | options
        answer = kofn.matmul(A, B, workers=VirtualPool(delays), **given)
    return answer, [record.getMessage() for record in caplog.records if record.name == "kofn"]


def test_a_row_that_takes_six_times_as_long_is_told_of_once_and_stands_in_the_report(caplog):
    answer, said = told(caplog, [[2.0], [2.0], [13.0], [9.0]])
    assert said == ["uncoded: worker 2 has computed row 2 for 10.0 s, where 2.0 s are usual."]
    assert answer.exact and answer.report.stalled == (Stalled(2, 2, 13.0, 2.0),)
    assert str(Stalled(2, 2, 13.0, 2.0)) in str(answer.report)
    assert json.loads(json.dumps(answer.report.to_dict()))["stalled"] == [
        {"worker": 2, "row": 2, "seconds": 13.0, "usual": 2.0}
    ]


def test_a_call_of_a_map_that_seems_to_hang_is_told_of_once_and_stands_in_the_report(caplog):
    pool = VirtualPool([[1.0, math.inf], [1.0, math.inf, 1.0]])  # of three calls the last hangs at both, and again
    with caplog.at_level(logging.WARNING, logger="kofn"):
        answer = kofn.map(abs, range(3), workers=pool, deadline=100.0)
    hung = Stalled(0, 2, 20.0, 1.0)  # after twenty medians; its copy, which began later, is let run
    assert [record.getMessage() for record in caplog.records] == [
        f"call 2 seems to hang, and is tried once more: {hung}"
    ]
    assert answer.report.stalled == (hung,) and answer.recovered.tolist() == [True, True, False]
    assert "where 0.002 s are usual" in str(Stalled(0, 2, 1.0, 0.002))


def test_what_is_quicker_than_a_second_stalls_for_nobody(caplog):
    answer, said = told(caplog, [[0.01], [0.01], [0.9]])
    assert answer.exact and not said and not answer.report.stalled


def test_a_row_of_more_load_is_usual_for_longer(caplog):
    code = kofn.LinearCode("loads", np.eye(3), np.eye(3), worker=[0, 1, 2], load=[1.0, 1.0, 4.0])
    tasks = [kofn.Task(np.ones, ((2, 6),)) for _ in range(3)]
    layout = kofn.schemes.uncoded(np.eye(6), np.eye(6), blocks=(3, 1), rows=3).grid
    prior = kofn.Prior.independent(np.ones(3))
    scheme = kofn.schemes.CustomScheme(code, tasks, prior, layout)
    with caplog.at_level(logging.WARNING, logger="kofn"):
        answer = kofn.run(scheme, VirtualPool([[1.0], [1.0], [19.0]]), stop=kofn.Count(3))
        assert not caplog.records and not answer.report.stalled
        kofn.run(scheme, VirtualPool([[1.0], [1.0], [21.0]]), stop=kofn.Count(3))
        assert "worker 2 has computed row 2 for 20.0 s, where 4.0 s are usual" in caplog.text


def test_what_never_comes_is_told_of_before_the_deadline(caplog):
    answer, said = told(caplog, [[1.0], [1.0], [math.inf]], deadline=30.0)
    assert len(said) == 1 and "worker 2 has computed row 2 for 5.0 s" in said[0]
    assert answer.report.stalled == (Stalled(2, 2, 30.0, 1.0),) and not answer.exact


def test_nothing_is_usual_before_the_first_result(caplog):
    _, said = told(caplog, [[50.0], [50.0], [50.0]])
    assert not said


# -- who fails at once --------------------------------------------------------------------------------


def drive(state, event, now):
    """Carry out what is wanted, and return what was submitted."""
    submitted, actions = [], state.handle(event, now)
    while actions:
        action = actions.pop(0)
        if isinstance(action, Submit):
            submitted.append((action.worker, list(action.rows)))
            actions += state.handle(Sent(action.worker, now), now)
    state.check()
    return submitted


def started(workers):
    code = kofn.LinearCode("plain", np.eye(4), np.eye(4), worker=[row % workers for row in range(4)])
    state = RunState(Collector(code), workers, Static())
    drive(state, Encoded(["idle"] * workers), 0.0)
    return state


def lost(worker):
    return Lost(worker, "idle", WorkerLost("gone", worker))


def test_a_worker_that_is_lost_twice_in_a_row_is_given_nothing_more_and_no_row_is_given_up():
    state = started(2)
    assert drive(state, lost(0), 1.0) == [(0, [0])]
    assert drive(state, lost(0), 2.0) == []
    given = []
    for now in (3.0, 4.0, 5.0, 6.0):
        given += drive(state, Arrived(1, "idle", [1e-16]), now)
    assert state.collector.exact and not state.given_up and {worker for worker, _ in given} == {1}


def test_a_result_in_between_is_forgiveness():
    state = started(2)
    assert drive(state, lost(0), 1.0) == [(0, [0])]
    assert drive(state, Arrived(0, "idle", [1e-16]), 2.0) == [(0, [2])]
    assert drive(state, lost(0), 3.0) == [(0, [2])]


def test_the_last_worker_is_not_set_aside():
    state = started(1)
    assert drive(state, lost(0), 1.0) == [(0, [0])] and drive(state, lost(0), 2.0) == [(0, [0])]


class Broken(WrappedPool):
    """One of its workers dies of everything."""

    def submit(self, worker, function, *arguments, keys=()):
        function = die if worker == 0 else function
        return self._pool.submit(worker, function, *arguments, keys=keys)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes")
def test_a_broken_worker_that_comes_back_again_and_again_costs_no_row(local_pool):
    answer = kofn.matmul(A, B, workers=Broken(local_pool), code="uncoded", scheduler="static", blocks=(4, 1))
    assert answer.exact and np.allclose(answer.value, A @ B)
    assert {attempt.worker for attempt in answer.report.of("lost")} == {0} and len(answer.report.of("lost")) <= 2


class Waits:
    """A clock that stands still and notes how long it was to wait."""

    def __init__(self, now):
        self._now, self.seconds = now, []

    def now(self):
        return self._now

    def wait(self, inbox, seconds):
        self.seconds.append(seconds)


def test_a_wait_for_what_is_later_by_one_rounding_is_none_of_no_time():
    """Or a run in virtual time looks at one moment for ever, which a product of an operator did."""
    view = RunState(Collector(kofn.schemes.uncoded(A, B, blocks=(2, 1), workers=2).code), 2, Static()).view
    for started, elapsed in np.random.default_rng(0).random((1000, 2)) * [1e4, 1.0]:
        clock = Waits(started + elapsed)
        wake = math.nextafter(clock.now() - started, math.inf)
        Stalls(view, clock).wait(None, wake, started)
        assert clock.seconds[-1] > 0
