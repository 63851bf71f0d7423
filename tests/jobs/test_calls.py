"""Calls as a state machine: any order of events leaves every call done, given up, waiting or at a worker."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from draws import examples
from kofn import ThreadPool
from kofn._base._clock import RealClock
from kofn.engines import WrappedPool
from kofn.engines._protocol import POLL_SECONDS
from kofn.errors import ArgumentError, PoolClosed, WorkerLost
from kofn.jobs._lease import PoolLease
from kofn.jobs.calls import _events as on
from kofn.jobs.calls._lines import Place
from kofn.jobs.calls._loop import CallLoop
from kofn.jobs.calls._state import ATTEMPTS, HUNG_SECONDS, CallState
from kofn.jobs.calls._tempo import MESSAGE_BYTES, MESSAGE_SECONDS, MOST_CALLS, Tempo

DEAD = WorkerLost("it died", 0)


def started(workers, calls, ends=False):
    state = CallState(workers, ends)
    first = state.handle(on.Added(dict.fromkeys(range(calls), 0)), 0.0)
    assert first == []
    return state, state.handle(on.Seen(dict.fromkeys(range(workers), "idle")), 0.0)


def warmed(workers, seconds, ends=False):
    """Every worker has come back with one call that took so long."""
    state, _ = started(workers, workers, ends)
    for worker in range(workers):
        state.handle(on.Returned(worker, "idle", 1, seconds), seconds)
    return state


def sent(actions):
    return {action.worker: list(action.numbers) for action in actions if isinstance(action, on.Send)}


def test_calls_go_out_in_order_one_by_one_until_something_is_known_of_them():
    state, first = started(2, 5)
    assert sent(first) == {0: [0], 1: [1]}
    assert sent(state.handle(on.Returned(1, "idle", 1, 0.1), 0.1)) == {1: [2]}


def test_short_calls_travel_together_and_the_last_messages_are_short():
    state = warmed(2, 1e-4)
    sizes = []
    actions = state.handle(on.Added(dict.fromkeys(range(100, 3100), 0)), 1.0)
    while given := sent(actions):
        sizes += [len(numbers) for numbers in given.values()]
        actions = []
        for worker in list(state.flights):
            actions += state.handle(on.Returned(worker, "idle", len(state.flights[worker].numbers), 1e-2), 1.0)
    assert sizes[:2] == [8, 8] and max(sizes) <= MESSAGE_SECONDS / 1e-4
    assert sizes[-1] == 1 and sizes[-4:] == sorted(sizes[-4:], reverse=True)
    assert not state.open


def test_what_a_worker_did_not_come_to_goes_to_others_first():
    state = warmed(1, 1e-3)
    actions = state.handle(on.Added(dict.fromkeys(range(10, 30), 0)), 1.0)
    assert sent(actions) == {0: list(range(10, 18))}
    assert sent(state.handle(on.Returned(0, "idle", 3, 3e-3), 1.1))[0][:2] == [13, 14]


def test_large_arguments_go_alone():
    state = warmed(1, 1e-3)
    calls = {10: 1, 11: MESSAGE_BYTES, 12: MESSAGE_BYTES // 2, 13: 5, **dict.fromkeys(range(14, 40), 0)}
    assert sent(state.handle(on.Added(calls), 1.0)) == {0: [10]}
    assert sent(state.handle(on.Returned(0, "idle", 1, 1e-3), 1.1)) == {0: [11]}


def test_an_idle_worker_repeats_what_another_is_late_with_and_the_first_result_counts():
    state = warmed(2, 0.1)
    state.handle(on.Added({10: 0, 11: 0}), 1.0)
    assert sent(state.handle(on.Returned(1, "idle", 1, 0.1), 1.1)) == {}
    late = state.wake_at()
    assert 1.1 < late < 1.2
    assert sent(state.handle(on.Seen({}), late)) == {1: [10]}
    assert state.handle(on.Returned(1, "idle", 1, 0.1), 1.25) == [on.End(0)]  # an engine that cannot end it lets it run
    assert not state.open and state.states == ["busy", "idle"]


def test_a_worker_that_works_for_nothing_has_time_to_end_before_it_is_ended():
    state = warmed(2, 0.1, ends=True)
    state.handle(on.Added({10: 0, 11: 0}), 1.0)
    state.handle(on.Returned(1, "idle", 1, 0.1), 1.1)
    state.handle(on.Seen({}), 1.17)
    assert state.handle(on.Returned(1, "idle", 1, 0.1), 1.27) == []
    assert state.wake_at() == pytest.approx(1.3)
    assert state.handle(on.Seen({}), 1.31) == [on.End(0)]


def test_what_hangs_is_ended_once_and_tried_after_everything_else():
    state = warmed(1, 0.01, ends=True)
    assert sent(state.handle(on.Added({10: 0, 11: 0}), 1.0)) == {0: [10]}
    assert state.wake_at() == 1.0 + HUNG_SECONDS
    assert state.handle(on.Seen({}), 1.0 + HUNG_SECONDS) == [on.End(0)]
    assert sent(state.handle(on.Seen({0: "idle"}), 2.1)) == {0: [11]}
    assert sent(state.handle(on.Returned(0, "idle", 1, 0.01), 2.2)) == {0: [10]}
    assert state.wake_at() == math.inf  # it may just take long: restarts do not loop
    assert state.handle(on.Seen({}), 1e6) == []


def test_an_engine_that_cannot_end_a_worker_is_not_asked_to():
    state = warmed(1, 0.01)
    state.handle(on.Added({10: 0, 11: 0}), 1.0)
    assert state.handle(on.Seen({}), 1e6) == []


def test_who_dies_of_many_calls_lets_each_be_tried_alone_and_one_alone_costs_lives():
    state = warmed(1, 1e-3)
    numbers = sent(state.handle(on.Added(dict.fromkeys(range(10, 26), 0)), 1.0))[0]
    assert len(numbers) == 8
    for _ in range(ATTEMPTS):
        assert sent(state.handle(on.Lost(0, "idle", DEAD), 1.1)) == {0: [10]}
    last = state.handle(on.Lost(0, "idle", DEAD), 1.2)
    assert last[0] == on.GiveUp(10, 0, DEAD) and sent(last) == {0: [11]}


def test_a_message_without_results_is_taken_apart_to_find_the_call():
    state = warmed(1, 1e-3)
    state.handle(on.Added(dict.fromkeys(range(10, 26), 0)), 1.0)
    error = TypeError("cannot pickle")
    assert sent(state.handle(on.Undelivered(0, "idle", error), 1.1)) == {0: [10]}
    assert sent(state.handle(on.Returned(0, "idle", 1, 1e-3), 1.2)) == {0: [11]}
    assert state.handle(on.Undelivered(0, "idle", error), 1.3)[0] == on.GiveUp(11, 0, error)


def test_what_nobody_wants_is_given_to_nobody_and_its_worker_let_go():
    state, _ = started(1, 3)
    assert state.handle(on.Dropped([0, 1]), 0.1) == [on.End(0)]
    assert sent(state.handle(on.Seen({0: "idle"}), 0.2)) == {0: [2]}


def test_what_is_dropped_before_its_turn_is_not_sent():
    with ThreadPool(1) as pool, PoolLease(pool, "f") as lease:
        loop = CallLoop(lease.pool, lease.placement, len)
        loop.begin()
        loop.add(0, ("a",))
        loop.add(1, ("abc",))
        loop.drop(0)
        results = []
        while not results:
            results += loop.turn()
        loop.close()
    assert [(result.number, result.value) for result in results] == [(1, 3)]


@pytest.mark.parametrize("end", [on.Lost(0, "idle", DEAD), on.Undelivered(0, "idle", TypeError("no"))])
@pytest.mark.parametrize("dropped", [[10], list(range(10, 18))])
def test_a_call_that_was_dropped_is_forgotten_when_its_message_is_lost(end, dropped):
    state = warmed(1, 1e-3, ends=True)
    assert sent(state.handle(on.Added(dict.fromkeys(range(10, 26), 0)), 1.0)) == {0: list(range(10, 18))}
    state.handle(on.Dropped(dropped), 1.0)
    state.handle(end, 1.0)
    state.check()
    assert state.open == set(range(10, 26)) - set(dropped)


def test_a_single_call_that_was_dropped_is_forgotten_when_its_worker_is_lost():
    state, _ = started(1, 1, ends=True)
    state.handle(on.Dropped([0]), 0.0)
    state.handle(on.Lost(0, "idle", DEAD), 0.0)
    state.check()


class Refusing(WrappedPool):
    """Its worker is busy to begin with, and takes no call."""

    looks = 0

    def state(self, worker):
        self.looks += 1
        return "busy" if self.looks < 3 else "idle"

    def _begin(self, begin, worker, function, arguments, keys):
        raise ArgumentError("'calls' must be picklable")


def test_what_cannot_be_sent_to_a_worker_that_came_back_by_itself_is_told():
    """A look at workers that were away gives calls out, and what comes of that must not be lost: somebody waits."""
    with ThreadPool(1) as threads, PoolLease(Refusing(threads), "f") as lease:
        loop = CallLoop(lease.pool, lease.placement, abs)
        loop.begin()
        loop.add(7, (1,))
        results = [result for _ in range(5) for result in loop.turn(until=loop.now + 1.0)]
        assert [(result.number, type(result.failure)) for result in results] == [(7, ArgumentError)]
        loop.close()


class Closing(WrappedPool):
    """It takes one call, and is closed then."""

    calls = 0

    def _begin(self, begin, worker, function, arguments, keys):
        self.calls += 1
        if self.calls > 1:
            raise PoolClosed("it was closed")
        return super()._begin(begin, worker, function, arguments, keys)


def test_what_came_is_handed_on_before_the_end_is_told():
    """Its call is forgotten by then, so that nobody else would tell whoever waits for it."""
    with ThreadPool(1) as threads, PoolLease(Closing(threads), "f") as lease:
        loop = CallLoop(lease.pool, lease.placement, abs)
        loop.begin()
        loop.add(7, (-1,))
        loop.add(8, (-2,))
        assert [(result.number, result.value) for result in loop.turn() or loop.turn()] == [(7, 1)]
        with pytest.raises(PoolClosed):
            loop.turn()
        assert loop.forsake() == [8]


def test_what_nobody_wants_when_it_is_sent_costs_its_worker_nothing():
    state, first = started(1, 2)
    assert sent(first) == {0: [0]}
    assert sent(state.handle(on.Refused(0, "idle", [0]), 0.0)) == {0: [1]}
    state.check()
    assert state.open == {1}


def test_calls_that_were_dropped_at_their_place_wake_nobody():
    state = CallState(1)
    state.handle(on.Seen({0: "idle"}), 0.0)
    actions = state.handle(on.Added(dict.fromkeys(range(3), 0), dict.fromkeys(range(3), Place(0, 8))), 0.0)
    assert sent(actions) == {0: [0]}
    state.handle(on.Dropped([1, 2]), 0.1)
    state.handle(on.Returned(0, "idle", 1, 0.2), 0.2)
    assert not state.open and state.wake_at() == math.inf


class Ticking:
    """A clock on which something happens all the time, and never a pause of `POLL_SECONDS`."""

    time = 0.0

    def now(self):
        return self.time

    def wait(self, inbox, seconds):
        self.time += POLL_SECONDS / 2
        return inbox.get()


class Joining(WrappedPool):
    """Its last worker becomes ready after some time."""

    def __init__(self, pool):
        super().__init__(pool)
        self.clock = Ticking()

    def state(self, worker):
        return "starting" if worker and self.clock.time < 0.1 else super().state(worker)


def test_who_becomes_ready_is_noticed_while_others_come_back_all_the_time():
    """Each call has so many bytes that it travels alone."""
    large = np.empty(MESSAGE_BYTES, np.int8)
    with ThreadPool(2) as threads, PoolLease(Joining(threads), "f") as lease:
        loop = CallLoop(lease.pool, lease.placement, len)
        loop.begin()
        for number in range(200):
            loop.add(number, (large,))
        results = []
        while len(results) < 200:
            results += loop.turn()
        loop.close()
    assert {result.worker for result in results} == {0, 1}


def test_the_tempo_is_the_median_and_bounded():
    tempo = Tempo(1)
    for seconds in (1e-9, 1e-9, 5.0):
        tempo.add(0, 1000, seconds, 1.0)
    assert tempo.most == MOST_CALLS == tempo.room(0, 10**6, 1)
    for _ in range(100):
        tempo.add(0, 1, 1.0, 1.0)
    assert (tempo.most, tempo.computing) == (1, 1.0)


EVENTS = st.sampled_from(["add", "back", "part", "lost", "odd", "refused", "time", "seen", "drop", "died"])


@examples(300)
@given(st.integers(1, 4), st.booleans(), st.lists(st.tuples(EVENTS, st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_any_order_of_events_keeps_every_call_somewhere(workers, ends, script):
    state, _ = started(workers, 2, ends)
    calls, now, given_up = 2, 0.0, set()

    def tell(event):
        for action in state.handle(event, now):
            if isinstance(action, on.GiveUp):
                given_up.add(action.number)
        state.check()
        may_go_on = state.flights or math.isfinite(state.wake_at())
        assert may_go_on or state.is_over or not state.open, "nothing would ever happen again"

    for kind, which, much in script:
        flights = sorted(state.flights)
        worker = flights[which % len(flights)] if flights else None
        if kind == "add":
            calls += much
            tell(on.Added(dict.fromkeys(range(calls - much, calls), 1 << 23)))
        elif kind == "time":
            now += (0.01, 0.3, 1.0, 50.0)[much]
            tell(on.Seen({}))
        elif kind == "seen":
            tell(on.Seen(dict.fromkeys(state.absent, "idle")))
        elif kind == "drop":
            tell(on.Dropped(sorted(state.open)[:much]))
        elif worker is not None:
            count = len(state.flights[worker].numbers)
            tell(
                {
                    "back": on.Returned(worker, "idle", count, 0.01),
                    "part": on.Returned(worker, "idle", max(1, count - much), 0.05),
                    "lost": on.Lost(worker, "starting", DEAD),
                    "odd": on.Undelivered(worker, "idle", TypeError("no")),
                    "refused": on.Refused(worker, "busy"),
                    "died": on.Lost(worker, "dead" if which else "starting", DEAD),
                }[kind]
            )
    for _ in range(4 * calls + 8):  # now all goes well
        if state.is_over or not state.open:
            break
        now += 1.0
        tell(on.Seen(dict.fromkeys(state.absent, "idle")))
        for worker in sorted(state.flights):
            if worker in state.flights:
                tell(on.Returned(worker, "idle", len(state.flights[worker].numbers), 0.01))
    assert state.is_over or not state.open


class NeverWaits(RealClock):
    def wait(self, inbox, seconds):
        raise AssertionError("it waits, and nothing will come")


def test_a_loop_that_learns_from_a_new_call_that_all_workers_are_gone_waits_for_nothing():
    with ThreadPool(2) as pool, PoolLease(pool, "f") as lease:
        pool.clock = NeverWaits()
        loop = CallLoop(lease.pool, lease.placement, len)
        loop.begin()  # all are idle
        pool.close()
        loop.add(0, ("abc",))  # who adds calls wakes the loop, which may have heard that before it looks for them
        assert loop.turn() == [] and loop.is_over and loop.unfinished == 1
        assert isinstance(loop.end, PoolClosed)
        assert loop.forsake() == [0]
        with pytest.raises(AssertionError, match="it waits"):
            loop.turn()  # or its thread would spin
