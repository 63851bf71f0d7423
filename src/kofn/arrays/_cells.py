"""Blocks of a matrix that is cut both ways: rows or columns of the answer, and the inner dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._base._numbers import Array
from ._blocks import Blocks, Share
from ._spans import Spans


@dataclass(frozen=True, eq=False)
class Cells(Blocks):
    """The padded blocks of a matrix along both axes, read piece by piece, those of one span one after another.

    Parameters
    ----------
    matrix, spans, axis, chosen, across
        As for `Blocks`: how the axis is cut that the answer has, too.
    inner : Spans
        How the other axis is cut, in place.

    Examples
    --------
    >>> cells = Cells(np.arange(6.0).reshape(2, 3), Spans(2, 2), 0, inner=Spans(3, 2))
    >>> cells.piece(0, 1)[:, 0].tolist()
    [[0.0, 1.0], [2.0, 0.0], [3.0, 4.0], [5.0, 0.0]]
    """

    inner: Spans = field(kw_only=True)

    @property
    def _numbers(self) -> Sequence[int]:
        return range(self.spans.count * self.inner.count) if self.chosen is None else self.chosen

    @property
    def slices(self) -> list[slice]:
        """The spans of these blocks along the axis of the answer."""
        slices = self.spans.slices
        return [slices[number // self.inner.count] for number in self._numbers]

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a padded block."""
        return (self.spans.size, self.inner.size) if self.axis == 0 else (self.inner.size, self.spans.size)

    def _strip(self, part: int, spans: Sequence[int]) -> Blocks:
        """Some blocks of one part of the inner dimension, not padded along it."""
        strip = Blocks(self.matrix, self.spans, self.axis, across=self.across).within(self.inner.slices[part])
        return strip.only(spans)

    def _strips(self) -> Iterator[tuple[Blocks, list[int]]]:
        """The blocks part by part of the inner dimension, and where among all of them they stand."""
        spans, parts = np.divmod(np.array(self._numbers, dtype=np.intp), self.inner.count)
        for part in np.unique(parts).tolist():
            here = np.flatnonzero(parts == part)
            yield self._strip(part, spans[here].tolist()), here.tolist()

    def piece(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop`` of these blocks, (blocks, stop − start, columns of a block)."""
        stacked = np.zeros((len(self._numbers), stop - start, self.shape[1]), self.dtype)
        for strip, here in self._strips():
            rows, columns = strip.shape
            end = min(stop, rows)
            if end > start:
                stacked[here, : end - start, :columns] = strip.piece(start, end)
        return stacked

    def view(self, number: int) -> Array | None:
        """A block where it lies in a matrix in memory; None where it is padded, reordered or in other units."""
        span, part = divmod(self._numbers[number], self.inner.count)
        strip = self._strip(part, [span])
        return strip.view(0) if strip.shape == self.shape else None

    def copy(self, number: int, start: int, stop: int, out: Array) -> None:
        """Write rows ``start`` to ``stop`` of a block of a matrix in memory to where they belong in ``out``."""
        span, part = divmod(self._numbers[number], self.inner.count)
        strip = self._strip(part, [span])
        rows, columns = strip.shape
        end = max(start, min(stop, rows))
        if end > start:
            strip.copy(0, start, end, out[:, :columns])
        out[start:end, columns:] = 0
        out[end:stop] = 0

    def tiles(self) -> Iterator[tuple[Array, list[Share]]]:
        """The matrix tile by tile, each with what it holds of these blocks; tiles that hold nothing are not read."""
        for strip, here in self._strips():
            for tile, shares in strip.tiles():
                yield tile, [(here[number], inside, _within(place, strip.shape)) for number, inside, place in shares]

    def within(self, others: slice) -> Any:
        """Refused: the other axis is cut already."""
        raise NotImplementedError("blocks that are cut both ways are read whole")


def _within(place: tuple[Any, Any], shape: tuple[int, int]) -> tuple[Any, Any]:
    """The same place in a block that is larger than this."""
    rows, columns = (
        slice(*at.indices(length)) if isinstance(at, slice) else at for at, length in zip(place, shape, strict=True)
    )
    return rows, columns
