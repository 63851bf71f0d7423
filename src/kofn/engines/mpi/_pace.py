"""How long to rest between two looks at MPI, which tells nobody of a message that has come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SPIN_SECONDS = 0.0002
"""So long nobody rests at all: the answer to what takes no time is back by then."""

MOVING_SECONDS = 0.02
"""The same while data are on their way: it is who looks at MPI that moves them."""

SHARE = 1 / 20
"""A rest is this part of the time waited so far, so that what comes late is noticed hardly later."""

LONGEST = 0.004
"""Seconds that a rest takes at most: looking so often costs less than a hundredth of a processor."""


class Pace:
    """The rests of somebody who waits for a message.

    Parameters
    ----------
    sleep : callable
        Rests for so many seconds.
    clock : callable

    Examples
    --------
    >>> rests, times = [], iter([0.0, 0.0001, 0.01, 1.0])
    >>> pace = Pace(rests.append, lambda: next(times))
    >>> for _ in range(3):
    ...     pace.rest()
    >>> rests
    [0.0005, 0.004]
    """

    def __init__(
        self, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep, self._clock = sleep, clock
        self._since = clock()

    def restart(self) -> None:
        """Begin anew: something has come, or something has been sent that will be answered."""
        self._since = self._clock()

    def rest(self, moving: bool = False) -> None:
        """Rest, as long as is right for the time waited, and whether data are moving; let others run in any case."""
        waited = self._clock() - self._since
        if waited < (MOVING_SECONDS if moving else SPIN_SECONDS):
            os.sched_yield()
        else:
            self._sleep(min(waited * SHARE, LONGEST))
