"""Cyclic gradient codes (Tandon et al. 2017): any n − s workers of n are enough, each with s + 1 shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Array, Floats, Indices
from ...checks import generator, named
from ...codes._linear import LinearCode
from ._code import CALL, bounded_integer, csr, sum_code, team

UNIT = 256
"""Binary digits after the point that coefficients are solved for to."""

REFINEMENTS = 4


@named("kofn.schemes.gradient")
def gradient(m: int, *, stragglers: int | None = None, workers: int | None = None, rng: Any = None) -> LinearCode:
    """Each worker sends one combination of s + 1 neighbouring shares of the terms; any n − s of n are enough.

    Parameters
    ----------
    m : int
        Number of terms.
    stragglers : int, optional
        s, workers that are not waited for; one by default. Conditioning worsens with it: amplification is about 10
        at s = 2 and above 10⁴ from about s = 8 of 20.
    workers : int, optional
        n; one per term by default.
    rng : None, int or Generator
        Draws the coefficients.

    References
    ----------
    R. Tandon, Q. Lei, A. G. Dimakis, N. Karampatziakis, "Gradient Coding: Avoiding Stragglers in Distributed
    Learning", ICML 2017, Algorithm 2.

    Examples
    --------
    >>> code = gradient(4, stragglers=1, rng=0)
    >>> code.threshold, (code.generator.toarray() != 0).astype(int).tolist()
    (3, [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]])
    """
    m, workers = team(m, workers)
    shares = min(m, workers)
    most, what = shares - 1, "one less than there are shares"
    stragglers = bounded_integer("stragglers", stragglers, 0, most, what, min(1, most))
    columns = (np.arange(shares)[:, None] + np.arange(stragglers + 1)) % shares
    h = generator(CALL, rng).standard_normal((stragglers, shares))
    over_shares = csr(columns.ravel(), np.full(shares, stragglers + 1), shares, _coefficients(h, columns).ravel())
    return sum_code("gradient", over_shares, np.arange(shares), m, threshold=shares - stragglers)


def _coefficients(h: Floats, columns: Indices) -> Floats:
    """Values of the rows, the nearest floats to those that are orthogonal to h once its rows sum to zero.

    The row of ones is orthogonal to it too, so it is a combination of any rows that span what is. With coefficients
    that carry the error of a solve it is only nearly one, and some sets of rows could not be told from sets that do not
    suffice: so the solution is refined in integers.

    Parameters
    ----------
    h : (s, shares) array
        Its last column is not used.
    columns : (rows, s + 1) int array
        Places of the values; the first is one.

    Examples
    --------
    >>> _coefficients(np.array([[1.0, 2.0, 0.0]]), np.array([[0, 1], [1, 2], [2, 0]])).round(3).tolist()
    [[1.0, -0.5], [1.0, 0.667], [1.0, 3.0]]
    """
    values = np.ones(columns.shape)
    if len(h):
        exact = np.array([[*row, -sum(row)] for row in map(_in_units, h[:, :-1].tolist())], dtype=object)
        for row, (first, *others) in zip(values, columns, strict=True):
            row[1:] = _solved(exact[:, others], -exact[:, first])
    return values


def _in_units(numbers: list[float]) -> list[int]:
    """Floats as integers in units of 2^-UNIT, which none is finer than that counts."""
    return [(numerator << UNIT) // denominator for numerator, denominator in map(float.as_integer_ratio, numbers)]


def _solved(matrix: Array, right: Array) -> list[float]:
    """Solve a square system in integers of units 2^-UNIT: what is left is computed exactly and solved for in floats.

    Examples
    --------
    >>> _solved(np.array([[2, 1], [1, 3]], dtype=object) * 2**UNIT, np.array([3, 5], dtype=object) * 2**UNIT)
    [0.8, 1.4]
    """
    one = 1 << UNIT
    rough = np.array([[number / one for number in row] for row in matrix])
    found = np.array([0] * len(matrix), dtype=object)
    for _ in range(REFINEMENTS):
        left = right * one - matrix @ found
        found = found + _in_units(np.linalg.solve(rough, [number / one**2 for number in left]).tolist())
    return [number / one for number in found]
