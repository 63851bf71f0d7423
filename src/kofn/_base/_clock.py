"""Telling the time and waiting: the real thing, and a seam for virtual time."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Protocol


class Clock(Protocol):
    """What the runtime needs of time."""

    def now(self) -> float:
        """Seconds since some fixed moment."""

    def wait(self, inbox: queue.SimpleQueue[Any], seconds: float) -> Any:
        """Return the next entry of ``inbox``, or None when none came within ``seconds`` (inf: wait for ever)."""


class RealClock:
    """The computer's monotonic clock.

    Examples
    --------
    >>> RealClock().wait(queue.SimpleQueue(), 0.001) is None
    True
    """

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def wait(self, inbox: queue.SimpleQueue[Any], seconds: float) -> Any:
        """Return the next entry of ``inbox``, or None when none came within ``seconds``."""
        try:
            return inbox.get(timeout=None if seconds > threading.TIMEOUT_MAX else seconds)
        except queue.Empty:
            return None
