"""What is asked of whole matrices, answered in one pass over tiles: no temporary has the size of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sources import Source, tiles

Array = NDArray[Any]
Floats = NDArray[np.float64]

SMALLEST = 2.0**-800
"""Sums of squares below have lost digits of what they are made of, or all of it."""


def largest(matrix: Any) -> float:
    """The largest magnitude of a real or imaginary part; nan or inf if there is one.

    Examples
    --------
    >>> largest(np.array([[1 - 3j]])), largest(np.zeros((0, 2)))
    (3.0, 0.0)
    """
    if isinstance(matrix, Source) and matrix.largest is not None:
        return matrix.largest
    ends = [0.0]
    for rows, columns in tiles(matrix):
        for part in _real_parts(matrix[rows, columns]):
            ends += [float(part.max()), float(-part.min())] if part.size else []
    found = float(np.max(ends))
    if isinstance(matrix, Source):
        matrix.largest = found
    return found


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

    Examples
    --------
    >>> norms(np.array([[3.0, 4.0], [1.0, 0.0]]), 0), norms(np.array([[3e-200, 4e-200]]), 0)
    (array([5., 1.]), array([5.e-200]))
    """
    squares = _squares(matrix, axis)
    if SMALLEST <= squares.max(initial=0.0) < np.inf:
        return np.sqrt(squares)
    _, exponent = np.frexp(largest(matrix))  # such matrices alone are read again, at unit size
    return np.ldexp(np.sqrt(_squares(matrix, axis, exponent)), exponent)


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
    return _summed(matrix, axis, lambda tile: np.abs(tile).sum(axis=1 - axis, dtype=np.float64))


def _squares(matrix: Any, axis: int, exponent: Any = 0) -> Floats:
    """Sum of the squared magnitudes of each row or column, of the matrix divided by two to this power."""
    subscripts = "ij,ij->j" if axis else "ij,ij->i"

    def of_tile(tile: Array) -> Any:
        parts = _real_parts(tile) if exponent == 0 else [np.ldexp(part, -exponent) for part in _real_parts(tile)]
        return sum(np.einsum(subscripts, part, part, dtype=np.float64) for part in parts)

    with np.errstate(over="ignore"):
        return _summed(matrix, axis, of_tile)


def _summed(matrix: Any, axis: int, of_tile: Any) -> Floats:
    total = np.zeros(matrix.shape[axis])
    for tile in tiles(matrix):
        total[tile[axis]] += of_tile(matrix[tile])
    return total


def _real_parts(array: Array) -> list[Array]:
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]
