"""What is done of a study and how long the rest will take, for whoever waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self, TextIO

from kofn.jobs.report import ProgressLine

from .point import Point

EVERY_SECONDS = 2.0
"""A log is told no more often."""


class Progress:
    """Tells a log how far a study is.

    Parameters
    ----------
    total : int
        Points in all.
    missing : sequence of Point
        Those that are not done yet.
    log : text file
    """

    def __init__(self, total: int, missing: Sequence[Point], log: TextIO) -> None:
        self._total, self._left, self._line = total, len(missing), ProgressLine(log)
        self._weight_left = sum(point.weight for point in missing)
        self._weight_done = 0.0
        self._first_at: float | None = None  # workers load what they need before that
        self._told_at = time.monotonic()
        if 0 < self._left < total:
            self._line.show(f"{total - self._left} of {total} points are there already")

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.__exit__(*exception)

    def done(self, point: Point, *, elsewhere: bool = False) -> None:
        """Say that one more is done; another process's does not tell how fast this one is."""
        now = time.monotonic()
        self._left -= 1
        self._weight_left -= point.weight
        if self._first_at is None:
            self._first_at = now
        elif not elsewhere:
            self._weight_done += point.weight
        if now - self._told_at >= EVERY_SECONDS:
            self._told_at = now
            done = f"{self._total - self._left} of {self._total}"
            self._line.show(f"{done}{self._expected(now - self._first_at)}: {point.title}")

    def _expected(self, seconds: float) -> str:
        """How long the rest will take, once that can be told."""
        if not self._weight_done:
            return ""
        return f", {told(seconds / self._weight_done * max(0.0, self._weight_left))} left"


def told(seconds: float) -> str:
    """Seconds as somebody would say them.

    Examples
    --------
    >>> told(59.4), told(3599), told(7300)
    ('59 s', '60 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
