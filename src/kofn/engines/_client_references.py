"""References for engines whose workers keep none: the values lie in this process."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from .._base._numbers import Array
from .._base._travel import Staying
from ..arrays._spec import ArraySpec
from ..errors import ReferenceLost, WorkerLost
from ._engine import Engine
from ._future import Promise, failed, following
from ._protocol import Capabilities, Pool, WorkerState, capabilities_of
from ._references import Ref, ReferencePool, RemoteMatrix, refs_in, with_values
from ._validation import check_task, check_worker
from ._wrapped import Begin, WrappedPool

GONE = object()
"""Stands where a value was."""


class Held(Staying):
    """A value in this process, until it is `GONE`: what a `Ref` of `ClientReferences` has for its handle."""

    def __init__(self, value: object) -> None:
        self.value = value


class ClientReferences(WrappedPool):
    """A pool whose workers keep nothing, with references to values that this process holds for them.

    What a task returns to `keep` comes here, and goes from here to each task that has a reference to it among its
    arguments. So nothing is lost with a worker. To `send` one copies nothing.

    Parameters
    ----------
    pool : Pool
        Closed together with this one.

    Examples
    --------
    >>> from kofn.engines import ThreadPool
    >>> with ClientReferences(ThreadPool(2)) as pool:
    ...     ones = pool.keep(0, np.ones, 3).result()
    ...     ones.spec.shape, pool.submit(1, np.sum, ones).result()
    ((3,), np.float64(3.0))
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        if isinstance(pool, Engine):
            self.delays = pool.delays
        self._held: weakref.WeakSet[Held] = weakref.WeakSet()
        self._share: Callable[[Array], None] | None = getattr(pool, "share", None)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the wrapped pool, and references."""
        return replace(capabilities_of(self._pool), references=True, outlast=True)

    def held_bytes(self) -> int:
        """How large the arrays are that are referred to."""
        return sum(held.value.nbytes for held in list(self._held) if isinstance(held.value, np.ndarray))

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Run ``function`` at ``worker``, and hold its result here."""
        return following(self.submit(worker, function, *arguments, keys=keys), partial(self._arrived, worker))

    def fetch(self, ref: Ref) -> Future[Any]:
        """The value; an array is read-only."""
        self.require_open("fetch")
        return _ended(lambda: _protected(value_of(ref)))

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Refer to a value as that of another worker too."""
        self.require_open("send")
        check_worker("send", worker, self.n)
        return _ended(lambda: self._refer(self._alive(worker), value_of(ref)))

    def release(self, ref: Ref) -> None:
        """Let go of a value; copies that were sent stay."""
        if isinstance(ref.handle, Held):
            ref.handle.value = GONE

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """A matrix of references to what this process holds, as it is; None for all else."""
        is_ours = isinstance(value, RemoteMatrix) and all(isinstance(ref.handle, Held) for ref in value.blocks.ravel())
        return value if is_ours else None

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References that are this process's own, as they are; None for all else."""
        return [value if isinstance(value, Ref) and isinstance(value.handle, Held) else None for value in values]

    def export(self, matrix: RemoteMatrix) -> Array:
        """The matrix as an array of this process's own."""
        self.require_open("export")
        out = np.empty(matrix.shape, matrix.dtype)
        rows, columns = (np.cumsum([0, *sizes]) for sizes in (matrix.heights, matrix.widths))
        for (i, j), ref in np.ndenumerate(matrix.blocks):
            out[rows[i] : rows[i + 1], columns[j] : columns[j + 1]] = 0 if ref is None else value_of(ref)
        return out

    def moved(self) -> dict[tuple[int, int], int]:
        """Nothing: all that travels does so between this process and a worker."""
        return {}

    def close(self) -> None:
        """Close the wrapped pool, and let go of what is held."""
        super().close()
        self._pool.close()
        for held in list(self._held):
            held.value = GONE

    def _begin(
        self,
        begin: Begin,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        """Give a task values instead of references; one whose values are gone never begins."""
        if any(True for _ in refs_in(arguments)):
            self.require_open("submit")
            check_worker("submit", worker, self.n)
            check_task(function, keys)
            try:
                arguments = with_values(arguments, value_of)
            except ReferenceLost as error:
                return failed(error)
        return begin(worker, function, *arguments, keys=keys)

    def _arrived(self, worker: int, value: object) -> Ref:
        """Refer to a result; where the pool can, other workers are shown the memory that it came in."""
        if self._share is not None and isinstance(value, np.ndarray):
            self._share(value)
        return self._refer(worker, value)

    def _refer(self, worker: int, value: object) -> Ref:
        held = Held(value)
        self._held.add(held)
        spec = ArraySpec.of(value) if isinstance(value, np.ndarray) else None
        return Ref(uuid.uuid4().hex, worker, spec, held)

    def _alive(self, worker: int) -> int:
        if self.state(worker) is WorkerState.DEAD:
            raise WorkerLost(f"worker {worker} is dead and cannot be sent anything", worker)
        return worker


def references_of(pool: Pool) -> ReferencePool:
    """``pool`` itself where its workers keep references, else one that holds the values here.

    Examples
    --------
    >>> from kofn.engines import ThreadPool
    >>> with ThreadPool(1) as pool:
    ...     keeping = references_of(pool)
    ...     type(keeping).__name__, references_of(keeping) is keeping
    ('ClientReferences', True)
    """
    return cast("ReferencePool", pool) if capabilities_of(pool).references else ClientReferences(pool)


def value_of(ref: Ref) -> Any:
    """What a reference refers to, if this process holds it."""
    value = ref.handle.value if isinstance(ref.handle, Held) else GONE
    if value is GONE:
        raise ReferenceLost(f"what {ref.key} refers to is not held here, or not any more; make it again", ref.worker)
    return value


def _protected(value: Any) -> Any:
    """What tasks to come will see too: an array that cannot be written to."""
    if type(value) is not np.ndarray:
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _ended(load: Callable[[], Any]) -> Future[Any]:
    promise = Promise()
    try:
        promise.settle(load())
    except (ReferenceLost, WorkerLost) as error:
        promise.fail(error)
    return promise.future
