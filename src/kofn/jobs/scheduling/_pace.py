"""How fast workers are, and how fast data moves to them, from what came back."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

MESSAGE_SECONDS = 0.002
"""Rows shorter than this are sent several to a message, as many as take about this long."""

SHORTEST_ROW = 1e-6
"""Seconds that a row counts at least: a coarse clock may call it 0."""

BYTES_PER_SECOND = 1e8
"""A network of a gigabit per second; what is taken for true until something was moved."""


class Pace:
    """Seconds that rows take, told message by message.

    Parameters
    ----------
    workers : int

    Examples
    --------
    >>> pace = Pace(2)
    >>> pace.room(0), pace.median
    (1, inf)
    >>> pace.add(0, rows=1, load=2.0, seconds=1e-3)
    >>> pace.room(0), pace.median
    (2, 0.0005)
    >>> pace.add(1, rows=1, load=2.0, seconds=5.001, moved_bytes=1000)
    >>> round(pace.moving_seconds(2000), 6)
    10.0
    """

    def __init__(self, workers: int) -> None:
        self._row_seconds = [math.inf] * workers
        self._still: list[float] = []  # sorted, a message each that moved nothing
        self._moving: list[float] = []
        self._moved_seconds = self._moved_load = 0.0
        self._moved_bytes = 0

    def add(self, worker: int, rows: int, load: float, seconds: float, moved_bytes: int = 0) -> None:
        """Take note of a message that came back after so many seconds, for which so many bytes were moved."""
        self._row_seconds[worker] = max(SHORTEST_ROW, seconds / rows)
        insort(self._moving if moved_bytes else self._still, seconds / load)
        if moved_bytes:
            self._moved_seconds += seconds
            self._moved_load += load
            self._moved_bytes += moved_bytes

    def again(self) -> Pace:
        """What the next run of the same rows begins with: how long rows took each worker last, and the median.

        Examples
        --------
        >>> pace = Pace(2)
        >>> pace.add(0, rows=2, load=2.0, seconds=1e-3)
        >>> pace.again().room(0), pace.again().median
        (4, 0.0005)
        """
        pace = Pace(0)
        pace._row_seconds = list(self._row_seconds)
        pace._still = [self.median] if self._still else []
        return pace

    @property
    def sorted(self) -> Sequence[float]:
        """Seconds for a load of 1, shortest first, of messages that moved nothing if there are any."""
        return self._still or self._moving

    @property
    def median(self) -> float:
        """The median of them; inf before the first."""
        known = self.sorted
        middle = len(known) // 2
        if not known:
            return math.inf
        return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2

    def room(self, worker: int) -> int:
        """How many rows a message to ``worker`` has room for."""
        return max(1, int(MESSAGE_SECONDS / self._row_seconds[worker]))

    def moving_seconds(self, count: int) -> float:
        """How long it takes to move so many bytes."""
        if not self._moved_bytes:
            return count / BYTES_PER_SECOND
        computing = self._moved_load * self.median if self._still else 0.0  # unknown: all of it counts as moving
        return count * max(0.0, self._moved_seconds - computing) / self._moved_bytes
