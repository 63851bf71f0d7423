"""`Spares` in virtual time: what lies in reserve is computed where it is needed, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kofn
from kofn.jobs._view import RunView
from kofn.jobs.scheduling import InFlight, Rows, Spares, Wait
from steady import SteadyPool

RNG = np.random.default_rng(0)
A, X = RNG.standard_normal((112, 20)), RNG.standard_normal((20, 3))


def products(seconds, deaths=None, repeat=3, **arguments):
    """Seconds of products in turn, and the report of the last."""
    pool, times = SteadyPool(seconds, deaths), []
    with kofn.operator(A, workers=pool, rng=0, **arguments) as op:
        for _ in range(repeat):
            np.testing.assert_allclose(op @ X, A @ X, rtol=0, atol=1e-11)
            assert op.answer.exact
            times.append(round(op.answer.report.seconds, 6))
    return times, op.answer.report


def test_where_nobody_is_late_only_plain_rows_are_computed():
    times, report = products([1.0] * 8, redundancy=1)
    assert times == [7.0] * 3 and len(report.attempts) == 56 == len(report.of("arrived"))


@pytest.mark.parametrize("redundancy", [1, 2, 3])
def test_what_varies_a_little_costs_no_spare_row(redundancy):
    rng = np.random.default_rng(redundancy)
    seconds = np.clip(1 + 0.07 * rng.standard_normal(8), 0.85, 1.15).tolist()
    times, report = products(seconds, redundancy=redundancy)
    share = {1: 7, 2: 3, 3: 5}[redundancy]
    assert times == pytest.approx([share * max(seconds)] * 3) and not report.of("abandoned")


@pytest.mark.parametrize(("redundancy", "share"), [(1, 7), (2, 3), (4, 1)])
def test_dead_workers_cost_the_others_their_share_and_no_more(redundancy, share):
    dead = dict.fromkeys(range(1, 1 + redundancy), 0.25)
    times, _ = products([1.0] * 8, dead, redundancy=redundancy)
    assert times == [share * 8 / (8 - redundancy)] * 3


def test_a_worker_that_is_slow_or_hangs_costs_no_more_than_a_dead_one():
    assert products([1.0] * 7 + [10.0], redundancy=1)[0] == [8.0] * 3
    assert products([1.0] * 7 + [math.inf], redundancy=1)[0] == [8.0] * 3


def test_what_slow_workers_have_done_counts():
    times, report = products([2.0] + [1.0] * 7, redundancy=1)
    arrived = {attempt.row for attempt in report.of("arrived")}
    assert times == [8.0] * 3 and set(range(4)) <= arrived and len(arrived & set(range(56, 64))) < 7


def test_copies_are_dealt_to_all_others():
    times, _ = products([1.0] * 8, {3: 0.5}, redundancy=1, code="repetition")
    assert times == [8.0] * 3


def test_more_lost_workers_than_redundancy_are_survived_by_moving_data():
    times, report = products([1.0] * 8, {3: 0.5, 5: 0.5}, redundancy=1)
    assert math.isfinite(times[-1]) and not report.placed_bytes  # it was moved once


def test_without_redundancy_dead_workers_are_replaced_too():
    times, report = products([1.0] * 4, {0: 0.5}, redundancy=0)
    assert times == [2.0] * 3 and len(report.of("arrived")) == 4


def test_a_factor_is_checked():
    with pytest.raises(kofn.ArgumentError, match=r"Spares: 'after' must be a finite number > 0, but got 0"):
        Spares(after=0.0)


@pytest.mark.parametrize(("is_late", "expected"), [(True, Rows([3])), (False, Wait())])
def test_a_spare_row_of_a_worker_that_is_late_itself_is_not_waited_for(is_late, expected):
    code = kofn.LinearCode("two and two", [[1, 0], [0, 1], [1, 1], [1, -1]], np.eye(2), worker=range(4))
    view = RunView(code, 4, lambda worker, row: 0)
    for worker in range(4):
        view.set_state(worker, "idle")
    view.speed.add(1, rows=1, load=1.0, seconds=1.0)
    for worker, sent in ((0, 0.0), (1, 0.0), (2, 0.5 if is_late else 1.5)):
        view.queue.take([worker])
        view.send(InFlight([worker], worker, sent, sent))
    view.bring_back(1, "idle", arrived=True)
    view.receive(1)
    view.now = 2.5  # worker 0 is late with the first unknown, which one of the combinations is enough to replace
    assert Spares(after=1.5).assign(3, view) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.0005, range(10)), (0.002, range(5)), (1.0, range(5))])
def test_plain_rows_go_in_halves_unless_they_take_no_longer_than_five_messages(seconds, expected):
    code = kofn.LinearCode("plain", np.eye(10), np.eye(10), worker=np.zeros(10, int))
    view = RunView(code, 1, lambda worker, row: 0)
    view.set_state(0, "idle")
    view.speed.add(0, rows=1, load=1.0, seconds=seconds)  # 4 of the first in 2 ms, 1 of the others
    assert Spares().assign(0, view) == Rows(list(expected))


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, [2]), (0.0005, [2, 3])])
def test_spare_rows_go_one_by_one_unless_they_are_short(seconds, expected):
    code = kofn.LinearCode("two and two", [[1, 0], [0, 1], [1, 1], [1, -1]], np.eye(2), worker=[0, 1, 2, 2])
    view = RunView(code, 3, lambda worker, row: 0)
    for worker in range(3):
        view.set_state(worker, "idle")
    view.speed.add(2, rows=1, load=1.0, seconds=seconds)
    for worker in range(2):
        view.queue.take([worker])
        view.send(InFlight([worker], worker, 0.0, 0.0))
    view.now = 10.0  # both are late
    assert Spares().assign(2, view) == Rows(expected)


def test_what_stands_in_for_workers_that_are_not_there_goes_with_the_plain_rows():
    """Worker 1 is still busy with an earlier product: to wait for it first would cost a message more."""
    code = kofn.LinearCode("copies", np.eye(4)[[0, 1, 2, 3, 2, 3]], np.eye(4), worker=[0, 0, 1, 1, 0, 0])
    view = RunView(code, 2, lambda worker, row: 0)
    view.set_state(0, "idle")
    view.set_state(1, "busy")
    view.speed.add(0, rows=1, load=1.0, seconds=0.01)
    assert Spares().assign(0, view) == Rows([0, 1, 4, 5])
    view.set_state(1, "idle")
    assert Spares().assign(0, view) == Rows([0, 1])
