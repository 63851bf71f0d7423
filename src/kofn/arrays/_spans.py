"""How one dimension of a matrix is cut into blocks, and in which units it is read."""

from __future__ import annotations

from dataclasses import dataclass

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
        ends = np.cumsum([short + (i < longer) for i in range(self.count)])
        return [slice(int(e - short - (i < longer)), int(e)) for i, e in enumerate(ends)]
