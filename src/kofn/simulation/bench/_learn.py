"""What a pool would know of its delays: some jobs of a trace, watched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from ..._base._numbers import Floats
from ._draws import Draws
from ._kernel import duration
from ._recorded import SLOW, Recorded
from ._traces import Trace

LOADS = (0.25, 0.25, 0.25, 0.125, 0.125)
"""Of the tasks of a worker in a job that is watched. Backups are smaller than what they back up, so tasks of a real job
differ too, and tell what grows with the load from what does not."""

JOBS = 40
"""Jobs that are watched: 200 tasks a worker."""


def learn(trace: Trace, workers: int, rng: Generator) -> Recorded:
    """Watch plain jobs under a trace, and what was slow a second time.

    Examples
    --------
    >>> from ._traces import skewed_tasks
    >>> record = learn(skewed_tasks, 8, np.random.default_rng(0))
    >>> record.pace.shape, record.is_persistent, record.belongs_to_tasks
    ((8, 200), False, True)
    """
    draws = trace(JOBS, workers, rng)
    pace = np.empty((workers, JOBS, len(LOADS)))
    for job in range(JOBS):
        for worker in range(workers):
            now = float(draws.start[job, worker])
            for task, load in enumerate(LOADS):
                pace[worker, job, task] = seconds = _pace(draws, job, worker, task, worker + workers * task, now)
                now += seconds * load + _message(draws, job, worker, task)
    message = draws.message[:, :, : len(LOADS)].transpose(1, 0, 2).reshape(workers, -1)
    loads = np.tile(LOADS, (workers, JOBS))
    record = Recorded(pace.reshape(workers, -1), message if message.any() else None, len(LOADS), load=loads)
    return replace(record, again=_again(draws, record))


def _again(draws: Draws, record: Recorded) -> Floats | None:
    """What was slow, computed once more by another worker."""
    pairs = []
    for worker, place in np.argwhere(record.pace > SLOW * record.median):
        job, task = divmod(int(place), len(LOADS))
        other, row = (worker + 1) % len(record.pace), worker + len(record.pace) * task
        pairs.append((record.pace[worker, place], _pace(draws, job, other, task, row, 0.0, attempt=task + 8)))
    return np.array(pairs) if pairs else None


def _pace(draws: Draws, job: int, worker: int, task: int, row: int, now: float, attempt: int | None = None) -> float:
    """What a worker sees of a task: seconds for load 1 without the message."""
    attempt = task if attempt is None else attempt
    load = float(draws.skew[job, row]) * LOADS[task]
    seconds = duration(draws, job, worker, attempt, load, now) - _message(draws, job, worker, attempt)
    return float(seconds / LOADS[task])


def _message(draws: Draws, job: int, worker: int, attempt: int) -> float:
    return float(draws.message[job, worker, attempt % draws.message.shape[2]])
