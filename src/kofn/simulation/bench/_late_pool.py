"""A pool of processes that are as late as one drawn trial says."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any

from ..._base._naps import Lateness, run_late
from ...engines._protocol import Pool, WorkerState
from ...engines._wrapped import Begin, WrappedPool
from ._draws import Draws


class LatePool(WrappedPool):
    """Workers of a pool on this machine, late in proportion to the work of each message; for tasks that `nap`.

    The i-th message of a worker is as late as the simulation would have it be. The wrapped pool is not closed with it.

    Parameters
    ----------
    pool : Pool
        Its workers share the clock of this process.
    draws : Draws
    trial : int
    unit : float
        Seconds that stand for the time of plain work.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> from kofn._base._naps import nap
    >>> from kofn.simulation.bench._draws import draws_of
    >>> with kofn.ThreadPool(1) as pool:
    ...     LatePool(pool, draws_of(np.ones((1, 1, 4))), 0, 0.001).submit(0, nap, 0.5, "done").result()
    'done'
    """

    def __init__(self, pool: Pool, draws: Draws, trial: int, unit: float) -> None:
        super().__init__(pool)
        self._draws = draws
        self._trial = trial
        self._unit = unit
        self._messages = [0] * pool.n
        self._origin = time.monotonic()

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Have the worker be late with the task."""
        late = partial(run_late, self._lateness(worker), function)
        future = begin(worker, late, *arguments, keys=keys)
        self._messages[worker] += 1
        return future

    def state(self, worker: int) -> WorkerState:
        """What a worker does; before its time it is starting."""
        now = (time.monotonic() - self._origin) / self._unit
        is_there = now >= self._draws.start[self._trial, worker]
        return super().state(worker) if is_there else WorkerState.STARTING

    def _lateness(self, worker: int) -> Lateness:
        draws, place, message = self._draws, (self._trial, worker), self._messages[worker]
        return Lateness(
            origin=self._origin,
            unit=self._unit,
            pace=float(draws.pace[place][message % draws.pace.shape[2]]),
            message=float(draws.message[place][message % draws.message.shape[2]]),
            pause_at=float(draws.pause_at[place]),
            pause=float(draws.pause[place]),
            death=float(draws.death[place]),
        )
