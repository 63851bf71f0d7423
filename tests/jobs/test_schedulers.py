"""What schedulers give to an idle worker, asked with nothing but a view."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from kofn.jobs._view import RunView
from kofn.jobs.scheduling import CUBED, FLINK, SPARK_3_5, SPARK_4, Copy, InFlight, Rows, Wait
from kofn.jobs.scheduling._names import as_scheduler
from kofn.jobs.scheduling._placed import Placed, candidates

STATIC, ADAPTIVE, SPECULATIVE = kofn.Static(), kofn.Adaptive(), kofn.Speculative()


def view_of(blocks, workers, states, missing=lambda worker, row: 0, skips_equal=False):
    """A view of a code whose row r is unknown ``blocks[r]``, at worker ``workers[r]``."""
    code = kofn.LinearCode("drawn", np.eye(max(blocks) + 1)[blocks], np.ones((1, max(blocks) + 1)), worker=workers)
    view = RunView(code, len(states), missing, skips_equal)
    for worker, state in enumerate(states):
        view.set_state(worker, state)
    return view


def send(view, worker, rows, at=0.0):
    view.queue.take(rows)
    view.send(InFlight(rows, worker, at, at))


def receive(view, worker, seconds=None):
    message = view.bring_back(worker, "idle", arrived=True)
    for row in message.rows:
        view.receive(row)
    if seconds is not None:
        view.speed.add(worker, len(message.rows), float(len(message.rows)), seconds)


@pytest.mark.parametrize("scheduler", [STATIC, ADAPTIVE])
def test_a_worker_has_its_own_rows_in_order(scheduler):
    view = view_of([0, 1, 2, 3], [0, 1, 0, 1], ["idle", "idle"])
    assert scheduler.has_work(view)
    assert scheduler.assign(1, view) == Rows([1])
    send(view, 1, [1])
    assert scheduler.assign(0, view) == Rows([0])


def test_short_rows_go_together_and_no_two_of_them_are_equal():
    view = view_of([0, 1, 1, 2, 3], [0, 0, 0, 0, 0], ["idle"])
    view.speed.add(0, rows=1, load=1.0, seconds=0.002 / 3)
    assert STATIC.assign(0, view) == Rows([0, 1, 3])
    view.one_by_one = True
    assert STATIC.assign(0, view) == Rows([0])


@pytest.mark.parametrize("state", ["starting", "busy", "dead"])
@pytest.mark.parametrize("moves", [False, True])
def test_rows_of_a_worker_that_is_not_there_are_taken_over(state, moves):
    view = view_of([0, 1, 2], [0, 1, 2], ["idle", state, "idle"], lambda worker, row: 8 * moves)
    send(view, 0, [0])
    send(view, 2, [2])
    receive(view, 0)
    expected = Wait() if moves and state != "dead" else Rows([1])  # the others come back by themselves
    assert STATIC.assign(0, view) == expected
    assert STATIC.has_work(view)
    receive(view, 2)
    assert STATIC.assign(0, view) == Rows([1])  # nothing else goes on


def test_static_leaves_alone_what_waits_for_a_busy_or_an_idle_worker():
    view = view_of([0, 1, 2, 3], [0, 1, 1, 2], ["idle"] * 3)
    send(view, 1, [1])
    send(view, 0, [0])
    receive(view, 0)
    assert STATIC.assign(0, view) == Wait()
    assert STATIC.has_work(view)  # for worker 2
    send(view, 2, [3])
    assert not STATIC.has_work(view)
    assert ADAPTIVE.assign(0, view) == Rows([2])


def test_static_takes_over_what_is_news_first():
    view = view_of([0, 0, 1], [0, 1, 2], ["idle", "dead", "dead"])
    send(view, 0, [0])
    receive(view, 0)
    assert STATIC.assign(0, view) == Rows([2])
    send(view, 0, [2])
    receive(view, 0)
    assert STATIC.assign(0, view) == Rows([1])  # it says nothing new, but it is a row of the code


def test_adaptive_passes_over_what_others_have_and_repeats_it_in_the_end():
    view = view_of([0, 0, 1, 1, 1], [0, 1, 1, 0, 2], ["idle", "idle", "idle"], skips_equal=True)
    send(view, 0, [0])
    assert ADAPTIVE.assign(1, view) == Rows([2])
    send(view, 1, [2])
    assert ADAPTIVE.assign(2, view) == Rows([4])  # its own, although an equal one is being computed
    send(view, 2, [4])
    receive(view, 0)
    assert ADAPTIVE.assign(0, view) == Rows([3])
    receive(view, 1)
    assert not view.waiting and not ADAPTIVE.has_work(view)
    assert ADAPTIVE.assign(0, view) == Wait()


def test_speculative_copies_a_slow_row_once_enough_have_arrived():
    view = view_of(range(5), range(5), ["idle"] * 5)
    for worker in range(5):
        send(view, worker, [worker], at=0.25 * worker)
    assert SPECULATIVE.next_look(view) == np.inf  # nobody knows yet how long a row takes
    for worker, seconds in ((0, 1.0), (1, 1.2)):
        receive(view, worker, seconds)
    assert SPECULATIVE.next_look(view) == np.inf  # 2 of 5 rows are less than 3, which 3/4 of 5 are at least
    receive(view, 2, 0.8)
    assert SPECULATIVE.next_look(view) == 0.75 + 1.5
    half = kofn.Speculative(0.5, 2.0)
    view.now = 2.5
    assert not half.has_work(view) and half.assign(0, view) == Wait()
    assert half.next_look(view) == 2.75
    view.now = 2.75
    assert half.has_work(view) and half.assign(0, view) == Copy([3])
    view.queue.mark_sent([3])
    view.send(InFlight([3], 0, 2.75, 2.75))
    assert half.assign(1, view) == Wait() and half.next_look(view) == 3.0
    view.now = 3.0
    assert half.assign(1, view) == Copy([4])
    assert kofn.Speculative(0.5, 2.0, minimum_tasks=6).assign(1, view) == Wait()


def test_speculative_counts_load():
    code = kofn.LinearCode("uneven", np.eye(3), np.eye(3), worker=[0, 1, 2], load=[1.0, 1.0, 4.0])
    view = RunView(code, 3, lambda worker, row: 0)
    for worker in range(3):
        view.set_state(worker, "idle")
        send(view, worker, [worker])
    receive(view, 0, 1.0)
    assert kofn.Speculative(0.0).next_look(view) == 1.5  # worker 1
    view.now = 2.0
    receive(view, 1, 2.0)
    assert kofn.Speculative(0.0).next_look(view) == 1.5 * 1.5 * 4.0


def slow_after(rule, tasks, seconds):
    """How long the last task may run until a rule copies it, once others took so many seconds; inf: for ever."""
    seconds = sorted(seconds)
    if rule is FLINK:
        return 1.5 * seconds[int(0.75 * tasks + 0.5) // 2] if len(seconds) / tasks >= 0.75 else math.inf
    if rule is CUBED:
        enough = math.ceil(tasks * 0.5)
        return 3 * seconds[enough - 1] if tasks >= 10 and len(seconds) >= enough else math.inf
    quantile, multiplier = (0.75, 1.5) if rule is SPARK_3_5 else (0.9, 3.0)
    enough = max(int(quantile * tasks), 1)
    return multiplier * float(np.median(seconds)) if tasks > 1 and len(seconds) >= enough else math.inf


@pytest.mark.parametrize("rule", [SPARK_3_5, SPARK_4, FLINK, CUBED])
@pytest.mark.parametrize("tasks", [1, 2, 4, 6, 8, 10, 14, 32])
def test_rules_of_others_copy_when_they_do(rule, tasks):
    rng = np.random.default_rng(tasks)
    view = view_of(range(tasks), range(tasks), ["idle"] * tasks)
    for worker in range(tasks):
        send(view, worker, [worker])
    took = []
    for worker in range(tasks - 1):
        took.append(float(rng.exponential()) + 0.1)
        receive(view, worker, took[-1])
        due = slow_after(rule, tasks, took)
        if math.isfinite(due):
            view.now = due
            assert view.now >= rule.next_look(view) or rule.has_work(view)
            assert rule.assign(worker, view) == Copy([worker + 1])
            view.now = due * (1 - 1e-9)
            assert math.isclose(rule.next_look(view), due, rel_tol=1e-12)
            view.now = 0.0
        assert rule.assign(worker, view) == Wait()


@pytest.mark.parametrize(("missing", "due"), [(0, 1.5), (10**8, 1.5), (4 * 10**8, 2.5)])
def test_speculative_moves_the_last_row_when_waiting_costs_more(missing, due):
    """Two rows wait for worker 1, so each second that it takes is at least two seconds for the last of them."""
    view = view_of(range(4), [0, 1, 1, 1], ["idle", "idle"], lambda worker, row: missing)
    send(view, 0, [0])
    send(view, 1, [1])
    view.now = 1.0
    receive(view, 0, 1.0)
    once = kofn.Speculative(multiplier=1.5)
    # A gigabit line is assumed until something was moved: 0, 1 or 4 seconds, and 1 for the row, against 2 rows.
    assert once.assign(0, view) == Wait() and once.next_look(view) == due
    view.now = due
    assert once.has_work(view) and once.assign(0, view) == Rows([3])


@given(st.data())
def test_what_is_given_out_waits_and_may_be_had(data):
    """Whatever the codes, states and data: rows wait, no two are equal, and data moves only if nothing else goes on."""
    count, workers = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 4))
    draw = lambda most: data.draw(st.lists(st.integers(0, most), min_size=count, max_size=count))  # noqa: E731
    blocks, owners = draw(3), draw(workers - 1)
    states = [data.draw(st.sampled_from(["idle", "starting", "busy", "dead"])) for _ in range(workers)]
    there = data.draw(st.sets(st.tuples(st.integers(0, workers - 1), st.integers(0, count - 1))))
    missing = lambda worker, row: 0 if (worker, row) in there else 8  # noqa: E731
    scheduler = data.draw(st.sampled_from([STATIC, ADAPTIVE]))
    view = view_of(blocks, owners, states, missing, scheduler.skips_equal)
    for _ in range(2 * count):
        if not view.idle:
            break
        worker = data.draw(st.sampled_from(sorted(view.idle)))
        assignment = scheduler.assign(worker, view)
        if isinstance(assignment, Wait):
            if view.in_flight:
                receive(view, data.draw(st.sampled_from(sorted(view.in_flight))), data.draw(st.floats(0, 1)))
                continue
            break
        assert isinstance(assignment, Rows) and scheduler.has_work(view)
        rows = list(assignment.rows)
        assert rows and all(view.queue.is_waiting(row) for row in rows)
        assert len({blocks[row] for row in rows}) == len(rows) <= view.room(worker)
        lane = view.waiting.get(worker, ())
        own = all(row in lane for row in rows)
        owner = next(w for w, lane in view.waiting.items() if rows[0] in lane)
        assert own or states[owner] == "dead" or (worker, rows[0]) in there or not view.in_flight
        send(view, worker, rows)


@pytest.mark.parametrize("scheduler", [STATIC, ADAPTIVE, kofn.Speculative(0.5, 3.0, 10, kofn.Adaptive())])
def test_a_scheduler_is_a_value(scheduler):
    assert (
        pickle.loads(pickle.dumps(scheduler))
        == copy.deepcopy(scheduler)
        == scheduler
        == eval(repr(scheduler), vars(kofn))
    )
    assert hash(scheduler) == hash(copy.copy(scheduler))
    assert scheduler.next_look(view_of([0], [0], ["idle"])) == np.inf


@pytest.mark.parametrize(
    ("given", "adaptive", "means"),
    [
        ("auto", False, STATIC),
        ("auto", True, ADAPTIVE),
        ("static", True, STATIC),
        ("adaptive", False, ADAPTIVE),
        (ADAPTIVE, False, ADAPTIVE),
        ("speculative", False, SPECULATIVE),
        ("speculative", True, kofn.Speculative(base=ADAPTIVE)),
        ("duplicates", False, kofn.Duplicates(ADAPTIVE)),
        ("coded", False, kofn.CodedBackups(ADAPTIVE)),
    ],
)
def test_what_scheduler_means(given, adaptive, means):
    assert as_scheduler("kofn.run", given, adaptive) == means


@pytest.mark.parametrize("bad", [3, None, "duplicate", "backups", "Static", kofn.Static, []])
def test_what_is_no_scheduler_is_refused(bad):
    with pytest.raises(kofn.ArgumentError, match=r"kofn\.run: 'scheduler' must be .*; leave it out"):
        as_scheduler("kofn.run", bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"quantile": 1.5},
        {"quantile": -1},
        {"multiplier": 0},
        {"minimum_tasks": 0},
        {"base": "static"},
        {"usual": "mean"},
    ],
)
def test_a_speculative_scheduler_that_cannot_be_is_refused(bad):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.Speculative: '{next(iter(bad))}' must be"):
        kofn.Speculative(**bad)


def test_rows_of_one_message_are_late_one_after_another():
    view = view_of([0, 1, 2], [0, 0, 1], ["idle"] * 2)
    send(view, 1, [2])
    receive(view, 1, seconds=0.0005)  # so short that both rows would fit into a message
    send(view, 0, [0, 1])
    duplicates = kofn.Duplicates(after=2.0)
    assert duplicates.next_look(view) == 0.001
    view.now = 0.0015
    assert duplicates.assign(1, view) == Copy([0])
    view.now = 0.002
    assert duplicates.assign(1, view) == Copy([0, 1])


def test_nothing_that_is_known_is_moved_from_a_worker_that_comes_back():
    view = view_of([0, 0, 1], [0, 1, 2], ["idle", "busy", "idle"], lambda worker, row: 8 * (worker == 0 and row == 1))
    send(view, 0, [0])
    send(view, 2, [2])
    receive(view, 0)
    assert STATIC.assign(0, view) == Wait()  # row 1 says what row 0 has said, and its data would have to be moved
    receive(view, 2)
    assert STATIC.assign(0, view) == Rows([1])


@pytest.mark.parametrize(("waiting", "expected"), [(0, []), (1, [1]), (2, [2, 1])])
def test_the_next_row_of_a_worker_in_time_is_the_last_that_others_are_given(waiting, expected):
    view = view_of(list(range(waiting + 2)), [0] * (waiting + 1) + [1], ["idle"] * 2)
    send(view, 1, [waiting + 1])
    receive(view, 1, seconds=1.0)
    send(view, 0, [0])
    assert [row for row, _ in candidates(1, view, after=1.5)] == expected
    assert Placed().next_look(view) == (0.02 if waiting else 1.5)
    view.now = 1.5
    assert [row for row, _ in candidates(1, view, after=1.5)] == [*range(waiting, 0, -1), 0]  # now it is late
