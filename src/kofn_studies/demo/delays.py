"""The workers of the demo: real processes, of which one is slow and one dies, the same way for every code."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kofn.engines import Pool
from kofn.errors import WorkerLost
from kofn.simulation import Dying, ShiftedExponential, Slowdown, Straggling

SLOW, DYING = 1, 4
"""Both are among the workers that every code needs, or there would be nothing to see."""

SLOWNESS = 10.0


@dataclass(frozen=True)
class InjectedDelays:
    """What the workers go through.

    Parameters
    ----------
    seed : int
        Fixes every delay: the t-th task of worker w is late by the same time under every code.
    pace : float
        Least seconds that a task takes; three quarters of it are random on top, on average.

    Examples
    --------
    >>> InjectedDelays(seed=0, pace=0.2).death_seconds
    0.12
    """

    seed: int
    pace: float

    @property
    def death_seconds(self) -> float:
        """When the worker dies, in seconds since its first task began: in the middle of it."""
        return 0.6 * self.pace

    def inject(self, pool: Pool) -> Straggling:
        """Let ``pool`` straggle: all its workers ready, nobody dead yet."""
        while any((state := pool.state(worker)) != "idle" for worker in range(pool.n)):
            if state == "dead":
                raise WorkerLost("the demo has lost one of its workers for good; start it again", 0)
            time.sleep(0.01)
        some_are_late = ShiftedExponential(self.pace, 0.75 * self.pace)
        return Straggling(
            pool, Dying(Slowdown(some_are_late, {SLOW: SLOWNESS}), {DYING: self.death_seconds}), self.seed
        )
