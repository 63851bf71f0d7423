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
from ._scaling import shifted
from ._source import Tile, part_of, tiles
from ._spans import Spans


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
        slices, order = self.slices, self.spans.order
        if self._side_by_side:
            whole: Array = self.matrix.reshape(self.spans.count, *self.shape)
            return whole[:, start:stop]
        stacked = np.empty((len(slices), stop - start, self.shape[1]), self.dtype)
        for block, span in zip(stacked, slices, strict=True):
            rows = slice(span.start + start, min(span.start + stop, span.stop))
            room = max(0, rows.stop - rows.start)
            if room:
                here = rows if order is None else order[rows]
                block[:room] = self._raised(self.matrix[here], here, slice(None))
            block[room:] = 0
        return stacked

    def _columns(self, start: int, stop: int) -> Array:
        slices, order = self.slices, self.spans.order
        rows = slice(start, stop)
        alone = self.chosen is not None and order is None
        whole = None if alone else self.matrix[rows]  # what lies together is read at once
        stacked = np.empty((len(slices), stop - start, self.spans.size), self.dtype)
        for block, span in zip(stacked, slices, strict=True):
            room = span.stop - span.start
            here: Any = span if order is None else order[span]
            if whole is None:
                read = self.matrix[rows, span]
            else:
                read = whole[:, span] if order is None else np.take(whole, here, axis=1)
            block[:, :room] = self._raised(read, here, rows)
            block[:, room:] = 0
        return stacked

    def _raised(self, part: Array, places: Any, others: Any) -> Array:
        """A part of the matrix, at these places of the axis that is cut and of the other, as the blocks have it."""
        powers = (self.axis, self.spans.exponents, places), (1 - self.axis, self.across, others)
        given = [(axis, exponents[at]) for axis, exponents, at in powers if exponents is not None]
        return shifted(part, *given) if given else part

    def tiles(self) -> Iterator[tuple[Array, list[Share]]]:
        """The matrix tile by tile, each with what it holds of these blocks; tiles that hold nothing are not read."""
        place = np.arange(self.spans.length) if self.spans.order is None else np.argsort(self.spans.order)
        for tile in tiles(self.matrix):
            shares = list(self._shares(tile, place[tile[self.axis]]))
            if shares:
                yield self._raised(self.matrix[tile], tile[self.axis], tile[1 - self.axis]), shares

    def _shares(self, tile: Tile, place: Indices) -> Iterator[Share]:
        for number, span in enumerate(self.slices):
            inside = np.flatnonzero((place >= span.start) & (place < span.stop))
            if inside.size:
                along = place[inside] - span.start
                if self.axis == 0:
                    yield number, (inside, slice(None)), (along, tile[1])
                else:
                    yield number, (slice(None), inside), (tile[0], along)


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
        return [View(canvas, r, c, *units) for r in _places(self.rows) for c in _places(self.columns)]

    def where(self, row: int, column: int = 0) -> tuple[Any, Any]:
        """Index of an array of this shape that picks the block (row, column), wherever its rows and columns lie."""
        places = _places(self.rows)[row], _places(self.columns)[column]
        if all(isinstance(place, slice) for place in places):
            return places
        lines = [np.arange(place.start, place.stop) if isinstance(place, slice) else place for place in places]
        return lines[0][:, None], lines[1]


def _places(spans: Spans) -> list[Any]:
    return [span if spans.order is None else spans.order[span] for span in spans.slices]


class View:
    """Some rows and columns of a canvas, to be written to a piece at a time.

    Parameters
    ----------
    canvas : array, or file that is written to as one
    rows, columns : slice or int array
    row_exponents, column_exponents : int array, optional
        Of all rows and columns of the canvas: what is written is divided by these powers of two.
    """

    def __init__(
        self, canvas: Any, rows: Any, columns: Any, row_exponents: Any = None, column_exponents: Any = None
    ) -> None:
        self._canvas, self._rows, self._columns = canvas, rows, columns
        self._units = [(0, row_exponents, rows), (1, column_exponents, columns)]
        self._grows = any(powers is not None and bool((powers < 0).any()) for _, powers, _ in self._units)
        self.shape = _length(rows), _length(columns)

    def raised(self) -> Array:
        """What is there now, multiplied by the powers of two that writing divides by."""
        part = self._canvas[self._rows][:, self._columns]
        return shifted(part, *((axis, powers[at]) for axis, powers, at in self._units if powers is not None))

    def __setitem__(self, rows: slice, values: Array) -> None:
        start, stop, _ = rows.indices(self.shape[0])
        if isinstance(self._rows, slice):
            here: Any = slice(self._rows.start + start, self._rows.start + stop)
        else:
            here = self._rows[start:stop]
        (_, of_rows, _), (_, of_columns, across) = self._units
        lowered = [] if of_rows is None else [(0, -of_rows[here])]
        lowered += [] if of_columns is None else [(1, -of_columns[across])]
        values = self._lowered(values, lowered) if lowered else values
        both = not isinstance(here, slice) and not isinstance(self._columns, slice)
        self._canvas[(here[:, None] if both else here), self._columns] = values

    @np.errstate(over="ignore", invalid="ignore")
    def _lowered(self, values: Array, powers: list[tuple[int, NDArray[np.intc]]]) -> Array:
        found = shifted(values, *powers)
        if self._grows and not np.isfinite(found).all() and np.isfinite(values).all():
            must = f"have a product with B that stays well inside {values.dtype}"
            raise refusal("kofn.matmul", "A", must, "a larger one", "scale down what is large")
        return found


def _length(places: Any) -> int:
    return places.stop - places.start if isinstance(places, slice) else len(places)
