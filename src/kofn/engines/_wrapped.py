"""What a pool that stands before another one hands on."""

from __future__ import annotations

from abc import ABC
from collections.abc import Hashable

import numpy as np
from numpy.typing import DTypeLike

from .._base._numbers import Array
from ._engine import Engine
from ._protocol import Pool, Stop, WorkerState


class WrappedPool(Engine, ABC):
    """A pool that has another one do what its own kind does not override.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return self._pool.n

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> Array:
        """Allocate an array as the wrapped pool does."""
        return self._pool.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``."""
        self._pool.put(worker, key, value)

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker."""
        self._pool.drop(key)

    def stop(self, worker: int, how: str) -> Stop:
        """Stop what ``worker`` runs as the wrapped pool can."""
        return self._pool.stop(worker, how)

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""
        return WorkerState(self._pool.state(worker))
