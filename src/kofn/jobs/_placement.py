"""What is resident at the workers of a pool, so that nothing is sent to them twice."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from itertools import count
from typing import Any

import numpy as np

from .._base._snapshots import Sealed, is_own, seal
from ..engines._protocol import Pool
from ..errors import PoolClosed
from ..schemes._task import Task

_numbers = count()


class Placement:
    """What is resident at the workers of one pool: placed once, used by any number of jobs.

    What others place at the same pool is theirs, also under the same key.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._number = next(_numbers)
        self._placed: dict[tuple[int, Hashable], int] = {}
        self._closed = False
        self._lock = threading.Lock()  # jobs of several threads may share it

    def ensure(self, worker: int, task: Task) -> int:
        """Place what ``task`` needs at ``worker``, unless it is there; return the bytes placed."""
        placed = 0
        with self._lock:
            if self._closed:
                error = PoolClosed("what it has at the workers was closed; make it anew")
                error.call = "kofn.prepare"
                raise error
            for key, value in task.resident.items():
                if (worker, key) not in self._placed:
                    shared = is_own(task.function) or callable(value)
                    self._pool.put(worker, self._named(key), value if shared else seal(value))
                    self._placed[worker, key] = size_of(value)
                    placed += self._placed[worker, key]
        return placed

    def drop(self, key: Hashable) -> None:
        """Remove one value from the workers."""
        with self._lock:
            self._pool.drop(self._named(key))
            self._placed = {place: size for place, size in self._placed.items() if place[1] != key}

    def missing(self, worker: int, task: Task) -> int:
        """How many bytes ``worker`` lacks of what ``task`` needs: 0 where it lacks nothing, at least 1 a value."""
        lacks = (value for key, value in task.resident.items() if (worker, key) not in self._placed)
        return sum(max(1, size_of(value)) for value in lacks)

    @property
    def bytes_at_workers(self) -> tuple[int, ...]:
        """What lies at each worker."""
        sizes = [0] * self._pool.n
        with self._lock:
            for (worker, _), size in self._placed.items():
                sizes[worker] += size
        return tuple(sizes)

    def close(self) -> None:
        """Remove all of it from the workers, for good; safe to call twice."""
        with self._lock:
            self._closed = True
            for key in {key for _, key in self._placed}:
                self._pool.drop(self._named(key))
            self._placed.clear()

    def keys(self, task: Task) -> tuple[Hashable, ...]:
        """Under which the pool knows what ``task`` needs."""
        return tuple(map(self._named, task.resident))

    def _named(self, key: Hashable) -> Hashable:
        return self._number, key


def size_of(value: Any) -> int:
    """Bytes of the arrays in a value: a dense or sparse array, or a sequence of them.

    Examples
    --------
    >>> size_of((np.zeros(3), [np.zeros((2, 2), np.float32)], "text"))
    40
    """
    if isinstance(value, np.ndarray | Sealed):
        return value.nbytes
    if isinstance(value, (tuple, list)):
        return sum(map(size_of, value))
    if hasattr(value, "indptr"):
        return int(value.data.nbytes + value.indices.nbytes + value.indptr.nbytes)
    return 0
