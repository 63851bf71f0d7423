"""One thread for all workers of a pool: it takes what Ray says, in order, and looks at the clock."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

LOOKING = 0.5
"""Seconds between looks at the connection."""

Errand = tuple[Callable[..., object], tuple[Any, ...]]


class Clerk:
    """Calls functions one after the other on a thread of its own: Ray's threads must not wait, and not be waited for.

    Parameters
    ----------
    look : callable
        Called every `LOOKING` seconds.

    Examples
    --------
    >>> done = threading.Event()
    >>> clerk = Clerk(lambda: None)
    >>> clerk.later(0.01, done.set)
    >>> done.wait(5)
    True
    >>> clerk.end()
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._inbox: SimpleQueue[Errand | None] = SimpleQueue()
        self._timers: list[tuple[float, int, Errand]] = []
        self._numbers = itertools.count()
        threading.Thread(target=self._serve, name="kofn-ray", daemon=True).start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called soon; from any thread."""
        self._inbox.put((function, arguments))

    def later(self, seconds: float, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called after so many seconds; from any thread."""
        self.call(self._remember, time.monotonic() + seconds, (function, arguments))

    def end(self) -> None:
        """Call what was asked for before, and nothing after it."""
        self._inbox.put(None)

    def _remember(self, when: float, errand: Errand) -> None:
        heapq.heappush(self._timers, (when, next(self._numbers), errand))

    def _serve(self) -> None:
        self._remember(time.monotonic() + LOOKING, (self._look_again, ()))
        while True:
            try:
                errand = self._inbox.get(timeout=max(0.0, self._timers[0][0] - time.monotonic()))
            except Empty:
                errand = heapq.heappop(self._timers)[2]
            if errand is None:
                return
            _do(*errand)
            del errand  # nothing of a task stays alive in a thread that waits for the next

    def _look_again(self) -> None:
        self._remember(time.monotonic() + LOOKING, (self._look_again, ()))
        self._look()


def _do(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    try:
        function(*arguments)
    except Exception:
        logging.getLogger("kofn").exception("what was to be done for a worker of Ray has failed")
