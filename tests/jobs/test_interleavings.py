"""Collector, scheduler and slots in any order of what can happen: nothing is lost, counted twice or without an end."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import kofn
from interleavings import World
from kofn.codes._rows import RatelessRows
from kofn.jobs._collector import Collector
from kofn.jobs._events import Decode
from kofn.jobs._state import RunState
from kofn.jobs.scheduling import Wait

WORKERS = 3
POWERS = np.vander(np.arange(6.0), 3, increasing=True)

CODES = {
    "plain": kofn.LinearCode("plain", np.eye(4), np.eye(4), worker=[0, 1, 2, 0]),
    "copies": kofn.LinearCode("copies", np.eye(3)[[0, 1, 2, 0, 1, 2]], np.eye(3), worker=[0, 1, 2, 1, 2, 0]),
    "any three": kofn.LinearCode("any three", POWERS, np.eye(3), worker=[0, 1, 2, 0, 1, 2], threshold=3),
    "a sum": kofn.LinearCode(
        "a sum", [[1, 1, 0], [0, 1, 1], [1, 0, -1], [0, 0, 1]], np.ones((1, 3)), worker=[0, 1, 2, 0]
    ),
}
SCHEDULERS = {
    "static": kofn.Static(),
    "adaptive": kofn.Adaptive(),
    "speculative": kofn.Speculative(0.2),
    "duplicates": kofn.Duplicates(),
    "coded": kofn.CodedBackups(after=1.0),
}
STOPS = {
    "exact": None,
    "two": kofn.Count(2),
    "deadline": kofn.Decodable() | kofn.Deadline(5.0),
    "no progress": kofn.Decodable() | kofn.NoProgress(2.0),
}
SEEDS = [30, pytest.param(600, marks=pytest.mark.slow)]


def world(seed):
    """A run that is drawn, too, and what may happen to it."""
    rng = np.random.default_rng([7, seed])
    code, scheduler, stop = (table[list(table)[rng.integers(len(table))]] for table in (CODES, SCHEDULERS, STOPS))
    rows = RatelessRows(code) if isinstance(scheduler, kofn.CodedBackups) else None
    state = RunState(Collector(code, stop=stop), WORKERS, scheduler, rows=rows, lies=int(rng.integers(1, 4)))
    return World(state, WORKERS, seed, lies=float(rng.choice([0.0, 0.1]))), int(rng.integers(0, 120))


@pytest.mark.parametrize("seeds", SEEDS)
def test_whatever_happens_a_run_ends_and_counts_each_row_once(seeds):
    ends = Counter()
    for seed in range(seeds):
        one, steps = world(seed)
        end = one.play(steps)
        ends["exact" if isinstance(end, Decode) and one.state.collector.exact else type(end).__name__] += 1
    assert ends["exact"] > seeds / 4 and len(ends) >= 2, ends


def test_the_same_seed_gives_the_same_history():
    def history(seed):
        one, steps = world(seed)
        one.play(steps)
        return one.history, [(a.row, a.worker, a.submitted, a.ended, a.outcome) for a in one.state.attempts]

    assert [history(seed) for seed in range(5)] == [history(seed) for seed in range(5)]
    assert history(1) != history(2)


# -- what is planted is found -------------------------------------------------------------------------


class Forgetful(RunState):
    """What was lost is not put back."""

    def _put_back_or_give_up(self, rows, worker=None):
        pass


class Credulous(Collector):
    """All is exact as soon as there is anything."""

    exact = property(lambda self: self.count > 0)


class Twice(Collector):
    """Counts what is withdrawn and comes again beside what it was."""

    def withdraw(self, rows):
        pass


class Patient(kofn.Static):
    """Never gives out the last row."""

    def assign(self, worker, view):
        waiting = [row for lane in view.waiting.values() for row in lane]
        return super().assign(worker, view) if len(waiting) > 1 else Wait()

    def next_look(self, view):
        return view.now + 1.0


def plant(collector=Collector, state=RunState, scheduler=None, lies=0.0):
    code = CODES["plain"]
    for seed in range(60):
        run = state(collector(code), WORKERS, scheduler or kofn.Static(), lies=3)
        World(run, WORKERS, seed, lies).play(60)


@pytest.mark.parametrize(
    ("planted", "match"),
    [
        ({"state": Forgetful}, None),
        ({"collector": Credulous}, "does not follow"),
        ({"collector": Twice, "lies": 0.3}, None),
        ({"scheduler": Patient()}, "waits for ever"),
    ],
)
def test_what_is_planted_is_found(planted, match):
    with pytest.raises(AssertionError, match=match):
        plant(**planted)
