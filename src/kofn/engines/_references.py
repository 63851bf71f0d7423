"""References: values that lie at workers, and the members of an engine that can keep them there.

A task's arguments and its result may be references, so that the data of a job never passes the process that runs it:
it sends coefficients and receives references. An engine that has these members tells so in ``capabilities.references``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from ..arrays._remote import Ref, RemoteMatrix, refs_in, with_values
from ._protocol import Pool

__all__ = ["Ref", "ReferencePool", "RemoteMatrix", "refs_in", "with_values"]


@runtime_checkable
class ReferencePool(Pool, Protocol):
    """A pool whose workers keep values and hand out references to them.

    Arguments of `keep` and of `submit` may be references, or lists and tuples that hold some: the task gets the
    values. One that lies at another worker travels there first, from worker to worker, which counts as a part of the
    task; move it before with `send` to have it travel while the worker computes. A task that needs a value which
    nobody has any more ends with `kofn.errors.ReferenceLost`, and its worker is idle again.
    """

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Like `submit`, and what the function returns stays at the worker.

        Returns
        -------
        concurrent.futures.Future
            Ends with a `Ref`, whose ``spec`` is told where an array was returned; otherwise as that of `submit`.
        """

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here; its worker may be busy. Ends with `ReferenceLost` where nobody has it."""

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to another worker, from worker to worker, and refer to it there.

        Either worker may be busy: travelling is no task. What is refused or lost ends the future, never the worker.
        """

    def release(self, ref: Ref) -> None:
        """Let go of a value, or of one that was adopted only this reference; unknown ones are ignored.

        A task that has got it already ends well.
        """

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """The blocks of one of the engine's own remote matrices where they lie, or None if ``value`` is none.

        Nothing moves; what is lazy is computed, at the workers. An adopted block stays whoever's it was.
        """

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References to those of some values that lie at the workers, such as the engine's futures; None for others.

        Nothing moves; what is lazy is computed, at the workers, and what is under way is waited for. One that cannot be
        had is refused. A `Ref` of the engine is given as it is now, with the worker where its value lies.
        """

    def export(self, matrix: RemoteMatrix) -> Any:
        """The engine's own remote matrix of blocks that `keep` made; it outlives the pool as far as the engine can.

        Where there is None for a block it is zeros; they do not pass this process, and wait for no worker.
        """

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that travelled so far between each pair of workers (from, to), as far as the engine knows them."""
