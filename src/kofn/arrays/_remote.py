"""Values and matrices that lie at workers, and are only referred to here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._base._snapshots import Unchanging
from ._spec import ArraySpec


@dataclass(frozen=True)
class Ref(Unchanging):
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


@dataclass(frozen=True, eq=False)
class RemoteMatrix:
    """A matrix in blocks that lie at workers.

    Parameters
    ----------
    blocks : (N, P) array of Ref
        One that is to be exported may have None for a block of zeros, which nobody has.
    heights : tuple of int
        Rows of each row of blocks; N of them.
    widths : tuple of int
        Columns of each column of blocks; P of them.
    dtype : dtype

    Attributes
    ----------
    ndim : int
        2: what multiplies matrices takes it for one.
    """

    ndim: ClassVar[int] = 2

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
