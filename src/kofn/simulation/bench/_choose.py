"""Choosing a policy by simulating candidates on delays that were recorded (arXiv 1503.03128)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ._policies import POLICIES, TASKS, Policy
from ._recorded import Recorded
from ._simulate import Outcomes, outcomes

FIRST, SECOND, KEPT = 100, 500, 6
"""Trials of all candidates, of those that are left, and how many these are."""


@dataclass(frozen=True)
class Candidate:
    """A policy and how many tasks a worker the work is cut into."""

    policy: Policy
    tasks: int

    def __str__(self) -> str:
        restart = "" if math.isinf(self.policy.restart) else f", restart after {self.policy.restart:g} medians"
        return f"{self.policy.name}, {self.tasks} task{'s' * (self.tasks > 1)} a worker{restart}"


def candidates(work: str, restarts: Iterable[float] = (math.inf, 2.0, 3.0)) -> list[Candidate]:
    """All that is worth trying.

    Parameters
    ----------
    work : {"product", "operator", "map", "sum"}
    restarts : iterable of float
        After how many medians tasks may be ended; inf alone where the engine cannot end any.

    Examples
    --------
    >>> len(candidates("map")), str(candidates("map", [2.0])[0])
    (24, 'duplicates, 1 task a worker, restart after 2 medians')
    """
    restarts, combines = tuple(restarts), work in ("product", "operator")
    backed = [POLICIES["coded"] if combines else POLICIES["duplicates"]]
    backed += [replace(policy, batch=2) for policy in backed]
    found = [replace(policy, restart=restart) for policy in backed for restart in restarts]
    found += [POLICIES["duplicates"]] if work == "operator" else []
    found += [POLICIES["mds-6-of-8"]] if combines else []
    return [Candidate(policy, tasks) for policy in found for tasks in TASKS]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the figures behind it, in the time units of the record.

    Parameters
    ----------
    candidate : Candidate
    p50, p99 : float
        What it is expected to take.
    plain_p50, plain_p99 : float
        What plain work of four tasks a worker is expected to take.
    late : float
        Share of jobs that would miss the deadline; 0 without one.
    """

    candidate: Candidate
    p50: float
    p99: float
    plain_p50: float
    plain_p99: float
    late: float = 0.0

    def __str__(self) -> str:
        return f"took {self.candidate}: expected p99 {self.p99:.3g}, plain {self.plain_p99:.3g}"


def choose(
    record: Recorded,
    workers: int,
    work: str = "product",
    aims: Sequence[str | float] = ("p99",),
    among: Sequence[Candidate] | None = None,
    seed: int = 0,
) -> list[Choice]:
    """Take the candidate that does best on a bootstrap of what was recorded, for each aim.

    All candidates meet the same draws. All are tried on a few, and what is then best on many.

    Parameters
    ----------
    record : Recorded
    workers : int
    work : {"product", "operator", "map", "sum"}
    aims : sequence of {"p99", "median"} or float
        What is to be small; a number is a deadline, of which the share of late jobs is.
    among : sequence of Candidate, optional
        `candidates` of the work by default.
    seed : int

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> record = Recorded(np.where(rng.random((8, 200)) < 0.05, 10.0, 1.0), job=4)
    >>> [choice] = choose(record, 8, among=[Candidate(POLICIES[name], 4) for name in ("plain", "coded")])
    >>> choice.candidate.policy.name
    'coded'
    """
    among = candidates(work) if among is None else among
    rng = np.random.default_rng([seed, 1])
    few, many = record.draw(FIRST, workers, rng), record.draw(SECOND, workers, rng)
    known = [(one, one.policy.rules(work, workers, one.tasks)) for one in among]
    tried = [(one, rules, outcomes(rules, few)) for one, rules in known if rules is not None]
    plain_rules = POLICIES["plain"].rules(work, workers, 4)
    assert plain_rules is not None and tried
    plain = outcomes(plain_rules, many)
    found: dict[Candidate, Outcomes] = {}
    choices: list[Choice] = []
    for aim in aims:
        for one, rules, _ in sorted(tried, key=lambda entry: _score(entry[2], aim))[:KEPT]:
            found.setdefault(one, outcomes(rules, many))
        best = min(found, key=lambda one: _score(found[one], aim))
        late = 0.0 if isinstance(aim, str) else float(np.mean(found[best].times > aim))
        (p50, p99), (plain_p50, plain_p99) = _percentiles(found[best]), _percentiles(plain)
        choices.append(Choice(best, p50, p99, plain_p50, plain_p99, late))
    return choices


def _percentiles(result: Outcomes) -> tuple[float, float]:
    return result.percentile(0.5), result.percentile(0.99)


def _score(result: Outcomes, aim: str | float) -> tuple[float, float]:
    """What is to be small: first what is asked for, then the mean of the slowest twentieth."""
    tail = float(np.sort(result.times)[-max(1, len(result.times) // 20) :].mean())
    if aim == "median":
        return result.percentile(0.5), tail
    if aim == "p99":
        return (tail if len(result.times) == FIRST else result.percentile(0.99)), tail
    return float(np.mean(result.times > aim)), tail
