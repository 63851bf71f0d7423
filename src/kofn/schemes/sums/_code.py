"""What codes for sums share: terms gathered into groups, rows over groups, and the target Σ of all terms.

A code for F(x) = Σ f_i(x) (Mallick, Joshi 2022, eq. (1)) is made over ``groups`` sources. Where these are fewer than
the terms, a source is the sum of m/groups neighbouring terms (Sec. II-A), and the rows are written out in terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Indices
from ...checks import integer, refusal
from ...codes._linear import LinearCode

CALL = "kofn.sum"


def team(m: Any, workers: Any) -> tuple[int, int]:
    """Check the number of terms and of workers, one per term by default.

    Examples
    --------
    >>> team(10, None)
    (10, 10)
    """
    m = integer(CALL, "terms", m, 1, "give at least one term to sum")
    return m, m if workers is None else integer(CALL, "workers", workers, 1, "ask for at least one worker")


def bounded_integer(argument: str, value: Any, least: int, most: int, what: str, default: int) -> int:
    """Return an int in [least, most], or refuse it and say what the limit is; the default where none is given."""
    if value is None:
        return default
    number = integer(CALL, argument, value, least, f"use at most {most}, {what}")
    if number > most:
        raise refusal(CALL, argument, f"be at most {most}, {what}", number, "use a smaller one")
    return number


def spans(length: int, parts: int) -> Indices:
    """Bounds of ``parts`` spans of nearly equal length, (parts + 1,).

    Examples
    --------
    >>> spans(10, 4).tolist()
    [0, 2, 5, 7, 10]
    """
    return np.arange(parts + 1) * length // parts


def csr(columns: Indices, lengths: Indices, width: int, values: Any = None) -> Any:
    """A CSR array from the columns of its rows, one row after the other; ones where no values are given."""
    from scipy.sparse import csr_array

    start = np.concatenate([[0], np.cumsum(lengths)])
    data = np.ones(len(columns)) if values is None else values
    return csr_array((data, columns, start), shape=(len(lengths), width))


def sum_code(name: str, over_groups: Any, worker: Any, m: int, *, threshold: int | None = None) -> LinearCode:
    """The code whose rows are given over groups of terms; the load of a row is the number of its terms.

    Parameters
    ----------
    over_groups : (rows, groups) CSR array
    worker : (rows,) int array
    m : int
        Number of terms, at least as many as groups.
    """
    groups = over_groups.shape[1]
    if groups < m:
        bounds = spans(m, groups)
        over_groups = over_groups @ csr(np.arange(m), np.diff(bounds), m)
    load = np.diff(over_groups.indptr).astype(np.float64)
    return LinearCode(name, over_groups, np.ones((1, m)), worker, load, threshold)
