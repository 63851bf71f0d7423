"""A way to do a job: a code, into how many tasks the work is cut, and a scheduler."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...jobs.scheduling import Scheduler
from ...simulation.bench import Candidate, Choice, scheduler_of
from ...simulation.bench._choose import usual

USUAL = 4
"""Tasks, or shares of a sum, that a worker has where nothing is known."""

PIECE = 10.0
"""A task takes so many times what its message costs, at least."""

UNKNOWN = "no delays of these workers are known yet"
NOT_YET = "the delays of these workers are not weighed yet"

NAMES = {"coded": "coded backups", "duplicates": "duplicates", "mds-6-of-8": "mds", "plain": "plain rows"}
"""What policies are called in reports."""


@dataclass(frozen=True)
class Way:
    """How a job is done, and why.

    Parameters
    ----------
    code : str
        Of `kofn.schemes.PRODUCTS` or `kofn.schemes.SUMS`.
    rows : int
        Into how many the work is cut.
    scheduler : str or Scheduler
    why : str
        For the report.
    """

    code: str
    rows: int
    scheduler: str | Scheduler
    why: str

    def __post_init__(self) -> None:
        assert self.rows >= 1 and self.why


def way_scheduler(candidate: Candidate, first: float) -> str | Scheduler:
    """The scheduler of a candidate; before anything has come back a row is late after ``first`` seconds, times 1.25.

    Examples
    --------
    >>> from kofn.simulation.bench import POLICIES
    >>> way_scheduler(Candidate(POLICIES["mds-6-of-8"], 1), 0.25)
    'auto'
    """
    return "auto" if candidate.policy.static else scheduler_of(candidate.policy, first) or "auto"


def usual_scheduler(work: str, first: float) -> str | Scheduler:
    """The same where nothing is known."""
    return way_scheduler(usual(work, 1), first)


def told(candidate: Candidate) -> str:
    """A candidate in words.

    Examples
    --------
    >>> from kofn.simulation.bench import POLICIES
    >>> told(Candidate(POLICIES["coded"], 4)), told(Candidate(POLICIES["mds-6-of-8"], 1))
    ('coded backups, 4 tasks a worker in 4 rows each', 'mds, 1 task a worker')
    """
    policy, tasks = candidate.policy, candidate.tasks
    rows = f" in {policy.batch} rows each" if policy.batch > 1 else ""
    ended = "" if math.isinf(policy.restart) else f", ended after {policy.restart:g} medians"
    return f"{NAMES[policy.name]}, {tasks_told(tasks)}{rows}{ended}"


def expected_of(choice: Choice, aim: str) -> tuple[str, float, float]:
    """What was aimed at, in a word, what is expected of it, and of plain work."""
    return ("p99", choice.p99, choice.plain_p99) if aim == "p99" else ("median", choice.p50, choice.plain_p50)


def tasks_told(tasks: int) -> str:
    """So many tasks a worker.

    Examples
    --------
    >>> tasks_told(1), tasks_told(4)
    ('1 task a worker', '4 tasks a worker')
    """
    return f"{tasks} task{'s' if tasks > 1 else ''} a worker"


def seconds_told(seconds: float) -> str:
    """A time with two digits.

    Examples
    --------
    >>> seconds_told(1.314), seconds_told(0.00214), seconds_told(41.3), seconds_told(float("inf"))
    ('1.3 s', '2.1 ms', '41 s', 'never')
    """
    if math.isinf(seconds):
        return "never"
    return f"{1000 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
