"""References: values that lie at workers, and the members of an engine that can keep them there.

A task's arguments and its result may be references, so that the data of a job never passes the process that runs it:
it sends coefficients and receives references. An engine that has these members tells so in ``capabilities.references``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..arrays._spec import ArraySpec
from ._protocol import Pool


@dataclass(frozen=True)
class Ref:
    """A value that lies at a worker. Two are equal if their keys are.

    Parameters
    ----------
    key : str
        Like no other, as the engine makes it.
    worker : int
        Where it lies.
    spec : ArraySpec, optional
        Shape and type, where it is an array.
    handle : object
        The engine's own: a Dask future, a Ray ObjectRef, a tag at an MPI rank, or the value itself. Whoever holds the
        reference holds the handle.
    size : int
        Bytes, as far as they are known.

    Examples
    --------
    >>> Ref("a", 0) == Ref("a", 1), Ref("a", 0, ArraySpec((2, 3), np.dtype(float))).size
    (True, 48)
    """

    key: str
    worker: int = field(compare=False)
    spec: ArraySpec | None = field(default=None, compare=False)
    handle: Any = field(default=None, compare=False, repr=False)
    size: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not self.size and self.spec is not None:
            object.__setattr__(self, "size", self.spec.nbytes)


def refs_in(value: Any) -> Iterator[Ref]:
    """The references among the arguments of a task: by themselves, or in lists and tuples.

    Examples
    --------
    >>> [ref.key for ref in refs_in((1, Ref("a", 0), [2, (Ref("b", 0),)], {"c": Ref("c", 0)}))]
    ['a', 'b']
    """
    if isinstance(value, Ref):
        yield value
    elif type(value) in (list, tuple):
        for part in value:
            yield from refs_in(part)


def with_values(value: Any, value_of: Callable[[Ref], Any]) -> Any:
    """What holds references, with other values in their places.

    Examples
    --------
    >>> with_values((1, Ref("a", 0), [2, (Ref("b", 0),)]), lambda ref: ref.key)
    (1, 'a', [2, ('b',)])
    """
    if isinstance(value, Ref):
        return value_of(value)
    if type(value) in (list, tuple):
        return type(value)(with_values(part, value_of) for part in value)
    return value


@dataclass(frozen=True, eq=False)
class RemoteMatrix:
    """A matrix in blocks that lie at workers.

    Parameters
    ----------
    blocks : (N, P) array of Ref
    heights : tuple of int
        Rows of each row of blocks; N of them.
    widths : tuple of int
        Columns of each column of blocks; P of them.
    dtype : dtype
    """

    blocks: NDArray[np.object_]
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        if self.blocks.shape != (len(self.heights), len(self.widths)):
            raise AssertionError(f"{self.blocks.shape} blocks, {len(self.heights)} heights, {len(self.widths)} widths")

    @property
    def shape(self) -> tuple[int, int]:
        """Of the whole matrix."""
        return sum(self.heights), sum(self.widths)


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

    def export(self, matrix: RemoteMatrix) -> Any:
        """The engine's own remote matrix of blocks that `keep` made; it outlives the pool as far as the engine can."""

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that travelled so far between each pair of workers (from, to), as far as the engine knows them."""
