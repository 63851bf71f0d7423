"""Real processes against the simulation, and against the bound of load balancing, with sleeps for work.

    python benchmarks/real_stragglers.py order      the same order of policies where simulated times differ by over 10 %
    python benchmarks/real_stragglers.py bound      one worker ten times slower, stopped, killed: ratios to the bound

Sleeps take no processor, so that two cores can play eight workers.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from itertools import combinations
from typing import Any

import numpy as np

import kofn
from kofn.simulation.bench import POLICIES, TRACES, Candidate, Draws, RealWorkers, Result, bench

WORKERS = 8

STRUCK_AT = 0.5
"""When a worker is stopped or killed, in units of plain work."""

APART = 1.1
"""How much simulated times must differ before their order says anything."""


class StruckPool(kofn.LocalPool):
    """Processes of which the first is sent a signal in each job, so many seconds after its first task."""

    def __init__(self, workers: int, how: signal.Signals, after: float) -> None:
        super().__init__(workers, threads_per_worker=1)
        self.how, self.after, self.armed = how, after, False

    def warm(self, *args: Any, **options: Any) -> None:
        """Each job begins so."""
        super().warm(*args, **options)
        self.armed = True

    def submit(self, worker: int, function: Any, *arguments: Any, **options: Any) -> Any:
        """The first task of a job starts the clock."""
        if self.armed:
            self.armed = False
            threading.Timer(self.after, os.kill, (self.pids()[0], self.how)).start()
        return super().submit(worker, function, *arguments, **options)


def order(seconds: float, trials: int, traces: list[str], policies: list[str], tasks: int) -> None:
    """Print medians, and each pair of policies that the simulation sets apart and real runs do not."""
    chosen = {name: TRACES[name] for name in traces}
    simulated = at(list(bench("product", WORKERS, chosen, policies, trials)), tasks)
    with kofn.LocalPool(WORKERS, threads_per_worker=1) as pool:
        workers = RealWorkers(pool, seconds)
        play = lambda one, rules, draws: workers.play(one, rules, draws) if one.tasks == tasks else None  # noqa: E731
        real = at(list(bench("product", WORKERS, chosen, policies, trials, play=play)), tasks)
    print(f"{'trace':15}{'policy':13}{'simulated':>10}{'real':>8}{'ratio':>7}")
    for (trace, policy), time in real.items():
        told = simulated[trace, policy]
        print(f"{trace:15}{policy:13}{told:10.3f}{time:8.3f}{time / told if told < np.inf else 1.0:7.3f}")
    apart = wrong = 0
    for (one, first), (other, second) in combinations(simulated.items(), 2):
        if one[0] == other[0] and max(first, second) > APART * min(first, second):
            apart += 1
            if (first < second) != (real[one] < real[other]):
                wrong += 1
                print(f"{one[0]}: {one[1]} and {other[1]} are the other way round")
    print(f"{apart} pairs more than {APART - 1:.0%} apart, {wrong} of them the other way round")


def at(results: list[Result], tasks: int) -> dict[tuple[str, str], float]:
    """Medians at so many tasks a worker."""
    return {(one.trace, one.policy): one.p50 for one in results if one.tasks_per_worker == tasks}


def bound(seconds: float, trials: int, policies: list[str], tasks: int) -> None:
    """Print the median job with one bad worker, and how it compares with 1.15 times the bound plus one task."""
    print(f"{'worker':10}{'policy':13}{'median':>8}{'bound':>8}{'allowed':>9}")
    left = STRUCK_AT + WORKERS * (1.0 - STRUCK_AT) / (WORKERS - 1)
    slow = WORKERS / (WORKERS - 1 + 0.1)
    for name, least in (("slow", slow), ("stopped", left), ("killed", left)):
        for policy in policies:
            one = Candidate(POLICIES[policy], tasks)
            rules = one.policy.rules("product", WORKERS, tasks)
            with pool_of(name, seconds) as pool:
                found = RealWorkers(pool, seconds).play(one, rules, draws_of(name, trials))
            allowed = 1.15 * least + 1.0 / tasks
            median = found.percentile(0.5)
            verdict = "" if median <= allowed else "  too long"
            print(f"{name:10}{policy:13}{median:8.3f}{least:8.3f}{allowed:9.3f}{verdict}", flush=True)


def pool_of(name: str, seconds: float) -> kofn.LocalPool:
    """Processes, one of which is stopped or killed in each job."""
    if name == "slow":
        return kofn.LocalPool(WORKERS, threads_per_worker=1)
    how = signal.SIGSTOP if name == "stopped" else signal.SIGKILL
    return StruckPool(WORKERS, how, STRUCK_AT * seconds)


def draws_of(name: str, trials: int) -> Draws:
    """Delays of a few per cent, and of one worker ten times as much."""
    return TRACES["slow-worker" if name == "slow" else "noise"](trials, WORKERS, np.random.default_rng(0))


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["order", "bound"])
    parser.add_argument("--seconds", type=float, default=1.0, help="plain work (default: 1)")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=4, help="a worker (default: 4)")
    parser.add_argument(
        "--traces", nargs="+", default=["slow-worker", "dead-worker", "pause", "exponential", "slow-tasks"]
    )
    parser.add_argument("--policies", nargs="+", default=["plain", "spark-3.5", "duplicates", "coded", "mds-6-of-8"])
    given = parser.parse_args()
    if given.what == "order":
        order(given.seconds, given.trials, given.traces, given.policies, given.tasks)
    else:
        bound(given.seconds, given.trials, [name for name in given.policies if name not in ("plain",)], given.tasks)


if __name__ == "__main__":
    main()
