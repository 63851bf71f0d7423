"""Peeling: a row with one unknown that is not known yet gives it, until no such row is left (LT codes).

Rows are taken in the order in which they become useful, first in first out, a whole round at a time. Taking the
latest one first (last in, first out) finds the same unknowns along chains so long that rounding grows beyond all
bounds: with 10⁵ unknowns the result has not one correct digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Floats, Indices

Round = tuple[Indices, Indices]
"""Rows that were used together, and the unknowns that they gave."""


def peel(generator: Any) -> list[Round]:
    """Find out which rows give which unknowns, round by round.

    Parameters
    ----------
    generator : (rows, unknowns) CSR array

    Returns
    -------
    list of (rows, unknowns)

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> [(rows.tolist(), found.tolist()) for rows, found in peel(csr_array([[1, 1], [0, 2]]))]
    [([1], [1]), ([0], [0])]
    """
    degree = np.diff(generator.indptr).astype(np.int64)
    by_column = generator.tocsc()
    # The sum of a row's open unknowns is the last open one, once there is only one.
    total = np.concatenate([[0], np.cumsum(generator.indices, dtype=np.int64)])
    open_sum = np.diff(total[generator.indptr])
    rounds: list[Round] = []
    ready = np.flatnonzero(degree == 1)
    while ready.size:
        found, first = np.unique(open_sum[ready], return_index=True)
        rounds.append((ready[first], found))
        touched = _entries(by_column, found)
        np.subtract.at(degree, touched, 1)
        np.subtract.at(open_sum, touched, np.repeat(found, np.diff(by_column.indptr)[found]))
        ready = touched[degree[touched] == 1]
    return rounds


def _entries(matrix: Any, lines: Indices) -> Indices:
    """Indices stored in the given lines (rows of CSR, columns of CSC), one line after the other."""
    starts, lengths = matrix.indptr[lines], np.diff(matrix.indptr)[lines]
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    entries: Indices = matrix.indices[np.repeat(starts, lengths) + offsets]
    return entries


def solve_by_peeling(generator: Any, target: Floats) -> Floats:
    """Solve v G = t by peeling: the rounds backwards, from what was found last.

    Parameters
    ----------
    generator : (rows, unknowns) CSR array
    target : (unknowns,) array

    Returns
    -------
    (rows,) array
        A solution where peeling recovers every unknown of the target, an attempt elsewhere.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> solve_by_peeling(csr_array([[1, 1], [0, 2]]), np.ones(2))
    array([1., 0.])
    """
    rows, unknowns = generator.shape
    solution = np.zeros(rows)
    left = target.astype(np.float64)
    lengths = np.diff(generator.indptr)
    for used, found in reversed(peel(generator)):
        block = generator[used]
        pivots = _entry_of(block, found)
        weights = left[found] / pivots
        solution[used] = weights
        columns = block.indices
        left -= np.bincount(columns, block.data * np.repeat(weights, lengths[used]), minlength=unknowns)
    return solution


def _entry_of(block: Any, columns: Indices) -> Floats:
    """The coefficient of one column in each row."""
    at = block.indices == np.repeat(columns, np.diff(block.indptr))
    coefficients: Floats = block.data[at]
    return coefficients
