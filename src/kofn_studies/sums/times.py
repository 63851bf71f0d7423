"""When sums are there, in the delay model of Mallick, Joshi 2022, eq. (4): many runs of thousands of workers at once.

A worker wakes up at X and then evaluates one term every τ seconds, until it dies if it does. Every scheme is given
the same `Delays`, so that runs are paired. These are shortcuts: a run replayed through a `kofn.Collector` with the
scheme's `LinearCode` gives the same times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn.schemes.sums import spans

from .._types import Floats

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Delays:
    """Who wakes up when, how fast everybody is, and who dies.

    Parameters
    ----------
    wake : (runs, workers) array
        X, in seconds.
    pace : (runs, workers) array
        τ, seconds per term; a number is taken for all.
    death : (runs, workers) array
        Seconds; inf, for all, by default.

    Examples
    --------
    >>> Delays([[0.0, 1.0]], 0.5).pace
    array([[0.5, 0.5]])
    """

    wake: Floats
    pace: Floats
    death: Floats = np.inf  # type: ignore[assignment]

    def __post_init__(self) -> None:
        wake = np.asarray(self.wake, dtype=np.float64)
        object.__setattr__(self, "wake", wake)
        for name in ("pace", "death"):
            values = np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), wake.shape)
            object.__setattr__(self, name, values)

    @classmethod
    def exponential(cls, runs: int, workers: int, mean: float, pace: float, rng: Any = None) -> Delays:
        """The paper's delays: X exponential, the same pace for everybody."""
        return cls(np.random.default_rng(rng).exponential(mean, (runs, workers)), pace)  # type: ignore[arg-type]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.wake)

    def terms_by(self, run: int, time: float) -> Floats:
        """Terms that each worker has evaluated by some time, (workers,), if nothing else is to be done."""
        busy = np.minimum(time, self.death[run]) - self.wake[run]
        terms: Floats = np.floor(np.maximum(0.0, busy) / self.pace[run] * (1 + 1e-12))
        return terms

    def after(self, run: int, workers: Indices, terms: Floats) -> Floats:
        """When workers finish so many terms each, (workers, …) with ``terms`` (workers, …); inf once dead."""
        shape = (len(workers),) + (1,) * (np.ndim(terms) - 1)
        wake, pace, death = (a[run, workers].reshape(shape) for a in (self.wake, self.pace, self.death))
        times = wake + pace * terms
        return np.where(times > death, np.inf, times)


@dataclass(frozen=True, eq=False)
class SumTimes:
    """When the sum is there and what it took, in each run.

    Parameters
    ----------
    times : (runs,) array
        Seconds; inf where it never is.
    messages : (runs,) array
        Rows that had arrived by then.
    """

    times: Floats
    messages: Floats


def shared(delays: Delays, share: Indices, m: int, parts: int) -> SumTimes:
    """Schemes in which a worker sends one row, its share of the terms: One, Unc, Rep and BCC.

    Parameters
    ----------
    share : (workers,) or (runs, workers) int array
        The part that each worker computes; −1 for none.
    parts : int
        Number of parts that the m terms are cut into.

    Examples
    --------
    Two copies of two halves: the slower half's faster copy.

    >>> shared(Delays([[1.0, 3.0, 5.0, 4.0]], 0.5), np.array([0, 0, 1, 1]), m=4, parts=2).times
    array([5.])
    """
    share = np.broadcast_to(share, delays.wake.shape)
    sizes = np.append(np.diff(spans(m, parts)), 0)
    times = delays.wake + delays.pace * sizes[share]
    times = np.where((times > delays.death) | (share < 0), np.inf, times)
    first = np.full((delays.runs, parts + 1), np.inf)
    np.minimum.at(first, (np.arange(delays.runs)[:, None], share), times)
    done = first[:, :parts].max(axis=1)
    return SumTimes(done, np.sum(times <= done[:, None], axis=1).astype(np.float64))


def walked(delays: Delays, starts: Indices, m: int, blocks: int) -> SumTimes:
    """Schemes in which workers walk a ring of blocks from chosen starts: cyclic, ring and hint.

    Parameters
    ----------
    starts : (workers,) or (runs, workers) int array
        The block at which each worker starts; −1 for one that does nothing.

    Examples
    --------
    >>> walked(Delays([[0.0, 9.0]], 1.0), np.array([0, 1]), m=2, blocks=2).times
    array([2.])
    """
    starts = np.broadcast_to(starts, delays.wake.shape)
    found = [_walked(delays, run, starts[run], m, blocks) for run in range(delays.runs)]
    times, messages = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return SumTimes(times, messages)


def _walked(delays: Delays, run: int, starts: Indices, m: int, blocks: int) -> tuple[float, float]:
    if m % blocks == 0 and np.ptp(delays.pace[run]) == 0 and np.isinf(delays.death[run]).all():
        return _walked_alike(delays.wake[run], float(delays.pace[run, 0]) * m / blocks, starts, blocks)
    # The early ones decide; later ones are looked at only where they could still matter.
    order = np.argsort(delays.wake[run] + np.where(starts < 0, np.inf, 0.0))
    count = 128
    while True:
        workers = order[:count][starts[order[:count]] >= 0]
        times = delays.after(run, workers, walks(starts[workers], m, blocks))
        done = float(times.min(axis=0, initial=np.inf).max())
        if count >= len(order) or done <= delays.wake[run, order[count]]:
            return done, float(np.sum(times <= done))
        count *= 4


def _walked_alike(wake: Floats, seconds: float, starts: Indices, blocks: int) -> tuple[float, float]:
    """The same where all walk at one pace: nobody is overtaken, so one pass around the ring tells who comes first."""
    awake = starts >= 0
    first = np.full(blocks, np.inf)
    np.minimum.at(first, starts[awake], wake[awake])
    # From start s, block b is done at first[s] + (b + 1 − s)·seconds; twice around, for starts behind the seam.
    lead = np.tile(first, 2) - seconds * np.arange(2 * blocks)
    done = float(np.max(np.minimum.accumulate(lead)[blocks:] + seconds * np.arange(blocks + 1, 2 * blocks + 1)))
    sent = np.floor(np.maximum(0.0, done - wake[awake]) / seconds * (1 + 1e-12))
    return done, float(np.minimum(sent, blocks).sum())


def walks(starts: Indices, m: int, blocks: int) -> Floats:
    """Terms from each start to the end of each block, around the ring, (workers, blocks).

    Examples
    --------
    >>> walks(np.array([0, 1]), m=4, blocks=2)
    array([[2., 4.],
           [4., 2.]])
    """
    bounds = spans(m, blocks)
    return 1.0 + (bounds[1:] - bounds[starts][:, None] - 1) % m


def bound(delays: Delays, m: int) -> Floats:
    """The load-balancing bound: when all workers together have evaluated m terms, (runs,).

    Examples
    --------
    >>> bound(Delays([[0.0, 1.0]], 1.0), m=3)
    array([2.])
    """
    times = np.empty(delays.runs)
    for run in range(delays.runs):
        low, high = 0.0, 1.0
        while high < 1e12 and delays.terms_by(run, high).sum() < m:
            low, high = high, 2 * high
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (low, middle) if delays.terms_by(run, middle).sum() >= m else (middle, high)
        times[run] = high if high < 1e12 else np.inf
    return times


def hinted(delays: Delays, m: int, blocks: int) -> Indices:
    """Starts that a master chooses, one for each worker when it wakes up, (runs, workers); −1 where none is needed.

    A worker is sent to the middle of the largest gap: of the blocks between one start and the next that nobody has
    sent yet, less the part that the worker in that gap has done of the block it is at, by its pace.

    Examples
    --------
    >>> hinted(Delays([[0.0, 1.0, 9.0]], 1.0), m=4, blocks=4)
    array([[ 0,  3, -1]])
    """
    return np.array([_hinted(delays, run, m, blocks) for run in range(delays.runs)])


def _hinted(delays: Delays, run: int, m: int, blocks: int) -> Indices:
    wake, seconds = delays.wake[run], delays.pace[run] * m / blocks
    starts = np.full(len(wake), -1)
    covered_at = np.full(blocks, np.inf)
    gap_of = np.zeros(blocks, dtype=np.intp)  # the gap that a block is in, named after the start before it
    began, lasts = np.zeros(blocks), np.ones(blocks)  # of the worker that fills a gap: its wake-up, time per block
    for worker in np.argsort(wake):
        left = np.flatnonzero(covered_at > wake[worker])
        if not left.size:
            break
        under_way = (wake[worker] - began) / lasts % 1.0
        sizes = np.bincount(gap_of[left], minlength=blocks)
        largest = np.argmax(np.where(sizes > 0, sizes - under_way, 0.0))
        inside = left[gap_of[left] == largest]
        start = inside[min((len(inside) + 1) // 2, len(inside) - 1)] if np.any(starts >= 0) else 0
        gap_of[start:][gap_of[start:] == largest] = start
        starts[worker], began[start], lasts[start] = start, wake[worker], seconds[worker]
        path = walks(np.array([start]), m, blocks)
        covered_at = np.minimum(covered_at, delays.after(run, np.array([worker]), path)[0])
    return starts
