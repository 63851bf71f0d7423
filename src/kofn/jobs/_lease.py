"""What ``workers=`` means to a series of jobs: a pool, started when one of them needs it, and what they leave there."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from .._base._closeable import Closeable, Home
from ..engines import as_pool, processes
from ..engines._delays import Delays, delays_of
from ..engines._protocol import Capabilities, Pool, capabilities_of
from ..errors import PoolClosed
from ._placement import Placement


class PoolLease(Closeable):
    """A pool for any number of jobs, and what is resident at its workers until `close`.

    A number of processes is started when the first job needs them, after all that can be refused was, and ends here.
    A fork of this process starts as many of its own; it cannot use a pool.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.matmul`.
    call : str
        The public function that asks, for the sentence that refuses anything else.

    Examples
    --------
    >>> with PoolLease(1000, "kofn.sum") as lease:  # not one of its workers is started
    ...     lease.n
    1000
    """

    def __init__(self, workers: Any, call: str) -> None:
        self._given, self._call = workers, call
        self._pool: Pool | None = None
        self._placement: Placement | None = None
        self._owned = self._closed = False
        self._begin()
        count = processes(workers, call)
        self.n = self.pool.n if count is None else count

    def _begin(self) -> None:
        self._home, self._lock = Home(), threading.Lock()

    def _come_home(self) -> None:
        """Begin anew in a forked child, where neither a pool nor who may have held the lock is there."""
        if self._home.is_here:
            return
        if self._pool is not None and not self._owned:
            self._home.require("what is used here")
        self._pool = self._placement = None
        self._begin()

    @property
    def pool(self) -> Pool:
        """The pool, running."""
        self._come_home()
        with self._lock:
            if self._closed:
                error = PoolClosed("it was closed before; make it anew")
                error.call = self._call
                raise error
            if self._pool is None:
                self._pool, self._owned = as_pool(self._given, self._call)
            return self._pool

    @property
    def by_reference(self) -> bool:
        """Whether workers run the caller's own functions, as threads do."""
        return capabilities_of(self._pool).by_reference

    @property
    def capabilities(self) -> Capabilities:
        """What its engine can do; of processes that are not started yet, what they will."""
        return Capabilities(kills=True, shares=True) if self._pool is None else capabilities_of(self._pool)

    @property
    def name(self) -> str:
        """What its workers are, in a word."""
        return "processes of this machine" if self._pool is None else f"a {type(self._pool).__name__}"

    @property
    def delays(self) -> Delays:
        """What its pool remembers: nothing, if that is not started yet."""
        return Delays() if self._pool is None else delays_of(self._pool)

    @property
    def placement(self) -> Placement:
        """What is resident at its workers."""
        pool = self.pool
        with self._lock:
            if self._placement is None:
                self._placement = Placement(pool)
            return self._placement

    def drop(self, key: Hashable) -> None:
        """Remove one value from the workers, if they have it."""
        if self._placement is not None and self._home.is_here:
            self._placement.drop(key)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        if not self._home.is_here:  # what is placed in another process is not ours to remove
            self._closed = True
            return
        with self._lock:
            closed, self._closed = self._closed, True
        if closed or self._pool is None:
            return
        if self._owned:
            self._pool.close()
        elif self._placement is not None:
            self._placement.close()
