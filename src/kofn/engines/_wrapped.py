"""What a pool that stands before another one hands on."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from .._base._numbers import Array
from ._engine import Engine
from ._protocol import Capabilities, Pool, Stop, WorkerState, capabilities_of
from ._references import Ref, ReferencePool, RemoteMatrix

Begin = Callable[..., "Future[Any]"]
"""`submit` or `keep` of a pool."""


class WrappedPool(Engine, ABC):
    """A pool that has another one do what its own kind does not override.

    What it can do, and whatever else it is asked for, is what the wrapped pool has. The members for references are of
    use where the wrapped pool keeps references.

    Parameters
    ----------
    pool : Pool
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._pool, name)

    @property
    def is_open(self) -> bool:
        """Whether this pool takes tasks, and the wrapped one too."""
        return super().is_open and bool(getattr(self._pool, "is_open", True))

    def require_open(self, call: str) -> None:
        """Raise `PoolClosed` where this pool or the wrapped one takes no task."""
        super().require_open(call)
        if isinstance(self._pool, Engine):
            self._pool.require_open(call)

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return self._pool.n

    @property
    def capabilities(self) -> Capabilities:
        """Those of the wrapped pool."""
        return capabilities_of(self._pool)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> Array:
        """Allocate an array as the wrapped pool does."""
        return self._pool.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``."""
        self._pool.put(worker, key, value)

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker."""
        self._pool.drop(key)

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function`` at ``worker``, with what this pool does to tasks."""
        return self._begin(self._pool.submit, worker, function, arguments, keys)

    def stop(self, worker: int, how: str) -> Stop:
        """Stop what ``worker`` runs as the wrapped pool can."""
        return self._pool.stop(worker, how)

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""
        return WorkerState(self._pool.state(worker))

    # -- references -----------------------------------------------------------------------------------

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Run ``function`` at ``worker``, with what this pool does to tasks; what it returns stays there."""
        return self._begin(self._keeping.keep, worker, function, arguments, keys)

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here."""
        return self._keeping.fetch(ref)

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to another worker."""
        return self._keeping.send(ref, worker)

    def release(self, ref: Ref) -> None:
        """Let go of a value."""
        self._keeping.release(ref)

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """The blocks of one of the wrapped pool's own remote matrices."""
        return self._keeping.adopt(value)

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References to those of some values that the wrapped pool has at its workers."""
        return self._keeping.refer(values)

    def export(self, matrix: RemoteMatrix) -> Any:
        """The wrapped pool's own remote matrix."""
        return self._keeping.export(matrix)

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that travelled so far between each pair of workers."""
        return self._keeping.moved()

    @property
    def _keeping(self) -> ReferencePool:
        return cast("ReferencePool", self._pool)

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Have the wrapped pool begin a task, by its `submit` or its `keep`."""
        return begin(worker, function, *arguments, keys=keys)
