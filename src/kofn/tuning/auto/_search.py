"""Which candidate does best on a bootstrap of recorded delays (arXiv 1503.03128), found a little at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..._base._numbers import Floats
from ...engines._delays import TASKS as OF_JOB
from ...engines._delays import Delays
from ...simulation.bench import POLICIES, Candidate, Draws, Recorded
from ...simulation.bench._policies import TASKS
from ...simulation.bench._simulate import Outcomes, outcomes
from ._book import Search

FIRST, SECOND, CHUNK, KEPT = 100, 400, 25, 4
"""Trials of all candidates, of the best few, and of one step; and how many the best few are."""

BETTER = 0.98
"""What does not better the usual way by 2 % is not worth another."""

RESTARTS = (2.0, 3.0)
"""After how many medians a task may be ended."""

Aim = Literal["p99", "median"]


@dataclass(frozen=True)
class Found:
    """The best candidate, in units of plain work where nothing straggles.

    Parameters
    ----------
    candidate : Candidate
    expected, plain : float
        Percentile that was aimed at, of it and of plain work without backups, cut in the same way as usual.
    """

    candidate: Candidate
    expected: float
    plain: float


def usual(work: str, tasks: int) -> Candidate:
    """What is done where nothing is known: plain rows, and backups on demand."""
    name = "coded" if work == "product" else "duplicates"
    return Candidate(replace(POLICIES[name], batch=1), tasks)


def candidates(work: str, most: float, ends: bool) -> list[Candidate]:
    """All that is worth trying, the usual way first.

    Parameters
    ----------
    work : {"product", "sum"}
    most : float
        Rows of a worker that are long enough for a message each, at most.
    ends : bool
        Whether tasks can be ended at a price that is small beside them.

    Examples
    --------
    >>> [(one.policy.name, one.tasks, one.policy.batch) for one in candidates("product", 2, False)]
    [('coded', 2, 1), ('coded', 1, 1), ('coded', 1, 2), ('mds-6-of-8', 1, 1), ('mds-6-of-8', 2, 1)]
    """
    sizes = [tasks for tasks in TASKS if tasks <= max(1, most)]
    first = usual(work, min(4, sizes[-1]))
    found = [
        Candidate(replace(first.policy, batch=batch, restart=restart), tasks)
        for tasks in sizes
        for batch in (1, 2, 4)
        if tasks * batch <= max(1, most)
        for restart in ((math.inf, *RESTARTS) if ends else (math.inf,))
    ]
    found += [Candidate(POLICIES["mds-6-of-8"], tasks) for tasks in sizes[:3]] if work == "product" else []
    return [first, *(one for one in found if one != first)]


def record_of(delays: Delays, share: float | None) -> Recorded:
    """What a pool remembers, for jobs of which each worker's share takes so many seconds; None: nobody knows."""
    waits = delays.waits * delays.message_seconds if delays.waits.size else np.array([delays.message_seconds])
    message = None if share is None else waits.reshape(1, -1) / share
    again, seconds = delays.again, delays.work_seconds
    load = None if share is None or seconds is None else seconds / share
    return Recorded(delays.pace, message, OF_JOB, again if len(again) else None, load)


def search(record: Recorded, workers: int, work: str, among: Sequence[Candidate], aim: Aim, seed: int) -> Search:
    """Try all on a few draws and the best on many, the same for all; returns a `Found`."""
    rng = np.random.default_rng([seed, workers])
    few = record.draw(FIRST, workers, rng)
    yield
    tried: dict[Candidate, float] = {}
    for one in among:
        times = yield from _times(one, work, workers, few)
        tried[one] = _slowest(times) if aim == "p99" else float(np.median(times))
    best = sorted(tried, key=lambda one: tried[one])[:KEPT]
    many = record.draw(SECOND, workers, rng)
    yield
    scores: dict[Candidate, float] = {}
    for one in dict.fromkeys([among[0], *best]):
        times = yield from _times(one, work, workers, many)
        scores[one] = _percentile(times, aim)
    plain = yield from _times(Candidate(POLICIES["plain"], among[0].tasks), work, workers, many)
    chosen = min(scores, key=lambda one: scores[one])
    if scores[chosen] > BETTER * scores[among[0]]:
        chosen = among[0]
    return Found(chosen, scores[chosen], _percentile(plain, aim))


def _times(one: Candidate, work: str, workers: int, draws: Draws) -> Search:
    rules = one.policy.rules(work, workers, one.tasks)
    assert rules is not None
    parts: list[Outcomes] = []
    for chunk in _chunks(draws):
        parts.append(outcomes(rules, chunk))
        yield
    return Outcomes.joined(parts).times


def _chunks(draws: Draws) -> Iterator[Draws]:
    for begun in range(0, draws.trials, CHUNK):
        yield Draws(*(np.ascontiguousarray(array[begun : begun + CHUNK]) for array in draws))


def _percentile(times: Floats, aim: Aim) -> float:
    return float(np.quantile(times, 0.99 if aim == "p99" else 0.5, method="inverted_cdf"))


def _slowest(times: Floats) -> float:
    return float(np.sort(times)[-max(1, len(times) // 20) :].mean())
