"""Which worker computes which row, and how many rows a code does without."""

from __future__ import annotations

import numpy as np

from .._base._numbers import Indices
from ..codes._linear import keep_apart


def default_redundancy(rows: int) -> int:
    """How many of ``rows`` results a code does without by default: a quarter, at least one of two."""
    return max(1, rows // 4) if rows > 1 else 0


def deal_rows(rows: int, workers: int | None, group: Indices | None = None) -> Indices:
    """The worker of each row: dealt round, so that a worker has a second row only when all have one.

    Parameters
    ----------
    rows : int
    workers : int, optional
        As many as rows by default.
    group : (rows,) int array, optional
        Numbers that equal rows share; such rows go to different workers.

    Examples
    --------
    >>> deal_rows(4, 2).tolist(), deal_rows(4, 2, np.array([0, 1, 0, 1])).tolist()
    ([0, 1, 0, 1], [0, 1, 1, 0])
    """
    workers = rows if workers is None else workers
    round_about = np.arange(rows) % workers
    return round_about if group is None else keep_apart(round_about, group, workers)
