"""Calls are kept from workers that die of everything, and from those that were wrong in earlier jobs."""

from __future__ import annotations

import math
from concurrent.futures import Future

import pytest

import kofn
from kofn.engines import WrappedPool
from kofn.engines._reputation import JOBS, reputation_of
from kofn.jobs.calls import _events as on
from kofn.jobs.calls._lines import Place
from kofn.jobs.calls._state import HUNG, UNKNOWN_SECONDS, CallState

INPUTS = list(range(40))


def started(workers, calls):
    state = CallState(workers)
    state.handle(on.Added(dict.fromkeys(range(calls), 0)), 0.0)
    return state, sent(state.handle(on.Seen(dict.fromkeys(range(workers), "idle")), 0.0))


def sent(actions):
    return {action.worker: list(action.numbers) for action in actions if isinstance(action, on.Send)}


def lost(worker, state="idle"):
    return on.Lost(worker, state, kofn.WorkerLost("gone", worker))


def returned(worker):
    return on.Returned(worker, "idle", 1, 1.0)


def test_a_worker_that_dies_of_two_calls_in_a_row_is_given_nothing_while_others_work():
    state, first = started(3, 9)
    assert first == {0: [0], 1: [1], 2: [2]}
    assert sent(state.handle(lost(0), 0.1)) == {0: [0]}
    assert sent(state.handle(lost(0), 0.2)) == {}
    assert sent(state.handle(returned(1), 1.0)) == {1: [0]}
    given = []
    for now in range(2, 9):
        for worker in (1, 2):
            given += sent(state.handle(returned(worker), float(now))) if worker in state.flights else []
    assert not state.open and 0 not in given


def test_nobody_looks_all_the_time_for_one_that_is_given_nothing():
    """A call waits for a worker that is gone, and only one that is set aside is idle: time has to pass first."""
    state = CallState(3)
    state.handle(on.Added({0: 0, 1: 8}, {1: Place(1, 8)}), 0.0)
    assert sent(state.handle(on.Seen({0: "idle", 1: "dead", 2: "idle"}), 0.0)) == {0: [0], 2: [1]}
    state.handle(lost(2), 0.1)
    state.handle(lost(2), 0.2)
    assert list(state.flights) == [0] and state.states[2] == "idle" and list(state._lines.of(1)) == [1]
    assert state.wake_at() > 0.2


def test_a_result_in_between_is_forgiveness():
    state, _ = started(2, 9)
    state.handle(lost(0), 0.1)
    assert sent(state.handle(returned(0), 0.2)) == {0: [2]}
    assert sent(state.handle(lost(0), 0.3)) == {0: [2]}


def test_a_call_that_kills_two_workers_is_not_held_against_them():
    state, _ = started(3, 3)
    assert sent(state.handle(lost(0), 0.1)) == {0: [0]}
    assert sent(state.handle(lost(0), 0.2)) == {}
    assert sent(state.handle(returned(1), 0.3)) == {1: [0]}
    [given_up] = state.handle(lost(1), 0.4)  # the third that dies of it
    assert given_up.number == 0
    assert sent(state.handle(on.Added({7: 0, 8: 0}), 0.5)) == {0: [7], 1: [8]}


@pytest.mark.parametrize(("known", "after"), [(1.0, HUNG), (None, UNKNOWN_SECONDS)])
def test_where_the_others_seem_to_hang_whoever_is_there_is_given_what_waits(known, after):
    state, _ = started(2, 9)
    now = 0.0
    if known is not None:
        now = known
        state.handle(returned(1), now)
    state.handle(lost(0), now)
    assert sent(state.handle(lost(0), now)) == {}
    wake = state.wake_at()
    while wake < now + after - 1e-9:  # it may be late by then, which is another reason to look
        assert sent(state.handle(on.Seen({}), wake)) == {}
        wake = state.wake_at()
    assert wake == now + after and sent(state.handle(on.Seen({}), wake)) == {0: [0]}


@pytest.mark.parametrize(("known", "after"), [(1.0, HUNG), (None, UNKNOWN_SECONDS)])
def test_where_the_last_call_hangs_elsewhere_whoever_is_set_aside_repeats_it(known, after):
    state, now = CallState(2), 0.0
    state.handle(on.Added({0: 0, 1: 0}), now)
    assert sent(state.handle(on.Seen({0: "idle"}), now)) == {0: [0]}
    if known is not None:
        now = known
        assert sent(state.handle(returned(0), now)) == {0: [1]}
    state.handle(lost(0), now)
    state.handle(lost(0, "starting"), now)
    left = {1: [1]} if known is not None else {1: [0]}
    assert sent(state.handle(on.Seen({1: "idle"}), now)) == left
    state.handle(on.Dropped([number for number in (0, 1) if number not in left[1]]), now)
    assert sent(state.handle(on.Seen({0: "idle"}), now)) == {}
    assert state.wake_at() == now + after
    assert sent(state.handle(on.Seen({}), now + after)) == {0: left[1]}


def test_nobody_looks_again_and_again_for_what_only_one_could_do_that_is_set_aside():
    state = CallState(3)
    state.handle(on.Added({0: 0}), 0.0)
    state.handle(on.Seen({0: "idle"}), 0.0)
    state.handle(lost(0), 0.0)
    state.handle(lost(0, "starting"), 0.0)
    state.handle(on.Seen({0: "idle", 1: "idle"}), 0.0)
    assert state.flights.keys() == {1}
    assert sent(state.handle(on.Added({1: 0}, {1: Place(2, 8)}), 0.5)) == {}  # worker 2 has its input, and is gone
    assert state.wake_at() == UNKNOWN_SECONDS
    assert sent(state.handle(on.Seen({}), UNKNOWN_SECONDS)) == {0: [1]}


def test_the_last_worker_is_not_set_aside():
    state, _ = started(2, 9)
    state.handle(lost(1, "dead"), 0.1)
    assert sent(state.handle(lost(0), 0.2)) == {0: [0]} and sent(state.handle(lost(0), 0.3)) == {0: [0]}


def test_who_is_left_out_is_given_nothing_whatever_is_seen_of_it():
    state = CallState(2)
    state.handle(on.LeftOut({0}), 0.0)
    state.handle(on.Added(dict.fromkeys(range(4), 0)), 0.0)
    assert sent(state.handle(on.Seen({0: "idle", 1: "idle"}), 0.0)) == {1: [0]}
    assert math.isinf(state.wake_at()) or state.wake_at() > 0.0
    assert not state.is_over and state.handle(lost(1, "dead"), 1.0) == [] and state.is_over


# -- every call of the library that needs no rows -----------------------------------------------------


class Broken(WrappedPool):
    """One of its workers is lost with everything that it is given, and idle again at once."""

    def __init__(self, pool):
        super().__init__(pool)
        self.given = [0] * pool.n

    def submit(self, worker, function, *arguments, keys=()):
        self.given[worker] += 1
        if worker:
            return self._pool.submit(worker, function, *arguments, keys=keys)
        future = Future()
        future.set_exception(kofn.WorkerLost("it died of it", worker))
        return future


def _map(pool):
    answer = kofn.map(str, INPUTS, workers=pool)
    assert answer.exact
    return answer.value


def _imap(pool):
    with kofn.imap(str, INPUTS, workers=pool) as results:
        return list(results)


def _joblib(pool):
    joblib = pytest.importorskip("joblib")
    from kofn.joblib import Backend

    with joblib.parallel_config(backend=Backend(pool), n_jobs=pool.n):
        return joblib.Parallel()(joblib.delayed(str)(x) for x in INPUTS)


CALLS = pytest.mark.parametrize("call", [_map, _imap, _joblib])


@CALLS
def test_a_worker_that_dies_of_everything_costs_no_call(call):
    with kofn.ThreadPool(3) as threads:
        pool = Broken(threads)
        assert call(pool) == [str(x) for x in INPUTS]
        assert pool.given[0] == 2


class Counting(WrappedPool):
    """Counts what each worker is given."""

    def __init__(self, pool):
        super().__init__(pool)
        self.given = [0] * pool.n

    def submit(self, worker, function, *arguments, keys=()):
        self.given[worker] += 1
        return self._pool.submit(worker, function, *arguments, keys=keys)


def disgraced(pool, *workers):
    with pytest.warns(kofn.LeftOut):
        for _ in range(JOBS):
            reputation_of(pool).note(set(workers))
    return pool


@CALLS
def test_a_worker_that_was_wrong_in_earlier_jobs_is_given_no_calls(call):
    with kofn.ThreadPool(3) as threads:
        pool = disgraced(Counting(threads), 1)
        assert call(pool) == [str(x) for x in INPUTS] and pool.given[1] == 0 < pool.given[2]


def test_where_all_were_wrong_it_is_said():
    with (
        kofn.ThreadPool(2) as threads,
        pytest.raises(kofn.NotDecodable, match="all 2 workers are gone, 2 of them set aside for wrong results"),
    ):
        _map(disgraced(Counting(threads), 0, 1))
