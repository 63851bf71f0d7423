"""Who has stopped: workers are asked whether they are there, and one that takes far longer than usual is silent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from statistics import median
from typing import Any, final

from ..._base._clock import Clock, RealClock
from ...engines._references import ReferencePool
from ...errors import WorkerError

SILENT_SECONDS = 0.25
"""Who was asked no longer ago is not silent."""

TIMES = 5.0
"""Nor is who takes less than so many times as long as the others took last, or twice as long as he did himself."""

MOST_SECONDS = 2.0
"""Nor, where most of those who were asked have not answered, who was asked no longer ago: then it is the machine, the
network or who passes questions on that is slow, and what most have could not be had elsewhere anyway."""

EVERY = 0.1
"""Seconds between questions to one worker: they are small, and should stay few."""


@final
class Pulse:
    """What is known of workers that are asked whether they are there, whatever they compute.

    An engine that can ask has a member ``ping(worker)``, whose future ends once the worker has answered.

    Parameters
    ----------
    pool : ReferencePool

    Attributes
    ----------
    can_ask : bool
        Whether the engine can.
    """

    def __init__(self, pool: ReferencePool) -> None:
        self._ping: Any = getattr(pool, "ping", None)
        self._clock: Clock = getattr(pool, "clock", RealClock())
        self._asked: dict[int, tuple[float, Future[Any]]] = {}
        self._took: dict[int, float] = {}
        self.can_ask = self._ping is not None

    def ask(self, workers: Iterable[int]) -> None:
        """Ask those whose answer is not awaited, and did not come just now."""
        now = self._clock.now()
        for worker in workers if self.can_ask else ():
            since, last = self._asked.get(worker, (-math.inf, None))
            if now - since >= EVERY and (last is None or last.done()):
                with suppress(WorkerError):  # who is gone is known to be
                    self.begin(worker)

    def begin(self, worker: int) -> Future[Any]:
        """Ask one now; the future ends with the answer."""
        now = self._clock.now()
        future: Future[Any] = self._ping(worker)
        if worker not in self._asked or self._asked[worker][1].done():  # or it has been silent for longer
            self._asked[worker] = now, future
        future.add_done_callback(lambda done: self._take(worker, done, now))
        return future

    def _take(self, worker: int, future: Future[Any], since: float) -> None:
        """Take note of an answer; one that comes after a long silence does not make all others wait as long."""
        if not future.cancelled() and future.exception() is None:
            self._took[worker] = min(self._clock.now() - since, 2.0 * self._patience(worker))

    def _patience(self, worker: int) -> float:
        usual = median(list(self._took.values()) or [0.0])
        return max(SILENT_SECONDS, TIMES * usual, 2.0 * self._took.get(worker, 0.0))

    def silent(self) -> set[int]:
        """Workers that have not answered for long."""
        now, asked = self._clock.now(), list(self._asked.items())
        away = {one: now - since for one, (since, last) in asked if not last.done()}
        silent = {one for one, seconds in away.items() if seconds > self._patience(one)}
        if len(silent) > max(1, len(asked) // 2):
            return {one for one in silent if away[one] > MOST_SECONDS}
        return silent

    def is_waiting(self) -> bool:
        """Whether an answer has not come as soon as answers come."""
        now = self._clock.now()
        return any(now - since >= EVERY and not last.done() for since, last in self._asked.values())

    def close(self) -> None:
        """Wait for no answer any more."""
        for _, future in self._asked.values():
            future.cancel()
        self._asked.clear()
