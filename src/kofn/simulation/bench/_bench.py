"""The bench: every policy over every trace, with the same delays for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ._choose import Aim, Candidate, choose
from ._draws import Draws
from ._learn import learn
from ._policies import POLICIES, TASKS
from ._recorded import MEASURED
from ._run import Rules
from ._simulate import Outcomes, outcomes
from ._traces import DRAWN, Trace

TRACES: Mapping[str, Trace] = {**DRAWN, **MEASURED}
"""All that come with kofn."""

AUTO: Mapping[str, Aim] = {"auto-median": "median", "auto-p99": "p99"}
"""Policies that choose, and what they want small."""

WORK = ("product", "operator", "map", "sum")

Play = Callable[[Candidate, Rules, Draws], Outcomes | None]
"""``play(candidate, rules, draws)`` plays all trials; None where it cannot."""

CHUNK = 1000
"""Trials that are drawn at a time."""

ENOUGH = 10_000
"""Trials from which on a p999 says anything."""


@dataclass(frozen=True)
class Result:
    """What came of a policy on a trace. Times are in units of plain work where nothing straggles; inf for never.

    Parameters
    ----------
    work, trace, policy : str
    workers, tasks_per_worker, trials : int
    real : bool
        Whether real processes worked.
    p50, p99 : float
    p999 : float, optional
        None below 10 000 trials.
    work_done, bytes_moved : float
        In units of what plain work does and needs.
    memory : float
        What workers keep, in units of the operands.
    """

    work: str
    trace: str
    policy: str
    workers: int
    tasks_per_worker: int
    trials: int
    real: bool
    p50: float
    p99: float
    p999: float | None
    work_done: float
    bytes_moved: float
    memory: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: None where it never ends."""
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}


def bench(
    work: str,
    workers: int,
    traces: Mapping[str, Trace],
    policies: Sequence[str],
    trials: int = 1000,
    seed: int | Sequence[int] = 0,
    play: Play | None = None,
) -> Iterator[Result]:
    """Simulate policies over traces, or play them with real workers.

    Parameters
    ----------
    work : {"product", "operator", "map", "sum"}
    workers : int
    traces : mapping of name to trace
    policies : sequence of str
        Of `POLICIES` and `AUTO`; what the work does not allow is left out.
    trials : int
    seed : int or sequence of int
    play : callable, optional
        ``RealWorkers(…).play``, with the same delays; the simulation by default.

    Examples
    --------
    >>> found = list(bench("product", 4, {"noise": TRACES["noise"]}, ["plain", "mds-6-of-8"], trials=20))
    >>> [(result.policy, result.tasks_per_worker) for result in found][::4]
    [('plain', 1), ('mds-6-of-8', 1)]
    """
    base = [seed] if isinstance(seed, int) else list(seed)
    is_real, play = play is not None, play or _simulated
    for place, (name, trace) in enumerate(traces.items()):
        wanted = [*_fixed(policies), *_chosen(work, workers, trace, policies, [*base, place, 2])]
        known = [(label, one, one.policy.rules(work, workers, one.tasks)) for label, one in wanted]
        found: dict[int, list[Outcomes]] = {}
        for drawn in _chunks(trace, trials, workers, [*base, place, 1]):
            for number, (_, one, rules) in enumerate(known):
                result = None if rules is None else play(one, rules, drawn)
                if result is not None:
                    found.setdefault(number, []).append(result)
        for number, parts in found.items():
            label, one, _ = known[number]
            yield _result(work, name, label, workers, one, Outcomes.joined(parts), is_real)


def _simulated(one: Candidate, rules: Rules, draws: Draws) -> Outcomes:
    return outcomes(rules, draws)


def _fixed(policies: Sequence[str]) -> Iterator[tuple[str, Candidate]]:
    return ((name, Candidate(POLICIES[name], tasks)) for name in policies if name in POLICIES for tasks in TASKS)


def _chosen(
    work: str, workers: int, trace: Trace, policies: Sequence[str], seed: list[int]
) -> Iterator[tuple[str, Candidate]]:
    """What each policy that chooses takes, after it has watched some jobs with delays of their own."""
    names = [name for name in policies if name in AUTO]
    if names:
        record = learn(trace, workers, np.random.default_rng(seed))
        for name, choice in zip(names, choose(record, workers, work, [AUTO[name] for name in names]), strict=True):
            yield name, choice.candidate


def _chunks(trace: Trace, trials: int, workers: int, seed: list[int]) -> Iterator[Draws]:
    for chunk, begun in enumerate(range(0, trials, CHUNK)):
        yield trace(min(CHUNK, trials - begun), workers, np.random.default_rng([*seed, chunk]))


def _result(work: str, trace: str, label: str, workers: int, one: Candidate, all_of: Outcomes, is_real: bool) -> Result:
    trials = len(all_of.times)
    return Result(
        work=work,
        trace=trace,
        policy=label,
        workers=workers,
        tasks_per_worker=one.tasks,
        trials=trials,
        real=is_real,
        p50=all_of.percentile(0.5),
        p99=all_of.percentile(0.99),
        p999=all_of.percentile(0.999) if trials >= ENOUGH else None,
        work_done=float(all_of.work.mean()),
        bytes_moved=float(all_of.moved.mean()),
        memory=one.policy.memory(work, workers, one.tasks),
    )
