"""Matrices that need not lie in memory: anything with a shape, a type and pieces to read.

A NumPy array, mapped or not, is one already. A `Source` is read like it, ``source[rows, columns]``, and gives a
fresh array of what was asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Array
from .._base._snapshots import Snapshot
from ._spans import index_of

Tile = tuple[slice, slice]

TILE_BYTES = 1 << 23
"""Size of a tile of what has no chunks of its own."""

ALL = slice(None)


WAYS = "a matrix that is read by pieces is given slices or lists of numbers for its rows and columns"


def sides_of(key: Any) -> tuple[Any, Any]:
    """What an index says of rows and of columns."""
    if not isinstance(key, tuple):
        return (ALL if key is Ellipsis else key), ALL
    if len(key) != 2:
        raise IndexError(f"{WAYS}, two in all, and was given {len(key)}")
    return key


def lines_of(at: Any, length: int) -> Any:
    """What picks so many lines, as NumPy takes it: a slice of step 1, or an array of numbers from 0 on.

    Examples
    --------
    >>> lines_of(slice(-2, None), 5), lines_of(slice(None, None, 2), 5), lines_of([0, -1], 5)
    (slice(3, 5, None), array([0, 2, 4]), array([0, 4]))
    """
    if isinstance(at, slice):
        span = range(length)[at]
        return slice(span.start, max(span.start, span.stop)) if span.step == 1 else np.asarray(span, dtype=np.intp)
    numbers = np.asarray(at)
    if numbers.dtype == bool and numbers.shape == (length,):
        return np.flatnonzero(numbers)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise IndexError(f"{WAYS}, and was given {at!r}")
    numbers = numbers.astype(np.intp, copy=False)
    if numbers.size and not -length <= numbers.min() <= numbers.max() < length:
        raise IndexError(f"line {numbers.max() if numbers.max() >= length else numbers.min()} is not one of {length}")
    return np.where(numbers < 0, numbers + length, numbers)


class Source(ABC):
    """A matrix that is read piece by piece.

    Attributes
    ----------
    shape : pair of int
    dtype : numpy.dtype
    chunks : sequence of pairs of slices, or None
        Rectangles that are expensive to read in parts; None where any piece is as cheap to read as another.
    by_columns : bool
        Whether what lies together is a column.
    norms : dict of int to array
        Norms of its rows (0) and columns (1), as far as somebody has asked for them, if it is static.
    is_static : bool
        Whether what it gives does not change, or is refused once it did.
    """

    ndim = 2
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    chunks: Sequence[Tile] | None = None
    by_columns: bool = False
    is_static: bool = True

    @cached_property
    def norms(self) -> dict[int, NDArray[np.float64]]:
        """What `kofn.arrays.norms` has found so far."""
        return {}

    @abstractmethod
    def read(self, rows: Any, columns: Any) -> Array:
        """Return ``matrix[rows, columns]``, each a slice of step 1, or one of the two an index array."""

    def taken(self, snapshot: Snapshot) -> Source:
        """The same matrix as it is now; one that is read when it is needed stays as it is."""
        return self

    def __getitem__(self, key: Any) -> Array:
        rows, columns = asked = sides_of(key)
        here = [lines_of(at, length) for at, length in zip(asked, self.shape, strict=True)]
        if any(isinstance(at, slice) for at in here):
            return self.read(*here)
        if not isinstance(rows, slice) and not isinstance(columns, slice):
            raise IndexError(f"{WAYS}, one of the two at most; take matrix[rows][:, columns]")
        return self.read(here[0], ALL)[:, here[1]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)


class Cast(Source):
    """A matrix read as another type.

    Examples
    --------
    >>> Cast(np.ones((2, 2), np.float32), np.dtype(float))[1:]
    array([[1., 1.]])
    """

    def __init__(self, matrix: Any, dtype: np.dtype[Any]) -> None:
        self._matrix = matrix
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.dtype = dtype
        self.chunks = chunks_of(matrix)
        self.by_columns = lies_by_columns(matrix)
        self.is_static = isinstance(matrix, Source) and matrix.is_static
        self.norms.update(matrix.norms if self.is_static else {})

    def taken(self, snapshot: Snapshot) -> Cast:
        """Convert the numbers that are there now."""
        return Cast(snapshot.matrix(self._matrix), self.dtype)

    def read(self, rows: Any, columns: Any) -> Array:
        """Read, then convert."""
        return np.asarray(self._matrix[rows, columns].astype(self.dtype, copy=False))


class Adjoint(Cast):
    """The conjugate transpose of a matrix."""

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix, matrix.dtype)
        self.shape = self.shape[::-1]
        self.chunks = None if self.chunks is None else [(rows, columns) for columns, rows in self.chunks]
        self.by_columns = not self.by_columns
        self.norms = {1 - axis: found for axis, found in self.norms.items()}

    def taken(self, snapshot: Snapshot) -> Adjoint:
        """Turn the matrix as it is now."""
        return Adjoint(snapshot.matrix(self._matrix))

    def read(self, rows: Any, columns: Any) -> Array:
        """Read, then turn."""
        return np.asarray(self._matrix[columns, rows].T.conj())


class Part(Source):
    """Some rows and columns of a source."""

    def __init__(self, matrix: Source, rows: slice, columns: slice) -> None:
        self._matrix = matrix
        self._spans = range(matrix.shape[0])[rows], range(matrix.shape[1])[columns]
        self.shape = (len(self._spans[0]), len(self._spans[1]))
        self.dtype = matrix.dtype
        self.by_columns = matrix.by_columns
        self.is_static = matrix.is_static
        if matrix.chunks is not None:
            self.chunks = [tile for chunk in matrix.chunks if (tile := self._inside(chunk)) is not None]

    def _inside(self, chunk: Tile) -> Tile | None:
        """What this part has of a chunk, None if nothing."""
        rows, columns = (
            slice(max(side.start, span.start) - span.start, min(side.stop, span.stop) - span.start)
            for side, span in zip(chunk, self._spans, strict=True)
        )
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def read(self, rows: Any, columns: Any) -> Array:
        """Read from where this part begins."""
        inside = zip((rows, columns), self._spans, strict=True)
        here = [index_of(span[at]) if isinstance(at, slice) else np.asarray(at) + span.start for at, span in inside]
        return self._matrix[here[0], here[1]]


def part_of(matrix: Any, rows: slice, columns: slice) -> Any:
    """Some rows and columns of an array, as a view, or of a source.

    Examples
    --------
    >>> part_of(Cast(np.eye(3), np.dtype(float)), slice(1, 3), slice(0, 2))[:]
    array([[0., 1.],
           [0., 0.]])
    """
    return Part(matrix, rows, columns) if isinstance(matrix, Source) else matrix[rows, columns]


def chunks_of(matrix: Any) -> Sequence[Tile] | None:
    """The chunks of a matrix that is expensive to read in parts, otherwise None."""
    return matrix.chunks if isinstance(matrix, Source) else None


def lies_by_columns(matrix: Any) -> bool:
    """Whether the columns of a matrix lie together, and not its rows."""
    if isinstance(matrix, Source):
        return matrix.by_columns
    return bool(matrix.strides[0] < matrix.strides[1])


def tiles(matrix: Any) -> Iterator[Tile]:
    """Rectangles that cover a matrix and are cheap to read one after the other.

    Examples
    --------
    >>> list(tiles(np.zeros((2, 3))))
    [(slice(0, 2, None), slice(None, None, None))]
    """
    chunks = chunks_of(matrix)
    if chunks is not None:
        yield from chunks
        return
    by_columns = lies_by_columns(matrix)
    length, width = reversed(matrix.shape) if by_columns else matrix.shape
    step = max(1, TILE_BYTES // max(1, width * matrix.dtype.itemsize))
    for start in range(0, length, step):
        slab = slice(start, min(start + step, length))
        yield (ALL, slab) if by_columns else (slab, ALL)
