"""Calls in the background: a thread drives a `CallLoop`, and hands on what comes of each call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import Any

from ..._base import _closeable
from ..._base._closeable import at_end, end_elsewhere
from ..._base._envelope import error_line
from ..._base._place import staying
from ...errors import KofnError, PoolClosed
from ._loop import CallLoop, Result

Deliver = Callable[[Result], object]
"""Called with what became of a call, in the thread of the crew."""


class Crew:
    """Workers that take any call at any time, driven by a thread that ends with `close` or when this is gone.

    Parameters
    ----------
    loop : CallLoop
        It has begun.
    deliver : callable
        Must not raise; must not hold the crew, or nobody would end it.

    Examples
    --------
    >>> import queue, kofn
    >>> from kofn.jobs._lease import PoolLease
    >>> done = queue.SimpleQueue()
    >>> with kofn.ThreadPool(2) as pool, PoolLease(pool, "f") as lease:
    ...     crew = Crew(CallLoop(lease.pool, lease.placement, len), done.put)
    ...     crew.add([(0, ("abc",))])
    ...     done.get().value
    ...     crew.close()
    3
    """

    def __init__(self, loop: CallLoop, deliver: Deliver) -> None:
        self.loop = loop
        loop.begin()
        self._work = _Work(loop, deliver)
        # Neither the thread nor what it calls may hold this, or it would not end when nobody else does.
        self._thread = threading.Thread(target=staying().run, args=(self._work.serve,), name="kofn-calls", daemon=True)
        self._finalizer = at_end(self, self._work.end)
        self._thread.start()

    def add(self, calls: Iterable[tuple[int, tuple[Any, ...]]]) -> None:
        """Have more calls, each under a number of its own."""
        for number, arguments in calls:
            self.loop.add(number, arguments)
        self.loop.wake()

    def drop(self, numbers: Iterable[int]) -> None:
        """Want no results of these any more; what runs is let go of."""
        for number in numbers:
            self.loop.drop(number)
        self.loop.wake()

    @property
    def is_own_thread(self) -> bool:
        """Whether this thread is the one that takes turns."""
        return self._thread is threading.current_thread()

    def close(self) -> None:
        """Let go of everything, and wait until nothing is left; safe to call twice."""
        self._finalizer()
        if not self.is_own_thread and self.loop.is_here:
            self._thread.join()

    def let_go(self, then: Callable[[], object]) -> None:
        """Close it, and call ``then`` once nothing of it runs: here, unless this is its own thread or it takes long."""
        self._finalizer()
        seconds = 0.0 if self.is_own_thread else _closeable.SOON
        if self.loop.is_here and seconds:
            self._thread.join(seconds)
        if self.loop.is_here and self._thread.is_alive():
            end_elsewhere(partial(self._end, then), seconds)
        else:
            then()

    def _end(self, then: Callable[[], object]) -> None:
        self._thread.join()
        then()


class _Work:
    """What the thread does."""

    def __init__(self, loop: CallLoop, deliver: Deliver) -> None:
        self._loop, self._deliver = loop, deliver
        self._ended = False

    def end(self) -> None:
        """Let the thread come to its end."""
        self._ended = True
        self._loop.wake()

    def serve(self) -> None:
        """Take turns until the end; whatever goes wrong, every call hears of it."""
        error: KofnError = PoolClosed("what was computed here was closed")
        try:
            while not self._ended:
                self._take_turn()
                if self._loop.is_over:
                    self._fail_all(self._loop.end)
        except BaseException as caught:
            if not self._ended:
                self._fail_all(caught)
            # Whoever is told raises it, and then it holds his frames, and with them the crew: this holds another one.
            error = copy(caught) if isinstance(caught, KofnError) else KofnError(error_line(caught))
        while not self._ended:  # what comes now has no chance, and must not wait for ever
            self._fail_all(copy(error))
            self._loop.rest()
        self._loop.close()

    def _take_turn(self) -> None:
        """Wait, and hand on what came; nothing of that is held while it waits again."""
        for result in self._loop.turn():
            self._deliver(result)

    def _fail_all(self, error: BaseException) -> None:
        for number in self._loop.forsake():
            self._deliver(Result(number, -1, None, error))
