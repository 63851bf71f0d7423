"""Rateless sum-recovery codes (Mallick, Joshi 2022, Sec. III)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...checks import generator, named
from ...codes._linear import LinearCode
from ._code import CALL, bounded_integer, csr, sum_code, team


@named("kofn.schemes.sr")
def sr(
    m: int,
    *,
    degree: int | None = None,
    access: int | None = None,
    sources: int | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> LinearCode:
    """SR(d): each worker sends its own source alone, then sums of d others, no source twice (eq. (2)).

    The sum is recovered from all sources alone, from everything of one worker, or with high probability from
    slightly more rows than sources, by anyone. A worker's last row holds what is left, so that the second way works
    whether or not d divides m − 1. With fewer workers than terms a source is a group of terms.

    Parameters
    ----------
    m : int
        Number of terms.
    degree : int, optional
        d, sources in a parity row; log₂ of the number of sources by default (d = Ω(log m) is needed to cover all).
    access : int, optional
        k of SR-k: sources that a worker can compute, its own included; all by default.
    sources : int, optional
        Sources that the terms are gathered into; one per worker, and at most one per term, by default.
    rows : int, optional
        Most rows of a worker; as many as its sources allow by default.
    workers : int, optional
        One per term by default.
    rng : None, int or Generator
        Draws the parities.

    References
    ----------
    A. Mallick, G. Joshi, "Rateless Sum-Recovery Codes for Distributed Non-Linear Computations", 2022.

    Examples
    --------
    >>> sr(4, degree=2, rng=0, workers=4).generator.toarray().astype(int)[:3].tolist()
    [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
    """
    m, workers = team(m, workers)
    sources = bounded_integer("sources", sources, 1, m, "the number of terms", min(m, workers))
    if sources == 1:
        degree = 1  # there are no others to add up
    else:
        usual = min(sources - 1, round(math.log2(sources)))
        degree = bounded_integer("degree", degree, 1, sources - 1, "one less than the number of sources", usual)
    access = bounded_integer("access", access, degree, sources, "the number of sources", sources)
    most = 1 - (1 - access) // degree
    parities = bounded_integer("rows", rows, 1, most, "one and the number of parities", most) - 1
    draws = min(access - 1, parities * degree)
    from ._sampling import distinct_columns

    others = distinct_columns(np.full(workers, draws), sources - 1, generator(CALL, rng)).reshape(workers, draws)
    own = np.arange(workers) % sources
    columns = np.hstack([own[:, None], others + (others >= own[:, None])])
    lengths = np.full(parities, degree)
    if parities:
        lengths[-1] = draws - degree * (parities - 1)
    per_worker = np.concatenate([[1], lengths])
    generator_ = csr(columns.ravel(), np.tile(per_worker, workers), sources)
    return sum_code("sum-recovery", generator_, np.repeat(np.arange(workers), len(per_worker)), m)
