"""LT codes with the robust soliton distribution, as used for sums (Mallick, Joshi 2022, Sec. II-B 5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...checks import generator, named, number, refusal
from ...codes._linear import LinearCode
from ._code import CALL, bounded_integer, csr, sum_code, team


def robust_soliton(m: int, c: float, delta: float) -> Floats:
    """Probabilities of the degrees 1 … m of Luby's robust soliton distribution.

    Parameters
    ----------
    m : int
        Number of sources.
    c : float
        Larger c means more rows of low degree, > 0.
    delta : float
        Bound on the probability of failure that the distribution is made for, in (0, 1].

    Examples
    --------
    >>> degrees = robust_soliton(1000, 0.1, 0.5)
    >>> round(float(degrees.sum()), 12), round(float(degrees @ np.arange(1, 1001)), 1)
    (1.0, 10.3)
    """
    ripple = c * math.log(m / delta) * math.sqrt(m)
    degrees = np.arange(1, m + 1)
    ideal = np.concatenate([[1 / m], 1 / (degrees[1:] * (degrees[1:] - 1.0))])
    spike = min(m, max(1, round(m / ripple))) if ripple > 0 else m
    extra = np.where(degrees < spike, ripple / (degrees * m), 0.0)
    extra[spike - 1] = max(0.0, ripple * math.log(max(1.0, ripple / delta)) / m)
    weights = ideal + extra
    probabilities: Floats = weights / weights.sum()
    return probabilities


@named("kofn.schemes.lt")
def lt(
    m: int,
    *,
    c: float = 0.1,
    delta: float = 0.5,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> LinearCode:
    """LT: each row is the sum of a random set of terms, its size drawn from the robust soliton distribution.

    Made for peeling (``estimator="peeling"``), which recovers every term; any other estimator decodes it too, and
    a little earlier.

    Parameters
    ----------
    m : int
        Number of terms.
    c, delta : float
        Of the robust soliton distribution; Mallick, Joshi 2022 is compared with c = .03, δ = .5.
    rows : int, optional
        Rows of a worker (its cap); at least 100 and three times as many in all as terms by default.
    workers : int, optional
        One per term by default.
    rng : None, int or Generator
        Draws the rows.

    References
    ----------
    M. Luby, "LT Codes", FOCS 2002; A. Mallick, S. Smith, G. Joshi, "Rateless Codes for Distributed Non-Linear
    Computations", ISTC 2021.

    Examples
    --------
    >>> code = lt(4, rows=2, workers=2, rng=0)
    >>> code.generator.toarray().sum(axis=1).tolist() == code.load.tolist()
    True
    """
    m, workers = team(m, workers)
    c = number(CALL, "c", c, "0.1 is usual", strict=True)
    delta = number(CALL, "delta", delta, "0.5 is usual", strict=True)
    if delta > 1:
        raise refusal(CALL, "delta", "be at most 1", delta, "it is a chance to fail; 0.5 is usual")
    rows = bounded_integer("rows", rows, 1, 1 << 30, "rows of a worker", max(100, -(-3 * m // workers)))
    from ._sampling import distinct_columns

    random = generator(CALL, rng)
    cumulative = np.cumsum(robust_soliton(m, c, delta))
    degrees = 1 + np.minimum(np.searchsorted(cumulative, random.random(workers * rows)), m - 1)
    columns = distinct_columns(degrees, m, random)
    return sum_code("lt", csr(columns, degrees, m), np.repeat(np.arange(workers), rows), m)
