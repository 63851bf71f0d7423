"""Sleeps that stand for work, at workers that are as late as they are told.

It stands here so that a worker that has just been replaced imports nothing for it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")

FOR_EVER = 1e8
"""Seconds; `time.sleep` takes no infinity, and the process is killed long before."""


class Lateness(NamedTuple):
    """How late a worker is with a message. Times are in units, but for ``origin`` and ``unit``, which are in seconds.

    Parameters
    ----------
    origin : float
        When the job began, by `time.monotonic`, which processes of one machine share.
    unit : float
    pace : float
        How long load 1 takes.
    message : float
        What the message takes beside its work.
    pause_at, pause : float
        When the worker stands still, and for how long.
    death : float
        What is not done by then never is.
    """

    origin: float
    unit: float
    pace: float = 1.0
    message: float = 0.0
    pause_at: float = math.inf
    pause: float = 0.0
    death: float = math.inf

    def end(self, begin: float, length: float) -> float:
        """When what takes so long, and begins then, is done.

        Examples
        --------
        >>> stands = Lateness(0.0, 1.0, pause_at=2.0, pause=3.0)
        >>> stands.end(1.0, 0.5), stands.end(1.0, 2.0), stands.end(4.0, 0.5), stands.end(5.0, 0.5)
        (1.5, 6.0, 5.5, 5.5)
        >>> stands._replace(death=1.25).end(1.0, 0.5)
        inf
        """
        end = begin + length
        if begin < self.pause_at < end:
            end += self.pause
        elif self.pause_at <= begin < self.pause_at + self.pause:
            end = self.pause_at + self.pause + length
        return math.inf if end > self.death else end


class _Here(threading.local):
    """What a worker knows of the message that it computes: how late it is with it, and when its last nap ended."""

    lateness = Lateness(0.0, 0.0)
    now = 0.0

    def begin(self, lateness: Lateness) -> None:
        """Take note of a message that has just come."""
        self.lateness = lateness
        self.now = (time.monotonic() - lateness.origin) / lateness.unit

    def spend(self, length: float) -> None:
        """Sleep until what takes so long is done; what a sleep takes too long the next one makes good."""
        late = self.lateness
        self.now = late.end(self.now, length)
        seconds = late.origin + late.unit * self.now - time.monotonic()
        time.sleep(min(max(0.0, seconds), FOR_EVER))


_here = _Here()


def run_late(lateness: Lateness, function: Callable[..., Value], *values: object) -> Value:
    """Run the naps of a message at a worker that is late with it.

    Examples
    --------
    >>> run_late(Lateness(time.monotonic(), 0.001, pace=2.0), nap, 0.5, "done")
    'done'
    """
    _here.begin(lateness)
    _here.spend(lateness.message)
    return function(*values)


def nap(load: float, value: Value) -> Value:
    """Sleep as long as work of this load takes here, and return the value."""
    _here.spend(_here.lateness.pace * load)
    return value
