"""How near the targets are while rows arrive: the span of dense and middling codes, the coverage of large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..._base._numbers import Floats, RowSpace
from .._copies import CopyCode, Seen
from .._linear import LinearCode
from .._sparse import Coverage, is_sparse

SPAN_NUMBERS = 1 << 22
"""A sparse code keeps a basis of up to so many numbers (a thousand rows take about a second), then only counts."""


class Space(Protocol):
    """What a collector asks of it."""

    rank: int

    def add(self, row: int) -> bool:
        """Add a row and tell whether it brought anything new."""

    @property
    def near(self) -> bool:
        """Whether decoding is worth an attempt."""


class _Span(RowSpace):
    """A `RowSpace` that is given rows by number."""

    def __init__(self, code: LinearCode, row_of: Callable[[int], Floats]) -> None:
        super().__init__(code.column_size, code.targets)
        self._row_of = row_of

    def add(self, row: int) -> bool:  # type: ignore[override]
        return super().add(self._row_of(row))


def space_of(code: LinearCode) -> Space:
    """Start with no rows of a code.

    Examples
    --------
    >>> space = space_of(LinearCode("pair", np.eye(2), np.ones((1, 2)), worker=[0, 1]))
    >>> space.add(0), space.near, space.add(1), space.near
    (True, False, True, True)
    """
    if isinstance(code, CopyCode):
        return Seen(code)
    generator = code.generator
    if not is_sparse(generator):
        return _Span(code, lambda row: generator[row])
    if code.blocks is None and min(code.rows, code.unknowns) * code.unknowns <= SPAN_NUMBERS:
        return _Span(code, lambda row: generator[[row]].toarray()[0])
    return Coverage(generator, code.targets, np.asarray(code.worker), code.blocks is not None)
