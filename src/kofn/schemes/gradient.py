"""Cyclic gradient codes (Tandon et al. 2017): any n − s workers of n are enough, each with s + 1 shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import generator
from ..code import LinearCode
from .sum_code import CALL, csr, sum_code, team, within


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
    stragglers = min(1, shares - 1) if stragglers is None else stragglers
    stragglers = within("stragglers", stragglers, 0, shares - 1, "one less than there are shares")
    columns = (np.arange(shares)[:, None] + np.arange(stragglers + 1)) % shares
    # Every row is orthogonal to the s rows of a random H whose own rows sum to zero, as the row of ones is.
    h = generator(CALL, rng).standard_normal((stragglers, shares))
    h[:, -1:] -= h.sum(axis=1, keepdims=True)
    values = np.ones((shares, stragglers + 1))
    for row, (first, *others) in enumerate(columns):
        if others:
            values[row, 1:] = -np.linalg.solve(h[:, others], h[:, first])
    lengths = np.full(shares, stragglers + 1)
    over_shares = csr(columns.ravel(), lengths, shares, values.ravel())
    return sum_code("gradient", over_shares, np.arange(shares), m, threshold=shares - stragglers)
