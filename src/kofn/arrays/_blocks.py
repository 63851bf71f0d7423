"""Splitting and joining arrays; the only place that knows padding.

A dimension of ``length`` is cut into ``count`` spans whose lengths differ by at most one; blocks are padded with
zeros to the longest span, so that they can be combined, and what stands in the padding is never written back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Array, Indices
from .._base._snapshots import Snapshot
from ..checks import refusal
from ._scaling import scale_by_powers
from ._source import ALL, Tile, part_of, tiles
from ._spans import Spans, index_of


@dataclass(frozen=True, eq=False)
class Blocks:
    """The padded blocks of a matrix along one axis, read piece by piece: the matrix is never copied whole.

    Parameters
    ----------
    matrix : (rows, columns) array or Source
    spans : Spans
        How the axis is cut.
    axis : {0, 1}
        0 cuts into row blocks, 1 into column blocks.
    chosen : sequence of int, optional
        Which of the blocks these are; all of them by default.
    across : int array, optional
        Powers of two like those of ``spans``, along the axis that is not cut.

    Examples
    --------
    >>> Blocks(np.arange(6.0).reshape(3, 2), Spans(3, 2), 0).piece(0, 2)[1]
    array([[4., 5.],
           [0., 0.]])
    >>> Blocks(np.arange(6.0).reshape(2, 3), Spans(3, 2), 1).piece(0, 2)[1]
    array([[2., 0.],
           [5., 0.]])
    """

    matrix: Any
    spans: Spans
    axis: int
    chosen: Sequence[int] | None = None
    across: NDArray[np.intc] | None = None

    def only(self, chosen: Sequence[int]) -> Blocks:
        """Some of the blocks; the others are not read."""
        return replace(self, chosen=chosen)

    def taken(self, snapshot: Snapshot) -> Blocks:
        """The same blocks of the matrix as it is now."""
        return replace(self, matrix=snapshot.matrix(self.matrix))

    def within(self, others: slice) -> Blocks:
        """The same blocks of a part of the matrix, along the axis that is not cut."""
        part = (slice(None), others) if self.axis == 0 else (others, slice(None))
        across = None if self.across is None else self.across[others]
        return replace(self, matrix=part_of(self.matrix, *part), across=across)

    @property
    def slices(self) -> list[slice]:
        """The spans of these blocks."""
        slices = self.spans.slices
        return slices if self.chosen is None else [slices[i] for i in self.chosen]

    @property
    def _lines(self) -> list[Any]:
        lines = self.spans.lines
        return lines if self.chosen is None else [lines[i] for i in self.chosen]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The matrix's type."""
        dtype: np.dtype[Any] = self.matrix.dtype
        return dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a padded block."""
        rows, columns = self.matrix.shape
        return (self.spans.size, columns) if self.axis == 0 else (rows, self.spans.size)

    @property
    def _side_by_side(self) -> bool:
        """Whether the blocks are views into the matrix that stack without a copy."""
        spans = self.spans
        plain = spans.order is None and spans.exponents is None and self.chosen is None and self.across is None
        plain = plain and spans.length % spans.count == 0
        return plain and isinstance(self.matrix, np.ndarray) and bool(self.matrix.flags.c_contiguous)

    def piece(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop`` of these blocks, (blocks, stop − start, columns of a block)."""
        return self._rows(start, stop) if self.axis == 0 else self._columns(start, stop)

    def view(self, number: int) -> Array | None:
        """A block where it lies in a matrix in memory; None where it is padded, reordered or in other units."""
        spans, span = self.spans, self.slices[number]
        moved = spans.order is not None or spans.exponents is not None or self.across is not None
        if moved or span.stop - span.start < spans.size or not isinstance(self.matrix, np.ndarray):
            return None
        view: Array = self.matrix[span] if self.axis == 0 else self.matrix[:, span]
        return view

    def copy(self, number: int, start: int, stop: int, out: Array) -> None:
        """Write rows ``start`` to ``stop`` of a block of a matrix in memory to where they belong in ``out``."""
        span, order = self.slices[number], self.spans.order
        if self.axis == 0:
            end = min(stop, span.stop - span.start)
            here: Any = slice(span.start + start, span.start + end)
            here = here if order is None else order[here]
            if end > start:
                out[start:end] = self._raised(self.matrix[here], here, slice(None))
            out[max(start, end) : stop] = 0
            return
        here, rows, room = span if order is None else order[span], slice(start, stop), span.stop - span.start
        out[rows, :room] = self._raised(self.matrix[rows, here], here, rows)
        out[rows, room:] = 0

    def _rows(self, start: int, stop: int) -> Array:
        if self._side_by_side:
            whole: Array = self.matrix.reshape(self.spans.count, *self.shape)
            return whole[:, start:stop]
        lines = [block[start:stop] for block in self._lines]
        stacked = np.empty((len(lines), stop - start, self.shape[1]), self.dtype)
        for block, rows in zip(stacked, lines, strict=True):
            if len(rows):
                here = index_of(rows)
                block[: len(rows)] = self._raised(self.matrix[here], here, ALL)
            block[len(rows) :] = 0
        return stacked

    def _columns(self, start: int, stop: int) -> Array:
        lines, rows, ordered = self._lines, slice(start, stop), self.spans.order is not None
        whole = self.matrix[rows] if ordered or self.chosen is None else None  # what lies together is read at once
        stacked = np.empty((len(lines), stop - start, self.spans.size), self.dtype)
        for block, columns in zip(stacked, lines, strict=True):
            here = index_of(columns)
            if whole is None:
                read = self.matrix[rows, here]
            else:
                read = np.take(whole, here, axis=1) if ordered else whole[:, here]
            block[:, : len(columns)] = self._raised(read, here, rows)
            block[:, len(columns) :] = 0
        return stacked

    def _raised(self, part: Array, places: Any, others: Any) -> Array:
        """A part of the matrix, at these places of the axis that is cut and of the other, as the blocks have it."""
        powers = _at(self.spans.exponents, places), _at(self.across, others)
        return scale_by_powers(part, *(powers if self.axis == 0 else powers[::-1]))

    def tiles(self) -> Iterator[tuple[Array, list[Share]]]:
        """The matrix tile by tile, each with what it holds of these blocks; tiles that hold nothing are not read."""
        places = self.spans.places
        for tile in tiles(self.matrix):
            shares = list(self._shares(tile, *(lines[tile[self.axis]] for lines in places)))
            if shares:
                yield self._raised(self.matrix[tile], tile[self.axis], tile[1 - self.axis]), shares

    def _shares(self, tile: Tile, block: Indices, place: Indices) -> Iterator[Share]:
        for number, chosen in enumerate(range(self.spans.count) if self.chosen is None else self.chosen):
            inside = np.flatnonzero(block == chosen)
            if inside.size and self.axis == 0:
                yield number, (inside, ALL), (place[inside], tile[1])
            elif inside.size:
                yield number, (ALL, inside), (tile[0], place[inside])


Share = tuple[int, tuple[Any, Any], tuple[Any, Any]]
"""A block's number among those chosen, where in the tile it lies, and where that goes in the block."""


@dataclass(frozen=True)
class Grid:
    """How an answer is cut into blocks in both directions, the column running fastest.

    Examples
    --------
    >>> grid = Grid(Spans(2, 2), Spans(3, 1))
    >>> canvas = np.zeros(grid.shape)
    >>> for number, view in enumerate(grid.views(canvas), start=1):
    ...     view[0:1] = np.full(view.shape, number)
    >>> canvas
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """

    rows: Spans
    columns: Spans

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the whole answer."""
        return self.rows.length, self.columns.length

    def views(self, canvas: Any) -> list[Any]:
        """The blocks of an array of this shape, or of a file, without padding, where each goes; to be written to."""
        units = self.rows.exponents, self.columns.exponents
        return [View(canvas, rows, columns, *units) for rows in self.rows.lines for columns in self.columns.lines]

    def where(self, row: int, column: int = 0) -> tuple[Any, Any]:
        """Index of an array of this shape that picks the block (row, column), wherever its rows and columns lie."""
        return _rectangle(self.rows.lines[row], self.columns.lines[column])


def _rectangle(rows: Any, columns: Any) -> tuple[Any, Any]:
    """Index of what lies in both: rows and columns that are ranges, or int arrays."""
    both = not isinstance(rows, range) and not isinstance(columns, range)
    return rows[:, None] if both else index_of(rows), index_of(columns)


def _at(exponents: NDArray[np.intc] | None, lines: Any) -> NDArray[np.intc] | None:
    return None if exponents is None else exponents[lines]


class View:
    """Some rows and columns of a canvas, to be written to a piece at a time.

    Parameters
    ----------
    canvas : array, or file that is written to as one
    rows, columns : range or int array
    row_exponents, column_exponents : int array, optional
        Of all rows and columns of the canvas: what is written is divided by these powers of two.
    """

    def __init__(
        self, canvas: Any, rows: Any, columns: Any, row_exponents: Any = None, column_exponents: Any = None
    ) -> None:
        self._canvas, self._rows, self._columns = canvas, rows, columns
        self._units = row_exponents, _at(column_exponents, index_of(columns))
        self._grows = any(powers is not None and bool((powers < 0).any()) for powers in self._units)
        self.shape = len(rows), len(columns)

    def raised(self) -> Array:
        """What is there now, multiplied by the powers of two that writing divides by."""
        rows, columns = index_of(self._rows), index_of(self._columns)
        return scale_by_powers(self._canvas[rows][:, columns], _at(self._units[0], rows), self._units[1])

    def __setitem__(self, rows: slice, values: Array) -> None:
        here = self._rows[rows]
        powers = _at(self._units[0], index_of(here)), self._units[1]
        values = self._lowered(values, *(None if given is None else -given for given in powers))
        self._canvas[_rectangle(here, self._columns)] = values

    @np.errstate(over="ignore", invalid="ignore")
    def _lowered(self, values: Array, *powers: NDArray[np.intc] | None) -> Array:
        found = scale_by_powers(values, *powers)
        if self._grows and not np.isfinite(found).all() and np.isfinite(values).all():
            must = f"have a product with B that stays well inside {values.dtype}"
            raise refusal("kofn.matmul", "A", must, "a larger one", "scale down what is large")
        return found
