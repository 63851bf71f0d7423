"""What ``workers=`` means to a series of jobs: a pool, started when one of them needs it, and what they leave there."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from .closing import Closing
from .engines import as_pool, processes
from .engines.pool import Pool
from .errors import PoolClosed
from .placement import Placement


class Workers(Closing):
    """A pool for any number of jobs, and what is resident at its workers until `close`.

    A number of processes is started when the first job needs them, after all that can be refused was, and ends here.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.matmul`.
    call : str
        The public function that asks, for the sentence that refuses anything else.

    Examples
    --------
    >>> with Workers(1000, "kofn.sum") as workers:  # not one of them is started
    ...     workers.n
    1000
    """

    def __init__(self, workers: Any, call: str) -> None:
        self._given, self._call = workers, call
        self._pool: Pool | None = None
        self._placement: Placement | None = None
        self._owned = self._closed = False
        self._lock = threading.Lock()
        count = processes(workers, call)
        self.n = self.pool.n if count is None else count

    @property
    def pool(self) -> Pool:
        """The pool, running."""
        with self._lock:
            if self._closed:
                raise PoolClosed("what is used here was closed before; make it anew")
            if self._pool is None:
                self._pool, self._owned = as_pool(self._given, self._call)
            return self._pool

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
        if self._placement is not None:
            self._placement.drop(key)

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        with self._lock:
            closed, self._closed = self._closed, True
        if closed or self._pool is None:
            return
        if self._owned:
            self._pool.close()
        elif self._placement is not None:
            self._placement.close()
