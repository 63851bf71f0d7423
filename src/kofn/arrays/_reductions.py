"""What is asked of whole matrices, answered in one pass over tiles: no temporary has the size of a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .._base._numbers import Array, Floats, real_parts
from ._source import TILE_BYTES, Source, tiles

_KEPT: ContextVar[dict[int, tuple[Any, dict[int, Floats]]] | None] = ContextVar("kofn_norms", default=None)
"""By id, matrices and their norms by axis; the matrix itself is held, so that the id stays its own."""

SMALLEST = 2.0**-800
"""Sums of squares below have lost digits of what they are made of, or all of it."""

SMALLEST_SINGLE = 2.0**-80
"""The same in single precision."""


def not_finite(matrix: Any) -> tuple[int, int, int, Any]:
    """Row and column of the first number that is nan or inf, how many there are in all, and the number."""
    count, first, value = 0, (matrix.shape[0], 0), None
    for rows, columns in tiles(matrix):
        tile = matrix[rows, columns]
        bad = np.argwhere(~np.isfinite(tile))
        if len(bad):
            count += len(bad)
            place = (int(bad[0][0]) + (rows.start or 0), int(bad[0][1]) + (columns.start or 0))
            if place < first:
                first, value = place, tile[tuple(bad[0])]
    return *first, count, value


def norms(matrix: Any, axis: int) -> Floats:
    """Euclidean norm of each row (``axis`` 0) or column (1), also where squares would leave the range of numbers.

    A norm is nan or inf where a number is.

    Examples
    --------
    >>> norms(np.array([[3.0, 4.0], [1.0, 0.0]]), 0), norms(np.array([[3e-200, 4e-200]]), 0)
    (array([5., 1.]), array([5.e-200]))
    """
    known = _known(matrix)
    if axis not in known:
        known[axis] = _norms(matrix, axis)
    return known[axis]


def _norms(matrix: Any, axis: int) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(matrix, np.ndarray) and matrix.nbytes <= TILE_BYTES:
            return _norms_of(matrix, axis)
        found = np.zeros(matrix.shape[axis])
        for tile in tiles(matrix):
            part = _norms_of(matrix[tile], axis)
            found[tile[axis]] = np.hypot(found[tile[axis]], part) if found[tile[axis]].any() else part
    return found


def _known(matrix: Any) -> dict[int, Floats]:
    """Norms of a matrix that are known, by axis: kept with a matrix that does not change, of others within one call."""
    if isinstance(matrix, Source) and matrix.is_static:
        return matrix.norms
    kept = _KEPT.get()
    return {} if kept is None else kept.setdefault(id(matrix), (matrix, {}))[1]


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Keep norms for the length of a call, which reads its matrices until it returns.

    Examples
    --------
    >>> with looked_at_once():
    ...     first = norms(matrix := np.ones((2, 2)), 0)
    ...     norms(matrix, 0) is first
    True
    """
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def norm(vector: Floats) -> float:
    """Euclidean norm of a vector.

    Examples
    --------
    >>> norm(2.0**600 * np.array([3.0, 4.0])) == 5 * 2.0**600
    True
    """
    return float(norms(vector[None], 0)[0])


def magnitudes(matrix: Any, axis: int) -> Floats:
    """Sum of the magnitudes of each row (``axis`` 0) or column (1).

    Examples
    --------
    >>> magnitudes(np.array([[3.0, -4.0], [1.0, 0.0]]), 1)
    array([4., 4.])
    """
    total = np.zeros(matrix.shape[axis])
    for tile in tiles(matrix):
        total[tile[axis]] += np.abs(matrix[tile]).sum(axis=1 - axis, dtype=np.float64)
    return total


def _norms_of(tile: Array, axis: int) -> Floats:
    """Norms of the lines of a tile: those whose squares say too little are looked at again, at unit size."""
    smallest = SMALLEST if tile.real.dtype.itemsize > 4 else SMALLEST_SINGLE
    subscripts = "ij,ij->j" if axis else "ij,ij->i"
    squares = sum(np.einsum(subscripts, part, part) for part in real_parts(tile))
    found: Floats = np.sqrt(squares, dtype=np.float64)
    if squares.min(initial=np.inf) >= smallest and squares.max(initial=0.0) < np.inf:
        return found
    unsure = np.flatnonzero(~((squares >= smallest) & (squares < np.inf)))
    if unsure.size:
        parts = [part.astype(np.float64) for part in real_parts(tile[:, unsure].T if axis else tile[unsure])]
        _, unit = np.frexp(np.max([np.abs(part).max(axis=1, initial=0.0) for part in parts], axis=0))
        parts = [np.ldexp(part, -unit[:, None]) for part in parts]
        found[unsure] = np.ldexp(np.sqrt(sum(np.einsum("ij,ij->i", part, part) for part in parts)), unit)
    return found
