"""Independent runs, one process each: small networks gain nothing from several threads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

import torch
from kofn.engines import LocalPool

from .experiment import Experiment
from .sgd import LearningCurve
from .study import TrainingRun

KEY = "kofn_studies.training.experiment"


def side_by_side(
    runs: Sequence[TrainingRun], experiment: Experiment, processes: int
) -> Iterator[tuple[TrainingRun, LearningCurve]]:
    """Compute runs, so many at a time, in the order in which they end.

    Parameters
    ----------
    runs : sequence of TrainingRun
    experiment : Experiment
        Placed at every process once.
    processes : int

    Raises
    ------
    WorkerLost
        A process died; runs that have been given out before are not lost.

    Examples
    --------
    >>> from kofn_studies.datasets import load
    >>> list(side_by_side([], Experiment(load("digits")), 1))
    []
    """
    waiting, running = list(reversed(runs)), dict[Future[LearningCurve], TrainingRun]()
    with LocalPool(processes) as pool:
        for worker in range(processes):
            pool.put(worker, KEY, experiment)
        while waiting or running:
            for worker in range(processes):
                if waiting and pool.state(worker) == "idle":
                    run = waiting.pop()
                    running[pool.submit(worker, _computed, run, keys=(KEY,))] = run
            if not running:
                time.sleep(0.01)  # nobody has started yet
            for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _computed(experiment: Experiment, run: TrainingRun) -> LearningCurve:
    torch.set_num_threads(1)
    return experiment(run)
