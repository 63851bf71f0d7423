"""Choosing a policy by simulating candidates on delays that were recorded (arXiv 1503.03128), a little at a time."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..._base._numbers import Floats
from ...jobs.scheduling._backups import LATE
from ._draws import Draws
from ._policies import POLICIES, TASKS, Policy
from ._recorded import Recorded
from ._simulate import Outcomes, outcomes

FIRST, SECOND, CHUNK, KEPT = 100, 400, 25, 4
"""Trials of all candidates, of the best few, and of one step; and how many the best few are."""

BETTER = 0.995
"""What does not better the usual way by half a percent is not worth another."""

BATCHES = (1, 2, 4)
"""Rows of a message."""

Aim = Literal["p99", "median"]


@dataclass(frozen=True)
class Candidate:
    """A policy and how many tasks a worker the work is cut into."""

    policy: Policy
    tasks: int

    def __str__(self) -> str:
        rows = "" if self.policy.batch == 1 else f" in {self.policy.batch} rows each"
        restart = "" if math.isinf(self.policy.restart) else f", ended after {self.policy.restart:g} medians"
        return f"{self.policy.name}, {self.tasks} task{'s' * (self.tasks > 1)} a worker{rows}{restart}"


def usual(work: str, tasks: int, first: float = 1.0) -> Candidate:
    """What is done where nothing is known: plain rows, and backups once something is late."""
    name = "coded" if work in ("product", "operator") else "duplicates"
    return Candidate(replace(POLICIES[name], batch=1, multiplier=LATE, first=first), tasks)


def candidates(
    work: str, most: float = math.inf, restarts: Iterable[float] = (math.inf, 2.0, 3.0), first: float = 1.0
) -> list[Candidate]:
    """All that is worth trying, the usual way first.

    Parameters
    ----------
    work : {"product", "operator", "map", "sum"}
    most : float
        Rows of a worker that are long enough for a message each, at most.
    restarts : iterable of float
        After how many medians tasks may be ended; inf alone where the engine cannot end any, or not at a price that is
        small beside them.
    first : float
        How long the first row takes, in units of a worker's share, before it counts as late, over `LATE`.

    Examples
    --------
    >>> [(one.policy.name, one.tasks, one.policy.batch) for one in candidates("product", 2, [math.inf])]
    [('coded', 2, 1), ('coded', 1, 1), ('coded', 1, 2), ('mds-6-of-8', 1, 1), ('mds-6-of-8', 2, 1)]
    """
    restarts, most = tuple(restarts), max(1, most)
    sizes = [tasks for tasks in TASKS if tasks <= most]
    usually = usual(work, min(4, sizes[-1]), first)
    kinds = [usually.policy] + [replace(usually.policy, name="duplicates", backup=POLICIES["duplicates"].backup)] * (
        work == "operator"
    )
    found = [
        Candidate(replace(kind, batch=batch, restart=restart), tasks)
        for kind in kinds
        for tasks in sizes
        for batch in BATCHES
        if tasks * batch <= most
        for restart in restarts
    ]
    found += [Candidate(POLICIES["mds-6-of-8"], tasks) for tasks in sizes[:3] if work in ("product", "operator")]
    return [usually, *(one for one in found if one != usually)]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and the figures behind it, in the time units of the record.

    Parameters
    ----------
    candidate : Candidate
    p50, p99 : float
        What it is expected to take.
    plain_p50, plain_p99 : float
        What plain work without backups is expected to take, cut in the usual way.
    """

    candidate: Candidate
    p50: float
    p99: float
    plain_p50: float
    plain_p99: float

    def __str__(self) -> str:
        return f"took {self.candidate}: expected p99 {self.p99:.3g}, plain {self.plain_p99:.3g}"


def choose(
    record: Recorded,
    workers: int,
    work: str = "product",
    aims: Sequence[Aim] = ("p99",),
    among: Sequence[Candidate] | None = None,
    seed: int = 0,
) -> list[Choice]:
    """Take the candidate that does best on a bootstrap of what was recorded, for each aim.

    All candidates meet the same draws. All are tried on a few, and what is then best on many. The first one, the usual
    way, is taken where no other is half a percent better.

    Parameters
    ----------
    record : Recorded
    workers : int
    work : {"product", "operator", "map", "sum"}
    aims : sequence of {"p99", "median"}
        What is to be small.
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
    searching = search(record, workers, work, aims, candidates(work) if among is None else among, seed)
    while True:
        try:
            next(searching)
        except StopIteration as end:
            found: list[Choice] = end.value
            return found


Search = Generator[None, None, list[Choice]]


def search(
    record: Recorded, workers: int, work: str, aims: Sequence[Aim], among: Sequence[Candidate], seed: int
) -> Search:
    """What `choose` does, in steps that take a moment each."""
    rng = np.random.default_rng([seed, workers])
    few = record.draw(FIRST, workers, rng)
    yield
    tried: dict[Candidate, Outcomes] = {}
    for one in among:
        tried[one] = yield from _outcomes(one, work, workers, few)
    many = record.draw(SECOND, workers, rng)
    yield
    plain = yield from _outcomes(Candidate(POLICIES["plain"], among[0].tasks), work, workers, many)
    found: dict[Candidate, Outcomes] = {}
    for aim in aims:
        for one in dict.fromkeys([among[0], *sorted(tried, key=lambda one: _first_score(tried[one], aim))[:KEPT]]):
            if one not in found:
                found[one] = yield from _outcomes(one, work, workers, many)
    return [_choice(found, plain, among[0], aim) for aim in aims]


def _outcomes(one: Candidate, work: str, workers: int, draws: Draws) -> Generator[None, None, Outcomes]:
    rules = one.policy.rules(work, workers, one.tasks)
    assert rules is not None
    parts: list[Outcomes] = []
    for chunk in _chunks(draws):
        parts.append(outcomes(rules, chunk))
        yield
    return Outcomes.joined(parts)


def _chunks(draws: Draws) -> Iterator[Draws]:
    for begun in range(0, draws.trials, CHUNK):
        yield Draws(*(np.ascontiguousarray(array[begun : begun + CHUNK]) for array in draws))


def _choice(found: dict[Candidate, Outcomes], plain: Outcomes, usually: Candidate, aim: Aim) -> Choice:
    best = min(found, key=lambda one: (_score(found[one], aim), _slowest(found[one].times)))
    if _score(found[best], aim) > BETTER * _score(found[usually], aim):
        best = usually
    return Choice(best, *(result.percentile(share) for result in (found[best], plain) for share in (0.5, 0.99)))


def _score(result: Outcomes, aim: Aim) -> float:
    return result.percentile(0.99 if aim == "p99" else 0.5)


def _first_score(result: Outcomes, aim: Aim) -> tuple[float, float]:
    """What is to be small in a few trials, of which the mean of the slowest says more than a percentile."""
    slowest = _slowest(result.times)
    return (slowest if aim == "p99" else result.percentile(0.5)), slowest


def _slowest(times: Floats) -> float:
    return float(np.sort(times)[-max(1, len(times) // 20) :].mean())
