"""Backups on demand: copies of what is being computed, and fresh combinations of all that is missing."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

import kofn
from kofn.codes import RatelessRows
from kofn.errors import WorkerLost
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Decode, Encoded, Ended, Fail, Lost, Restart, Sent, Submit, Tick, WakeAt
from kofn.jobs._state import RunState
from kofn.jobs.scheduling import Copy, Fresh, InFlight, Rows, Scheduler, Wait
from kofn.simulation import VirtualPool
from recorded_delays import Recorded

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((24, 10)), RNG.standard_normal((10, 18))
EPSILON = float(np.finfo(float).eps)


def plain(rows, workers):
    return kofn.LinearCode("plain", np.eye(rows), np.eye(rows), worker=np.arange(rows) % workers)


def state_of(scheduler, rows=3, workers=3):
    code = plain(rows, workers)
    return RunState(Collector(code), workers, scheduler, rows=RatelessRows(code))


def tell(state, event, now):
    """What it does in the end, and what it submitted on the way."""
    submitted = []
    actions = state.handle(event, now)
    state.check()
    while isinstance(actions[0], Submit):
        submitted.append((actions[0].worker, list(actions[0].rows)))
        actions = state.handle(Sent(actions[0].worker, now), now)
        state.check()
    return actions, submitted


@pytest.mark.parametrize("blocks", [(8, 1), (1, 8), (4, 2), (2, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, complex])
def test_a_product_is_exact_without_the_slowest_rows(blocks, dtype):
    a, b = A.astype(dtype), B.astype(dtype)
    if dtype is complex:
        a, b = a + 1j * RNG.standard_normal(a.shape), b - 1j * RNG.standard_normal(b.shape)
    scheme = kofn.schemes.uncoded(a, b, blocks=blocks, workers=8)
    pool = VirtualPool([[1.0]] * 5 + [[math.inf]] * 3)
    answer = kofn.run(scheme, pool, scheduler="coded")
    assert answer.exact and answer.recovered.all() and answer.report.seconds == 2.0
    assert len(answer.report.fresh_rows) >= 3 and answer.value.dtype == dtype
    size = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=0)
    bound = (50 * answer.amplification + 10) * np.finfo(dtype).eps
    assert np.all(np.abs(answer.value - a @ b) <= bound * size)


def test_the_report_tells_fresh_rows():
    scheme = kofn.schemes.uncoded(A, B, blocks=(4, 1), workers=4)
    pool = VirtualPool([[1.0], [1.0], [60.0], [60.0]])
    report = kofn.run(scheme, pool, scheduler=kofn.CodedBackups(after=0.0)).report
    fresh = report.to_dict()["fresh_rows"]
    assert fresh[:2] == [4, 5] and {a.row for a in report.of("arrived")} == {0, 1, 4, 5}
    assert [line.split()[3] for line in report.details().splitlines() if line.endswith(", fresh")] == [
        str(r) for r in fresh
    ]


def test_where_nothing_straggles_nothing_is_made():
    scheme = kofn.schemes.uncoded(A, B, blocks=(8, 1), workers=4)
    report = kofn.run(
        scheme, VirtualPool([[1.0], [1.01], [0.99], [1.02]]), scheduler=kofn.CodedBackups(after=1.2)
    ).report
    assert not report.fresh_rows and len(report.attempts) == 8


@pytest.mark.parametrize("spare", [0, 5])
def test_where_memory_is_short_rows_are_copied(spare):
    scheme = kofn.schemes.uncoded(A, B, blocks=(8, 1), workers=4)
    encoding = scheme.encoding()
    limit = encoding.needed_at_once(4) + (4 + spare) * encoding.result_nbytes
    assert limit < encoding.nbytes + 8 * encoding.result_nbytes
    pool = VirtualPool([[1.0]] * 3 + [[60.0]])
    answer = kofn.run(scheme, pool, scheduler="coded", memory_limit_bytes=limit)
    assert answer.exact and not answer.report.fresh_rows and np.allclose(answer.value, A @ B)


def test_with_one_row_missing_a_fresh_row_is_a_copy_of_it():
    state = state_of(kofn.CodedBackups(after=0.0))
    assert tell(state, Encoded(["idle"] * 3), 0.0)[1] == [(0, [0]), (1, [1]), (2, [2])]
    assert tell(state, Arrived(0, "idle", [EPSILON]), 1.0)[1] == [(0, [3])]
    assert np.flatnonzero(state.collector.code.generator[3]).tolist() == [1, 2]
    assert tell(state, Arrived(1, "idle", [EPSILON]), 2.0)[1] == [(1, [2])]
    assert tell(state, Arrived(0, "idle", [EPSILON]), 3.0)[0] == [Decode()]
    assert state.collector.received == [0, 1, 3]


def test_nothing_is_combined_where_all_is_there_and_a_stop_rule_waits_on():
    answer = kofn.matmul(A, B, workers=VirtualPool([[1.0]] * 4), blocks=(4, 1), stop=kofn.NoProgress(10.0))
    assert answer.exact and not answer.report.fresh_rows
    np.testing.assert_allclose(answer.value, A @ B)


def test_no_more_is_combined_than_is_needed_where_a_stop_rule_waits_on():
    scheme = kofn.schemes.uncoded(A, B, blocks=(4, 1), workers=4)
    pool = VirtualPool([[1.0]] * 2 + [[math.inf]] * 2)
    answer = kofn.run(scheme, pool, scheduler="coded", stop=kofn.NoProgress(10.0))
    assert answer.exact and len(answer.report.fresh_rows) <= 3
    assert answer.report.seconds <= 13.0


def test_a_fresh_row_that_is_lost_is_given_out_again():
    state = state_of(kofn.CodedBackups(after=0.0))
    tell(state, Encoded(["idle"] * 3), 0.0)
    assert tell(state, Arrived(0, "idle", [EPSILON]), 1.0)[1] == [(0, [3])]
    assert tell(state, Lost(0, "dead", WorkerLost("gone", 0)), 1.5)[1] == []
    assert state.view.waiting == {0: [3]} or list(state.view.waiting[0]) == [3]
    assert tell(state, Arrived(1, "idle", [EPSILON]), 2.0)[1] == [(1, [3])]


def test_a_row_that_kills_workers_ends_fresh_ones():
    state = state_of(kofn.CodedBackups(after=0.0), rows=2, workers=2)
    tell(state, Encoded(["idle"] * 2), 0.0)
    assert tell(state, Arrived(0, "idle", [EPSILON]), 1.0)[1] == [(0, [1])]
    assert tell(state, Lost(1, "idle", WorkerLost("gone", 1)), 2.0)[1] == [(1, [1])]
    assert (
        tell(state, Lost(1, "idle", WorkerLost("gone", 1)), 3.0)[1] == []
    )  # it is set aside; the other one has the row
    actions, submitted = tell(state, Lost(0, "idle", WorkerLost("gone", 0)), 4.0)
    assert state.given_up == [1] and not state.view.makes_rows
    assert submitted == [] and isinstance(actions[0], Fail)


def test_it_waits_for_a_result_more_where_rounding_would_be_amplified():
    code = plain(2, 3)
    collector = Collector(code)
    for row in ([1.0, 1.0], [1.0, 1.0 + 1e-5]):
        code = code.extended(np.array(row), 2)
    collector.extend(code, 1e3)
    for row in (2, 3):
        collector.add(row, 1.0, EPSILON)
    assert collector.decoding.exact and collector.decoding.amplification > 1e3 and not collector.done
    kept = Collector(code)
    for row in (2, 3):
        kept.add(row, 1.0, EPSILON)
    assert kept.done
    collector.add(0, 2.0, EPSILON)
    assert collector.done and collector.decoding.amplification < 1e3


def test_it_takes_what_there_is_where_nothing_more_can_come():
    collector = Collector(plain(2, 2))
    collector.extend(plain(2, 2).extended(np.array([1.0, 1e-4]), 0), 1e3)
    collector.add(0, 1.0, EPSILON)
    collector.add(2, 1.0, EPSILON)
    assert not collector.done
    collector.settle()
    assert collector.done and collector.exact


class Once(Scheduler):
    """Rows of its own, then a fresh one."""

    def assign(self, worker, view):
        lane = view.waiting.get(worker)
        return Rows([lane[0]]) if lane else Fresh()


def test_fresh_rows_that_cannot_be_are_refused():
    state = RunState(Collector(plain(2, 2)), 3, Once())
    with pytest.raises(kofn.ArgumentError, match="'scheduler' must ask for fresh rows where they can be made"):
        tell(state, Encoded(["idle"] * 3), 0.0)


# -- what hangs is ended ------------------------------------------------------------------------------


def test_what_runs_too_long_is_ended_and_given_to_another():
    scheme = kofn.schemes.uncoded(A, B, blocks=(4, 1), workers=2)
    pool = VirtualPool([[1.0], [math.inf, 1.0]])
    answer = kofn.run(scheme, pool, scheduler=kofn.Adaptive(restart_after=3.0))
    assert answer.exact and np.allclose(answer.value, A @ B)
    [ended] = answer.report.of("restarted")
    assert (ended.row, ended.worker, ended.ended) == (1, 1, 3.0) and answer.report.seconds == 4.0
    assert "1 restarted" in str(answer.report) and answer.report.to_dict()["attempts"][1]["outcome"] == "restarted"


def test_the_limit_of_a_row_doubles_so_that_what_is_slow_wherever_it_runs_ends():
    state = started = RunState(Collector(plain(2, 2)), 2, kofn.Static(restart_after=2.0))
    actions = state.handle(Encoded(["idle", "idle"], ends=True), 0.0)
    while isinstance(actions[0], Submit):
        actions = state.handle(Sent(actions[0].worker, 0.0), 0.0)
    assert actions == [WakeAt(math.inf)]  # nobody knows how long a row takes
    now, ends = 1.0, []
    actions = started.handle(Arrived(0, "idle", [EPSILON]), now)
    worker = 1
    for _ in range(4):
        now = actions[-1].time
        ends.append(now)
        assert state.handle(Tick(), now) == [Restart(worker)]
        [submit] = state.handle(Ended(worker, "idle"), now)
        assert isinstance(submit, Submit) and submit.rows == [1] and submit.worker != worker  # to the one that is idle
        worker = submit.worker
        actions = state.handle(Sent(worker, now), now)
        state.check()
    assert ends == [2.0, 2.0 + 4.0, 6.0 + 8.0, 14.0 + 16.0]
    assert [attempt.outcome for attempt in state.attempts] == ["arrived", *["restarted"] * 4]


def test_what_ended_by_itself_meanwhile_is_taken():
    state = RunState(Collector(plain(2, 2)), 2, kofn.Static(restart_after=2.0))
    tell(state, Encoded(["idle", "idle"], ends=True), 0.0)
    tell(state, Arrived(0, "idle", [EPSILON]), 1.0)
    assert state.handle(Tick(), 2.0) == [Restart(1)]
    assert state.handle(Arrived(1, "idle", [EPSILON]), 2.0) == [Decode()]


def test_engines_that_cannot_end_tasks_let_them_run():
    state = RunState(Collector(plain(2, 2)), 2, kofn.Static(restart_after=2.0))
    tell(state, Encoded(["idle", "idle"]), 0.0)
    assert tell(state, Arrived(0, "idle", [EPSILON]), 1.0)[0] == [WakeAt(math.inf)]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, "3"])
@pytest.mark.parametrize("kind", [kofn.Static, kofn.Adaptive, kofn.Speculative, kofn.Duplicates, kofn.CodedBackups])
def test_a_limit_that_cannot_be_is_refused(kind, bad):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.{kind.__name__}: 'restart_after' must be"):
        kind(restart_after=bad)
    assert (
        repr(kind(restart_after=2.0)) == f"{kind.__name__}(restart_after=2.0)" and repr(kind()) == f"{kind.__name__}()"
    )


class OnceForever:
    """Hangs where it is the first to run, which a file tells."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self):
        if not self.mark.exists():
            self.mark.touch()
            threading.Event().wait()
        return np.zeros(2)


def test_a_process_that_hangs_is_replaced_and_its_row_computed(local_pool, tmp_path):
    tasks = [kofn.Task(OnceForever(tmp_path / "begun")), *[kofn.Task(np.ones, (2,))] * 3]
    scheme = kofn.schemes.CustomScheme(plain(4, 2), tasks)
    answer = kofn.run(scheme, local_pool, scheduler=kofn.Adaptive(restart_after=3.0))
    assert answer.exact and np.array_equal(answer.value, [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    assert [attempt.row for attempt in answer.report.of("restarted")] and (tmp_path / "begun").exists()


# -- what they give -----------------------------------------------------------------------------------


def view_of(scheduler, rows, workers, makes_rows=True):
    state = state_of(scheduler, rows, workers)
    view = state.view
    view.makes_rows = makes_rows
    for worker in range(workers):
        view.set_state(worker, "idle")
    return view


def send(view, worker, rows, at=0.0):
    for row in rows:
        (view.queue.take if view.queue.is_waiting(row) else view.queue.mark_sent)([row])
    view.send(InFlight(rows, worker, at, at))


def arrive(view, worker, seconds):
    message = view.bring_back(worker, "idle", arrived=True)
    view.speed.add(worker, len(message.rows), float(len(message.rows)), seconds)
    for row in message.rows:
        view.receive(row)


def test_duplicates_repeat_what_fewest_have_the_oldest_first():
    once = kofn.Duplicates(after=0.0)
    view = view_of(once, 3, 4)
    for worker, at in enumerate([0.2, 0.0, 0.1]):
        send(view, worker, [worker], at)
    assert once.has_work(view) and once.assign(3, view) == Copy([1])
    send(view, 3, [1], 0.3)
    view.now = 1.0
    arrive(view, 0, 1.0)
    assert once.assign(0, view) == Copy([2])


def test_duplicates_wait_until_a_row_is_late_and_then_for_the_copy():
    once = kofn.Duplicates(after=2.0)
    view = view_of(once, 2, 3)
    send(view, 0, [0])
    send(view, 1, [1])
    assert once.assign(2, view) == Wait() and once.next_look(view) == math.inf  # nobody knows how long a row takes
    view.now = 1.0
    arrive(view, 0, 1.0)
    assert once.assign(2, view) == Wait() and once.next_look(view) == 2.0 and not once.has_work(view)
    view.now = 2.0
    assert once.has_work(view) and once.assign(2, view) == Copy([1])
    send(view, 2, [1], 2.0)
    assert once.assign(0, view) == Wait() and once.next_look(view) == 4.0


def test_fresh_rows_are_made_as_long_as_fewer_are_in_time_than_are_needed():
    once = kofn.CodedBackups(after=1.5)
    view = view_of(once, 4, 4)
    for worker, at in enumerate([0.0, 0.0, 0.5, 0.5]):
        send(view, worker, [worker], at)
    view.now = 1.0
    arrive(view, 0, 1.0)
    assert view.needed == 3 and once.assign(0, view) == Wait() and once.next_look(view) == 1.5
    view.now = 1.5  # row 1 is late
    assert once.has_work(view) and once.assign(0, view) == Fresh()
    view.extend(view.code.extended(np.array([0.0, 1.0, 1.0, 1.0]), 0))
    send(view, 0, [4], 1.5)
    assert once.next_look(view) == 2.0  # one fresh row stands for it; at 2.0 rows 2 and 3 are late as well
    arrive(view, 2, 1.2)
    assert view.needed == 2 and once.assign(2, view) == Wait()


def test_what_makes_no_rows_is_copied():
    once = kofn.CodedBackups(after=0.0)
    view = view_of(once, 2, 3, makes_rows=False)
    send(view, 0, [0])
    send(view, 1, [1], 0.5)
    assert once.assign(2, view) == Copy([0]) and once.next_look(view) == 0.0


@pytest.mark.parametrize("kind", [kofn.Duplicates, kofn.CodedBackups])
@pytest.mark.parametrize("bad", [{"base": "adaptive"}, {"after": -1.0}, {"after": math.nan}, {"after": "late"}])
def test_backups_that_cannot_be_are_refused(kind, bad):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.{kind.__name__}: '{next(iter(bad))}' must be"):
        kind(**bad)


# -- runs, virtual time and recorded delays decide alike -----------------------------------------------

SCHEDULERS = [
    kofn.Duplicates(after=0.0),
    kofn.Duplicates(after=1.5),
    kofn.CodedBackups(after=0.0),
    kofn.CodedBackups(after=1.0),
    kofn.CodedBackups(kofn.Static(), after=1.5),
    kofn.CodedBackups(after=0.0, restart_after=2.0),
    kofn.Adaptive(restart_after=1.5),
    kofn.Speculative(0.5, base=kofn.Adaptive()),
]


def histories(count, seed=0):
    """Delays of three to five workers from models that differ, and who dies when."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        workers = int(rng.integers(3, 6))
        kind = rng.integers(4)
        delays = rng.exponential(1.0, (workers, 12)) if kind else 1.0 + 0.05 * rng.standard_normal((workers, 12))
        if kind == 2:
            delays[rng.random(delays.shape) < 0.2] *= 10.0
        if kind == 3:
            delays = rng.pareto(1.5, delays.shape) + 0.1
        deaths = {int(rng.integers(workers)): float(rng.uniform(0.0, 3.0))} if rng.random() < 0.3 else {}
        yield workers, delays.tolist(), deaths


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=str)
@pytest.mark.parametrize(("count", "seed"), [(25, 0), pytest.param(400, 1, marks=pytest.mark.slow)])
def test_virtual_time_and_recorded_delays_come_to_the_same_choices(scheduler, count, seed):
    for workers, delays, deaths in histories(count, seed):
        scheme = kofn.schemes.uncoded(A, B, blocks=(2 * workers, 1), workers=workers)
        answer = kofn.run(scheme, VirtualPool(delays, deaths), scheduler=scheduler)
        state = RunState(Collector(scheme.code, epsilon=scheme.epsilon), workers, scheduler, rows=scheme.rows)
        end = Recorded(state, delays, deaths, scheme.epsilon).run()
        told = [
            [(a.row, a.worker, round(a.submitted, 9), round(a.ended, 9), a.outcome) for a in sorted(them, key=str)]
            for them in (answer.report.attempts, state.attempts)
        ]
        assert end == "exact" and answer.exact and told[0] == told[1]
        assert list(answer.report.fresh_rows) == list(range(scheme.code.rows, state.collector.code.rows))
        assert np.allclose(answer.value, A @ B, rtol=0, atol=1e-12 * answer.amplification)


def test_copies_that_stand_for_combinations_are_late_from_the_first_moment_on_too():
    holed = np.ones((8, 2)) * (np.arange(8.0) > 0)[:, None]  # a row of zeros: nothing is combined
    scheme = kofn.schemes.uncoded(holed, np.eye(2), blocks=(3, 1), workers=4)
    seconds = []
    for scheduler in (kofn.CodedBackups(first=0.5), kofn.Duplicates(first=0.5)):
        answer = kofn.run(scheme, VirtualPool([[9.0], [9.0], [9.0], [1.0]]), scheduler=scheduler)
        seconds.append(answer.report.of("arrived")[0].ended)
    assert seconds == [1.5, 1.5]
