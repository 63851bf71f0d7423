"""Rows of a product that are in doubt, computed again: what no order of adding up can explain is wrong.

An entry of an honest product is off by at most γ_K Σ |a_ik||b_kj|, whatever the data and the order of the sum (Higham,
Accuracy and Stability of Numerical Algorithms, eq. (3.13)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._base._numbers import Array, Floats, Indices
from ._asked import Sum, gamma, underflow

CHUNK = 1 << 19
"""Numbers that are widened at once."""

FARTHEST = 1000
"""Largest power of two by which anything is scaled."""


def recount(asked: Sum, result: Any, rows: Indices, longest: float) -> float:
    """How far some rows of a result are off at most, in units of what rounding can do: at most 1 for honest ones.

    Parameters
    ----------
    asked : Sum
    result : (m, n) array or sparse matrix
    rows : array of int
    longest : float
        Norm that no row of the second blocks exceeds.

    Examples
    --------
    >>> a, b = np.ones((2, 3)), np.ones((3, 4))
    >>> recount(Sum.of(a, b), a @ b, np.array([1]), 2.0), recount(Sum.of(a, b), a @ b + 1e-3, np.array([1]), 2.0) > 1e10
    (0.0, True)
    """
    wide = np.result_type(asked.dtype, np.float64)
    firsts = [dense(block[rows]).astype(wide) for block in asked.first]
    largest = max(float(np.abs(part).max(initial=0.0)) for part in firsts)
    first, second = exponent_of(largest), exponent_of(longest)
    both = within(first + second)
    right, most = _rows(asked, firsts, -first, -second)
    back = np.ldexp(1.0, first + second - both)
    own = np.ldexp(1.0, -both) * dense((result.tocsr() if hasattr(result, "tocsr") else result)[rows]).astype(wide)
    granted = (gamma(asked.terms, asked.dtype) + gamma(asked.terms, wide)) * back * most
    of_small = underflow(asked, math.sqrt(asked.inner) * largest, longest)
    off = np.abs(own - back * right)
    ratios = np.where(off > 0.0, off / (granted + np.ldexp(of_small, -both)), 0.0)
    leaves_range = back * most >= np.ldexp(float(np.finfo(asked.dtype).max), -both - 1)
    beyond = np.where(leaves_range, 0.0, math.inf)
    return float(np.where(np.isfinite(own), ratios, beyond).max(initial=0.0))


def _rows(asked: Sum, firsts: list[Array], first: int, second: int) -> tuple[Array, Floats]:
    """Rows of Σ c_np A_n B_p and of Σ |c_np| |A_n||B_p|, with A and B scaled by these powers of two."""
    right: Any = 0.0
    most: Any = 0.0
    scaled = [np.ldexp(1.0, first) * part for part in firsts]
    for column, block in zip(asked.weights.T, asked.second, strict=True):
        mixed = sum(weight * part for weight, part in zip(column, scaled, strict=True))
        sizes = sum(abs(weight) * np.abs(part) for weight, part in zip(column, scaled, strict=True))
        for lines, part in _parts(block):
            part = np.ldexp(1.0, second) * part
            right = right + mixed[:, lines] @ part
            most = most + sizes[:, lines] @ abs(part)
    return right, most


def _parts(block: Any) -> Iterator[tuple[slice, Any]]:
    """A block in double precision, a few rows at a time where it is dense."""
    step = max(1, CHUNK // max(1, block.shape[1])) if isinstance(block, np.ndarray) else max(1, block.shape[0])
    for start in range(0, block.shape[0], step):
        part = block[start : start + step]
        yield slice(start, start + step), part.astype(np.result_type(part.dtype, np.float64))


def dense(matrix: Any) -> Array:
    """An array of the same numbers."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def within(exponent: int) -> int:
    """As near to an exponent as numbers are scaled."""
    return max(-FARTHEST, min(exponent, FARTHEST))


def exponent_of(size: float) -> int:
    """Of a positive number; 0 for all else."""
    return within(math.frexp(size)[1]) if 0.0 < size < math.inf else 0
