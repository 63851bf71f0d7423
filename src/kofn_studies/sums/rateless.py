"""When rateless sums are there (SR and LT): a code for the workers that are awake, its rows in order of arrival.

The rows come from the builders in `kofn.schemes` and are judged in three ways: exactly (`modular`), by peeling, and by
`rows_predicted`, which is right nearly always at the size of the paper and is checked against the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kofn.codes import LinearCode

from .._numba import compiled
from .._types import Floats, Indices
from .modular import rows_covering
from .times import Delays, SumTimes

Build = Callable[[int, int, np.random.Generator], LinearCode]
"""(workers, most rows of a worker, rng) → a code, of which the rows of the workers that are awake are used."""

MARGIN = 4.0
"""A run that takes longer is drawn again for more workers, so that it is too short if it is short the second time: with
this margin at the size of the paper hardly any is, with one of 1.5 half of the runs of LT are."""

Needed = Callable[[Any], int]
"""Generator in order of arrival → how many of its rows are needed."""


def rateless(
    delays: Delays, build: Build, needed: Needed, *, least: float, cap: int, rng: Any = None, first: int = 0
) -> tuple[SumTimes, Indices]:
    """Draw a code for each run and tell when enough of its rows have arrived.

    Parameters
    ----------
    build : callable
        For example ``lambda workers, rows, rng: sr(1000, workers=…, rows=rows, rng=rng)``.
    needed : callable
        `kofn_studies.sums.modular.rows_needed`, `rows_peeled` or `rows_predicted`.
    least : float
        Work that is certainly needed, in terms: workers who are not awake by the time that `MARGIN` times as much is
        done are left out, unless a run takes longer.
    cap : int
        Most rows of a worker.
    rng : None, int or Generator
    first : int
        The number of the first of these runs; what is drawn for a run depends on its number and ``rng`` alone.

    Returns
    -------
    SumTimes
    (runs,) int array
        Rows needed, M'; beyond those that ever arrive where there are never enough.

    Examples
    --------
    >>> from kofn.schemes import SUMS
    >>> delays = Delays([[0.0, 1.0]], 1.0)
    >>> rateless(delays, lambda workers, rows, rng: SUMS["uncoded"](2), rows_predicted, least=2, cap=1)[0].times
    array([2.])
    """
    draws = np.random.default_rng(rng).spawn(first + delays.runs)[first:]
    found = [_one_run(delays, run, build, needed, least, cap, draws[run]) for run in range(delays.runs)]
    times, counts = (np.array(part) for part in zip(*found, strict=True))
    return SumTimes(times, np.where(np.isfinite(times), counts, np.inf)), counts


def _one_run(
    delays: Delays, run: int, build: Build, needed: Needed, least: float, cap: int, rng: np.random.Generator
) -> tuple[float, int]:
    while True:
        code, workers, until = _awake(delays, run, build, least, cap, rng)
        rows, times = arrived(delays, run, code, workers)
        count = needed(code.generator[rows])
        time = float(times[count - 1]) if count <= len(rows) else np.inf
        if time <= until:
            return time, count
        least *= 2


def _awake(
    delays: Delays, run: int, build: Build, least: float, cap: int, rng: np.random.Generator
) -> tuple[LinearCode, Indices, float]:
    """A code for those who wake up before enough is done, and until when its rows are all that arrive."""
    order = np.argsort(delays.wake[run])
    low, high = 0.0, 1e9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if delays.terms_by(run, middle).sum() >= MARGIN * least else (middle, high)
    count = max(1, int(np.searchsorted(delays.wake[run, order], high)))
    if count >= np.isfinite(delays.wake[run]).sum():
        return build(count, cap, rng), order[:count], np.inf
    rows = int(min(cap, max(2, delays.terms_by(run, high).max())))
    return build(count, rows, rng), order[:count], high


def arrived(delays: Delays, run: int, code: LinearCode, workers: Indices) -> tuple[Indices, Floats]:
    """Rows in order of arrival and when they arrive, if the code's worker ``w`` is ``workers[w]``."""
    mine = np.flatnonzero(code.worker < len(workers))
    who = workers[code.worker[mine]]
    times = delays.after(run, who, code.work[mine])
    order = np.argsort(times, kind="stable")
    order = order[np.isfinite(times[order])]
    return mine[order], times[order]


def rows_predicted(generator: Any) -> int:
    """max(m, first cover): M' of sum recovery wherever the sum takes full rank (it need not for small m).

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows_predicted(csr_array([[1, 1], [1, 0], [0, 1]]))
    2
    """
    return max(int(generator.shape[1]), rows_covering(generator))


def rows_peeled(generator: Any) -> int:
    """Rows after which peeling recovers every unknown; one more than there are for never.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows_peeled(csr_array([[1, 1], [1, 1], [0, 1]]))
    3
    """
    by_column = generator.tocsc()
    by_column.sort_indices()
    parts = generator.indptr, generator.indices, by_column.indptr, by_column.indices
    return int(_peeled_after(*(part.astype(np.int64, copy=False) for part in parts)))  # SciPy has two types of them


@compiled
def _peeled_after(starts: Indices, columns: Indices, using_starts: Indices, using: Indices) -> int:
    rows, left = len(starts) - 1, len(using_starts) - 1
    known = np.zeros(left, dtype=np.bool_)
    open_count = np.zeros(rows, dtype=np.int64)
    open_sum = np.zeros(rows, dtype=np.int64)  # the last open unknown itself, once there is only one
    ready = np.empty(rows, dtype=np.int64)
    for arrived_row in range(rows):
        for place in range(starts[arrived_row], starts[arrived_row + 1]):
            if not known[columns[place]]:
                open_count[arrived_row] += 1
                open_sum[arrived_row] += columns[place]
        ready[0], waiting = arrived_row, 1
        while waiting:
            waiting -= 1
            if open_count[ready[waiting]] != 1:
                continue
            column = open_sum[ready[waiting]]
            known[column] = True
            left -= 1
            for place in range(using_starts[column], using_starts[column + 1]):
                row = using[place]
                if row > arrived_row:
                    break
                open_count[row] -= 1
                open_sum[row] -= column
                if open_count[row] == 1:
                    ready[waiting] = row
                    waiting += 1
        if left == 0:
            return arrived_row + 1
    return rows + 1
