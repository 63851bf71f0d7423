"""How one dimension of a matrix is cut into blocks, and in which units it is read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Indices


@dataclass(frozen=True)
class Spans:
    """How one dimension is cut into blocks.

    Parameters
    ----------
    length : int
        Size of the dimension.
    count : int
        Number of blocks, at least 1 and at most ``length`` (1 for an empty dimension).
    order : (length,) int array or None
        Which element goes to which place before cutting; None keeps them in place.
    exponents : (length,) int array or None
        Powers of two that elements, in the order of the matrix, are multiplied by when they are read and divided by
        when they are written (`kofn.arrays._scaling`); none by default.

    Examples
    --------
    >>> Spans(7, 3).slices
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    >>> Spans(7, 3).size
    3
    """

    length: int
    count: int
    order: Indices | None = None
    exponents: NDArray[np.intc] | None = None

    @property
    def size(self) -> int:
        """Length of a padded block."""
        return -(-self.length // self.count)

    @property
    def slices(self) -> list[slice]:
        """The spans, in order."""
        short, longer = divmod(self.length, self.count)
        return [
            slice(start, stop) for start, stop in pairwise(i * short + min(i, longer) for i in range(self.count + 1))
        ]

    @property
    def lines(self) -> list[Any]:
        """The elements of each block, in order: a range, or a part of `order`."""
        return [range(self.length)[span] if self.order is None else self.order[span] for span in self.slices]

    @property
    def places(self) -> tuple[Indices, Indices]:
        """The block of each element and its place there, (length,) each, in the order of the matrix.

        Examples
        --------
        >>> block, place = Spans(3, 2, order=np.array([2, 0, 1])).places
        >>> block.tolist(), place.tolist()
        ([0, 1, 0], [1, 0, 0])
        """
        starts = np.array([span.start for span in self.slices])
        at = np.arange(self.length) if self.order is None else np.argsort(self.order)
        block = np.searchsorted(starts, at, side="right") - 1
        return block, at - starts[block]


def index_of(lines: Any) -> Any:
    """What picks lines of an array: a slice for a range, for a view where there can be one; else the lines."""
    return slice(lines.start, lines.stop) if isinstance(lines, range) else lines
