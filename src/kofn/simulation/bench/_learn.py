"""What a pool would know of its delays: some jobs of a trace, watched."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from ._draws import Draws
from ._kernel import duration
from ._recorded import SLOW, Recorded
from ._traces import Trace

JOBS, TASKS_OF_JOB = 50, 4
"""Jobs that are watched, and tasks of each worker in them: 200 tasks a worker."""


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
    pace = np.empty((workers, JOBS, TASKS_OF_JOB))
    for job in range(JOBS):
        for worker in range(workers):
            now = float(draws.start[job, worker])
            for task in range(TASKS_OF_JOB):
                pace[worker, job, task] = seconds = _pace(draws, job, worker, task, worker + workers * task, now)
                now += seconds / TASKS_OF_JOB + _message(draws, job, worker, task)
    message = draws.message[:, :, :TASKS_OF_JOB].transpose(1, 0, 2).reshape(workers, -1)
    record = Recorded(pace.reshape(workers, -1), message if message.any() else None, TASKS_OF_JOB)
    slow = np.argwhere(pace > SLOW * record.median)
    again = [
        (pace[worker, job, task], _pace(draws, job, (worker + 1) % workers, task + 8, worker + workers * task, 0.0))
        for worker, job, task in slow
    ]
    return Recorded(record.pace, record.message, record.job, np.array(again) if again else None)


def _pace(draws: Draws, job: int, worker: int, attempt: int, row: int, now: float) -> float:
    """What a worker sees of a task: seconds for load 1 without the message."""
    load = float(draws.skew[job, row]) / TASKS_OF_JOB
    seconds = duration(draws, job, worker, attempt, load, now) - _message(draws, job, worker, attempt)
    return float(seconds * TASKS_OF_JOB)


def _message(draws: Draws, job: int, worker: int, attempt: int) -> float:
    return float(draws.message[job, worker, attempt % draws.message.shape[2]])
