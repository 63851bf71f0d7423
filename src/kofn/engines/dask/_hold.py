"""What a reference of a Dask pool has for its handle: a key of Dask's, and where its value was last seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from ..._base._travel import Staying
from ...errors import ReferenceLost

if TYPE_CHECKING:
    from distributed import Client, Future


RELEASE = 0.1
"""Seconds after which what is spent is released at the latest."""


class Spent:
    """Futures to be let go soon.

    A client sends only every few milliseconds. Let go at once, each result and each value would hold up the task that
    follows it; they are let go together with that task, or a little later.

    Parameters
    ----------
    loop : AbstractEventLoop
        The client's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left: deque[Future] = deque()
        self._is_timed = False

    def leave(self, future: Future) -> None:
        """Let go of ``future`` soon; from any thread."""
        self._left.append(future)
        if not self._is_timed:
            self._is_timed = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody can be told any more
                self._loop.call_soon_threadsafe(self._loop.call_later, RELEASE, self._let_go_in_time)

    def let_go(self) -> None:
        """Let go of all there is."""
        while self._left:
            self._left.popleft()

    def _let_go_in_time(self) -> None:
        self._is_timed = False
        self.let_go()


class Hold(Staying):
    """A value at a worker, which stays there as long as anybody has its future.

    Parameters
    ----------
    key : str
        Dask's.
    future : Future or None
        None once it was released.
    address : str
        Of a worker that had it when this was last known, or nothing.
    spent : Spent, optional
        Where the future goes in the end.
    is_ours : bool
        Whether kofn put it there; Dask does not know how to make such a value again.

    Attributes
    ----------
    pin : Hold or None
        A copy of ours, where the value is counted on: of what lies at several workers Dask soon lets all go but one.
    """

    def __init__(
        self, key: str, future: Future | None, address: str, spent: Spent | None = None, is_ours: bool = True
    ) -> None:
        self.key = key
        self.future = future
        self.address = address
        self.spent = spent
        self.is_ours = is_ours
        self.pin: Hold | None = None

    def taken(self) -> Hold:
        """One of one's own, for a task or a journey: it is there whoever releases the other meanwhile."""
        future = self.future
        if future is None:
            raise lost(self.key)
        return Hold(self.key, future, self.address, self.spent, self.is_ours)

    def release(self) -> None:
        """Let go."""
        future, self.future, self.pin = self.future, None, None
        if future is not None and self.spent is not None:
            self.spent.leave(future)

    def __del__(self) -> None:
        self.release()

    @property
    def is_lost(self) -> bool:
        """Whether a value that nobody has any more will never be made again."""
        return self.is_ours or self.future is None or self.future.status in ("cancelled", "error")


def known(client: Client, key: str) -> Future:
    """A future of what is in memory somewhere, and wanted by this client."""
    from distributed import Future

    future = Future(key, client)
    client.futures[key].finish()
    return future


def lost(key: str, worker: int = -1) -> ReferenceLost:
    """Build (not raise) the exception for a value that cannot be had."""
    return ReferenceLost(f"the value {key} was released, or is lost with its Dask worker", worker)
