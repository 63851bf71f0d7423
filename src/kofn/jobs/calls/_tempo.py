"""How long calls take, and so how many of them go into one message."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

MESSAGE_SECONDS = 0.05
"""Short calls travel together, as many as take about this long: a message costs the worker some tenths of a
millisecond of waiting, and what a slow worker holds must still be little."""

MOST_CALLS = 1000
"""In one message."""

MESSAGE_BYTES = 1 << 24
"""Arguments of several calls in one message have at most so many bytes."""

GROWTH = 8
"""A message has at most so many times the calls of the worker's last one: the first may have been short ones."""

REMEMBERED = 63
"""Messages whose median counts."""


class Tempo:
    """Seconds that calls take, in the median of the newest messages.

    Examples
    --------
    >>> tempo = Tempo(2)
    >>> tempo.room(0, waiting=1000, workers=2), tempo.computing
    (1, inf)
    >>> tempo.add(0, calls=1, computing=1e-3, away=2e-3)
    >>> tempo.room(0, waiting=1000, workers=2), tempo.room(0, waiting=10, workers=2), tempo.away
    (8, 3, 0.002)
    """

    def __init__(self, workers: int) -> None:
        self.computing = self.away = math.inf
        self._computing: deque[float] = deque(maxlen=REMEMBERED)
        self._away: deque[float] = deque(maxlen=REMEMBERED)
        self._last = [0] * workers

    def add(self, worker: int, calls: int, computing: float, away: float) -> None:
        """Take note of a message of so many calls, which the worker computed and which was away for so long."""
        self._computing.append(computing / calls)
        self._away.append(away / calls)
        self._last[worker] = calls
        self.computing, self.away = _median(self._computing), _median(self._away)

    @property
    def next_most(self) -> int:
        """How many calls the next message of any worker may have."""
        return max(1, min(self.most, GROWTH * max(self._last)))

    @property
    def most(self) -> int:
        """How many calls a message has room for."""
        if not math.isfinite(self.computing):
            return 1
        return max(1, min(MOST_CALLS, int(MESSAGE_SECONDS / max(self.computing, 1e-9))))

    def room(self, worker: int, waiting: int, workers: int) -> int:
        """How many calls the next message to a worker gets, where so many wait for so many workers."""
        share = -(-waiting // (2 * max(1, workers)))  # the last messages are short, so that all end together
        return max(1, min(self.most, GROWTH * self._last[worker], share))


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
