"""`Spares` in virtual time: what lies in reserve is computed where it is needed, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kofn
from kofn.jobs.scheduling import Spares
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
