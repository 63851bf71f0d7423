"""The fast simulation makes the choices that `RunState` makes with the schedulers of real runs, at the same times."""

import heapq
import math

import numpy as np
import pytest

import kofn
from kofn.codes import LinearCode, RatelessRows, RowSource
from kofn.jobs._collector import Collector
from kofn.jobs._events import Arrived, Decode, Encoded, Ended, Restart, Sent, Submit, Tick, WakeAt
from kofn.jobs._state import RunState
from kofn.jobs._stop import Count
from kofn.jobs.scheduling import CUBED as CUBED_RULE
from kofn.jobs.scheduling import FLINK as FLINK_RULE
from kofn.jobs.scheduling import SPARK_3_5, SPARK_4
from kofn.simulation.bench import TRACES, Policy
from kofn.simulation.bench._backups import CUBED, DUPLICATES, FLINK, FRESH, SPARK
from kofn.simulation.bench._kernel import duration, play
from kofn.simulation.bench._run import BUSY, STARTED, new_run, reset

PAIRS = {
    "plain": (Policy("plain"), kofn.Adaptive()),
    "plain, in threes": (Policy("plain", batch=3), kofn.Adaptive(batch=3)),
    "duplicates": (Policy("duplicates", DUPLICATES), kofn.Duplicates(after=0)),
    "duplicates, in fours": (
        Policy("duplicates", DUPLICATES, batch=4),
        kofn.Duplicates(kofn.Adaptive(batch=4), after=0),
    ),
    "coded": (Policy("coded", FRESH), kofn.CodedBackups(after=0)),
    "coded, in fours": (Policy("coded", FRESH, batch=4), kofn.CodedBackups(kofn.Adaptive(batch=4), after=0)),
    "spark 3.5": (Policy("spark", SPARK, 0.75, 1.5, 2), SPARK_3_5),
    "spark 4": (Policy("spark", SPARK, 0.9, 3.0, 2), SPARK_4),
    "flink": (Policy("flink", FLINK, 0.75, 1.5), FLINK_RULE),
    "cubed": (Policy("cubed", CUBED, 0.5, 3.0, 10), CUBED_RULE),
    "plain, ended": (Policy("plain", restart=1.5), kofn.Adaptive(restart_after=1.5)),
    "duplicates, in threes, ended": (
        Policy("duplicates", DUPLICATES, batch=3, restart=1.3),
        kofn.Duplicates(kofn.Adaptive(batch=3), after=0, restart_after=1.3),
    ),
    "coded, in fours, ended": (
        Policy("coded", FRESH, batch=4, restart=1.3),
        kofn.CodedBackups(kofn.Adaptive(batch=4), after=0, restart_after=1.3),
    ),
    "duplicates of what is late": (
        Policy("duplicates", DUPLICATES, multiplier=1.25, first=1.0),
        lambda rules: kofn.Duplicates(after=1.25, first=1.0 / rules.load),
    ),
    "duplicates of what is late, in fours, ended": (
        Policy("duplicates", DUPLICATES, multiplier=1.25, batch=4, restart=2.0),
        kofn.Duplicates(kofn.Adaptive(batch=4), after=1.25, restart_after=2.0),
    ),
    "coded, of what is late": (
        Policy("coded", FRESH, multiplier=1.25, first=1.0),
        lambda rules: kofn.CodedBackups(after=1.25, first=1.0 / rules.load),
    ),
    "coded, of what is late, in fours": (
        Policy("coded", FRESH, multiplier=1.5, batch=4),
        kofn.CodedBackups(kofn.Adaptive(batch=4), after=1.5),
    ),
    "coded, of what is late, in twos, ended": (
        Policy("coded", FRESH, multiplier=1.25, first=1.0, batch=2, restart=1.3),
        lambda rules: kofn.CodedBackups(kofn.Adaptive(batch=2), after=1.25, first=1.0 / rules.load, restart_after=1.3),
    ),
    "static code": (Policy("mds", static=True), kofn.Static()),
}
"""A policy of the bench, and the scheduler that is the same."""


class Combinations(RowSource):
    """Rateless rows whose load is that of plain ones."""

    is_open = True

    def __init__(self, code, load):
        self.code, self.row_load, self.rateless = code, load, RatelessRows(code)

    def fresh(self, code, missing):
        return self.rateless.fresh(code, missing)

    def load(self, row):
        return self.row_load


class Driven:
    """A `RunState` over the draws of one trial, and a log of who was given what and when."""

    def __init__(self, scheduler, rules, draws, trial):
        self.rules, self.draws, self.trial = rules, draws, trial
        self.workers = draws.pace.shape[1]
        known = new_run(rules, self.workers)
        reset(rules, known, draws.start[trial], draws.skew[trial])
        self.skew = known.skew[: rules.rows].tolist()
        code = LinearCode(
            "plain",
            np.eye(rules.rows),
            np.eye(rules.rows),
            worker=np.arange(rules.rows) % self.workers,
            load=np.full(rules.rows, rules.load),
        )
        rows = Combinations(code, rules.load)
        self.state = RunState(Collector(code, stop=Count(rules.needed)), self.workers, scheduler, rows=rows)
        self.now, self.wake, self.agenda = 0.0, math.inf, []
        self.attempts = [0] * self.workers
        self.late = sorted((time, worker) for worker, time in enumerate(draws.start[trial]) if time > 0)

    def run(self):
        states = ["starting" if time > 0 else "idle" for time in self.draws.start[self.trial]]
        done = self.tell(Encoded(states, ends=True))
        while not done and (self.agenda or self.late or math.isfinite(self.wake)):
            done = self.tell(self.next_event())
        return self.now if done else math.inf

    def tell(self, event):
        for action in self.state.handle(event, self.now):
            if isinstance(action, Submit):
                self.submit(action)
                return self.tell(Sent(action.worker, self.now))
            if isinstance(action, Restart):
                self.agenda = [message for message in self.agenda if message[1] != action.worker]
                heapq.heapify(self.agenda)
                is_dead = self.draws.death[self.trial, action.worker] < self.now
                return self.tell(Ended(action.worker, "dead" if is_dead else "idle"))
            if isinstance(action, WakeAt):
                self.wake = action.time
            elif isinstance(action, Decode):
                return True
        return False

    def submit(self, action):
        while len(self.skew) < self.state.view.code.rows:  # a combination is as slow as the slowest row in it
            self.skew.append(max(self.skew[row] for row in self.state.view.missing))
        load = sum(self.rules.load * self.skew[row] for row in action.rows)
        attempt, self.attempts[action.worker] = self.attempts[action.worker], self.attempts[action.worker] + 1
        seconds = duration(self.draws, self.trial, action.worker, attempt, load, self.now)
        if math.isfinite(seconds):
            heapq.heappush(self.agenda, (self.now + seconds, action.worker, len(action.rows)))

    def next_event(self):
        arrives = self.agenda[0][0] if self.agenda else math.inf
        comes = self.late[0][0] if self.late else math.inf
        polled = math.isfinite(self.wake) and self.state.view.absent and self.wake < min(arrives, comes)
        if arrives <= min(comes, self.wake) or (polled and arrives <= comes):
            self.now, worker, count = heapq.heappop(self.agenda)
            return Arrived(worker, "idle", [0.0] * count)
        if comes <= self.wake or polled:
            self.now, worker = self.late.pop(0)
            return Tick({worker: "idle"})
        self.now = self.wake
        return Tick()


def together(name, trace, workers, tasks, trials, seed):
    policy, scheduler = PAIRS[name]
    rules = policy.rules("product", workers, tasks)
    scheduler = scheduler(rules) if callable(scheduler) else scheduler
    draws = TRACES[trace](trials, workers, np.random.default_rng(seed))
    for trial in range(trials):
        run = new_run(rules, workers)
        time = play(rules, draws, trial, run)
        driven = Driven(scheduler, rules, draws, trial)
        assert driven.run() == time
        assert driven.attempts == run.attempt.tolist() and sum(driven.attempts) == run.counts[STARTED]
        flying = driven.state.view.in_flight
        assert sorted(flying) == np.flatnonzero(run.state == BUSY).tolist()
        for worker, message in flying.items():
            rows = run.rows[worker, : run.size[worker]].tolist()
            assert rows == list(message.rows)
            assert run.began[worker] == message.submitted


ANY = ["exponential", "slow-tasks", "skewed-tasks", "pareto", "pause", "dead-worker", "message-delay", "late-start"]


@pytest.mark.parametrize("trace", ANY)
@pytest.mark.parametrize("name", list(PAIRS))
def test_the_simulation_and_run_state_make_the_same_choices_at_the_same_times(name, trace):
    for workers, tasks in ((4, 2), (5, 1), (3, 4)):
        together(name, trace, workers, tasks, 4, [7, workers])


@pytest.mark.slow
@pytest.mark.parametrize("trace", ANY)
@pytest.mark.parametrize("name", list(PAIRS))
def test_they_do_over_thousands_of_histories(name, trace):
    for workers, tasks in ((4, 2), (6, 1), (3, 4)):
        together(name, trace, workers, tasks, 30, [8, workers])
