"""What a pool remembers, as a record that candidates are simulated on, and what is found by that."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np

from ...engines._delays import TASKS as OF_JOB
from ...engines._delays import Delays
from ...simulation.bench import Choice, Recorded, candidates
from ...simulation.bench._choose import Aim, search

RESTARTS = (2.0, 3.0)
"""After how many medians a task may be ended."""


def record_of(delays: Delays, share: float | None) -> Recorded:
    """What a pool remembers, for jobs of which each worker's share takes so many seconds; None: nobody knows."""
    waits = delays.waits * delays.message_seconds if delays.waits.size else np.array([delays.message_seconds])
    message = None if share is None else waits.reshape(1, -1) / share
    again, seconds = delays.again, delays.work_seconds
    load = None if share is None or seconds is None else seconds / share
    return Recorded(delays.pace, message, OF_JOB, again if len(again) else None, load)


def best_way(
    delays: Delays, workers: int, work: str, aim: Aim, most: float, share: float | None, first: float, ends: bool
) -> Generator[None, None, Choice]:
    """Find the best candidate, a little at a time.

    Parameters
    ----------
    work : {"product", "sum"}
    most : float
        Rows of a worker that are long enough for a message each, at most.
    share : float, optional
        Seconds that a worker needs for its share of plain work; None where nobody knows.
    first : float
        How long the first row takes, in units of that, before it counts as late, over 1.25.
    ends : bool
        Whether tasks can be ended at a price that is small beside them.
    """
    among = candidates(work, most, (math.inf, *RESTARTS) if ends else (math.inf,), first)
    [choice] = yield from search(record_of(delays, share), workers, work, [aim], among, delays.count)
    return choice
