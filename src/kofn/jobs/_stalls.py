"""Who is late, and by how much, told while it lasts: to the logger ``kofn``, and to the report in the end."""

from __future__ import annotations

import logging
import math
import queue
from collections.abc import Mapping, Sequence

from .._base._clock import Clock
from ._view import RunView
from .report._attempt import Attempt, Stalled
from .scheduling import InFlight

STALLED = 5.0
"""A message stalls after so many times the median, in proportion to its load, ..."""

STALLED_SECONDS = 1.0
"""... and no sooner: nobody waits for less."""


class Stalls:
    """What a run notices of messages that stall.

    Parameters
    ----------
    view : RunView
        Of the run; nothing is known to be late before the first result.
    clock : Clock
    """

    def __init__(self, view: RunView, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._usual: dict[tuple[int, float], float] = {}  # of those that were told of, by worker and moment

    def wait(self, inbox: queue.SimpleQueue[int | None], wake: float, started: float) -> int | None:
        """Wait for a message, or until a moment, in seconds since the start; tell meanwhile of what stalls."""
        while (due := self._due()) < wake:
            message: int | None = self._clock.wait(inbox, max(0.0, due - (self._clock.now() - started)))
            if message is not None or self._clock.now() - started < due - 1e-9:
                return message  # or somebody calls, who has none
            self._tell(due)
        # In this order: what is later than now by one rounding only is a moment away, or time would never get there.
        last: int | None = self._clock.wait(inbox, max(0.0, wake - (self._clock.now() - started)))
        return last

    def seen(self, attempts: Sequence[Attempt], now: float) -> list[Stalled]:
        """What stalled: for how long until it came back, or until now."""
        ended = [(one.row, one.worker, one.submitted, one.ended) for one in attempts]
        flying = [(row, m.worker, m.submitted, now) for m in self._view.in_flight.values() for row in m.rows]
        return [
            Stalled(worker, row, end - submitted, self._usual[worker, submitted])
            for row, worker, submitted, end in (*ended, *flying)
            if (worker, submitted) in self._usual
        ]

    def _due(self) -> float:
        """When the next message stalls."""
        return min((at for at, _ in self._stalling().values()), default=math.inf)

    def _stalling(self) -> Mapping[int, tuple[float, float]]:
        """Of workers that were not told of yet: when they stall, and what is usual."""
        found: dict[int, tuple[float, float]] = {}
        for worker, message in self._view.in_flight.items():
            usual = self._view.pace * sum(float(self._view.code.load[row]) for row in message.rows)
            if self._key(message) not in self._usual:
                found[worker] = message.submitted + max(STALLED * usual, STALLED_SECONDS), usual
        return found

    def _tell(self, now: float) -> None:
        for worker, (at, usual) in self._stalling().items():
            message = self._view.in_flight[worker]
            if at <= now:
                self._usual[self._key(message)] = usual
                stalled = Stalled(worker, message.rows[0], now - message.submitted, usual)
                logging.getLogger("kofn").warning("%s: %s", self._view.code.name, stalled)

    @staticmethod
    def _key(message: InFlight) -> tuple[int, float]:
        return message.worker, message.submitted
