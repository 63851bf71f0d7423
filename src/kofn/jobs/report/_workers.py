"""How fast each worker was in a run, and who was slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._attempt import Attempt

SLOW = 2.0
"""A worker is slow whose tasks take so many times the median of all."""

TOLD = 1000.0
"""What is more than so many times the usual says no more than that: the usual took next to nothing."""


@dataclass(frozen=True)
class WorkerTimes:
    """What one worker did in a run. Times are seconds for one unit of load, so tasks of different sizes compare.

    Parameters
    ----------
    worker : int
    tasks : int
        That it ended.
    running : int
        That it had not ended when the answer was there, or that were ended or lost with it.
    median, p90, longest : float
        Seconds for a unit of load, those of running tasks as long as they have taken; NaN where it had none.
    ratio : float
        ``median``, or the longest of those that had not ended if that is more, in units of the median of all tasks
        that ended.
    """

    worker: int
    tasks: int
    running: int
    median: float
    p90: float
    longest: float
    ratio: float

    @property
    def is_slow(self) -> bool:
        """Whether it takes twice what is usual, or more."""
        return self.ratio >= SLOW

    def __str__(self) -> str:
        at_least = "at least " if self.running else ""
        times = f"{at_least}{self.ratio:.1f}" if self.ratio <= TOLD else f"more than {TOLD:.0f}"
        return f"worker {self.worker} took {times} times the usual"


def worker_times(workers: int, attempts: Sequence[Attempt]) -> list[WorkerTimes]:
    """The times of every worker, by number.

    Examples
    --------
    >>> run = [Attempt(0, 0, 1.0, 0.0, 0.5, "arrived"), Attempt(1, 1, 2.0, 0.0, 4.0, "abandoned")]
    >>> [str(one) for one in worker_times(2, run)]
    ['worker 0 took 1.0 times the usual', 'worker 1 took at least 4.0 times the usual']
    """
    ended = [_pace(a) for a in attempts if _has_ended(a)]
    usual = float(np.median(ended)) if ended else np.nan
    of_worker: list[list[Attempt]] = [[] for _ in range(workers)]
    for attempt in attempts:
        of_worker[attempt.worker].append(attempt)
    return [_times(worker, mine, usual) for worker, mine in enumerate(of_worker)]


def _times(worker: int, attempts: Sequence[Attempt], usual: float) -> WorkerTimes:
    tasks = sum(map(_has_ended, attempts))
    if not attempts:
        return WorkerTimes(worker, 0, 0, np.nan, np.nan, np.nan, np.nan)
    paces = [_pace(attempt) for attempt in attempts]
    median, p90, longest = np.quantile(paces, [0.5, 0.9, 1.0]).tolist()
    running = [_pace(attempt) for attempt in attempts if not _has_ended(attempt)]
    ratio = max([median, *running] if tasks else running) / usual if usual > 0 else np.nan
    return WorkerTimes(worker, tasks, len(attempts) - tasks, median, p90, longest, ratio)


def _has_ended(attempt: Attempt) -> bool:
    return attempt.outcome in ("arrived", "compared", "late", "wrong")


def _pace(attempt: Attempt) -> float:
    return attempt.seconds / attempt.load if attempt.load > 0 else attempt.seconds
