"""Which rows have arrived at a time, number by number: rare numbers of results count as exactly as common ones.

Workers are taken as independent. How many of its rows each has sent by then is read off draws of the latency
model; the law of their sum, and draws of who sent what given that sum, follow without further chance. For
identical workers with one row each this is eq. (13) of Tegin et al., and every set of w rows is as likely as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ...simulation._latency import Latency

Rows = NDArray[np.intp]

DRAWS = 20_000
"""Draws of the latency model from which the chances of each worker are counted."""


@dataclass(frozen=True, eq=False)
class Strata:
    """Received sets at one time.

    Parameters
    ----------
    chances : (rows + 1,) array
        P(w results are in).
    sets : tuple of (sets, w) int arrays
        For w = 0, 1, …, most: draws of the rows that are in, given that they are w.
    """

    chances: Floats
    sets: tuple[Rows, ...]


def draw_strata(latency: Latency, worker: Rows, load: Floats, time: float, most: int, count: int, rng: Any) -> Strata:
    """Draw ``count`` received sets for each number of results up to ``most``.

    Parameters
    ----------
    latency : Latency
    worker, load : (rows,) arrays
        As in a `LinearCode`, rows of a worker in the order in which it computes them.

    Examples
    --------
    >>> from kofn.simulation._latency import Exponential
    >>> now = draw_strata(Exponential(1.0), np.arange(3), np.ones(3), 0.7, most=2, count=4, rng=0)
    >>> now.chances.round(1), [part.shape for part in now.sets]
    (array([0.1, 0.4, 0.4, 0.1]), [(4, 0), (4, 1), (4, 2)])
    """
    random = np.random.default_rng(rng)
    rows_of = [np.flatnonzero(worker == each) for each in range(int(worker.max()) + 1)]
    sent = _laws(latency, rows_of, load, time, random)
    prefixes = list(accumulate(sent, np.convolve, initial=np.ones(1)))  # laws of what the first 0, 1, … workers sent
    sets = tuple(_draw_sets(rows_of, sent, prefixes, number, count, random) for number in range(most + 1))
    return Strata(prefixes[-1], sets)


def _laws(latency: Latency, rows_of: list[Rows], load: Floats, time: float, rng: np.random.Generator) -> list[Floats]:
    """For each worker the chances that it has sent 0, 1, … of its rows."""
    sizes = [len(rows) for rows in rows_of]
    works = np.concatenate([np.cumsum(load[rows]) for rows in rows_of])
    came = latency.arrivals(works, np.repeat(np.arange(len(sizes)), sizes), DRAWS, rng) <= time
    numbers = [part.sum(axis=1) for part in np.split(came, np.cumsum(sizes)[:-1], axis=1)]
    return [np.bincount(number, minlength=size + 1) / DRAWS for number, size in zip(numbers, sizes, strict=True)]


def _draw_sets(
    rows_of: list[Rows], sent: list[Floats], prefixes: list[Floats], number: int, count: int, rng: np.random.Generator
) -> Rows:
    """Draw sets of ``number`` rows, the last worker first; none where so many cannot be."""
    if prefixes[-1][number] == 0:
        return np.zeros((0, number), dtype=np.intp)
    received = np.zeros((count, sum(len(rows) for rows in rows_of)), dtype=bool)
    left = np.full(count, number)
    for rows, chance, before in reversed(list(zip(rows_of, sent, prefixes, strict=False))):
        rest = left[:, None] - np.arange(len(chance))
        possible = (rest >= 0) & (rest < len(before))
        weight = np.where(possible, chance * before[np.where(possible, rest, 0)], 0.0)
        bounds = np.cumsum(weight, axis=1)
        own = np.sum(rng.random((count, 1)) * bounds[:, -1:] >= bounds, axis=1)
        received[:, rows] = np.arange(len(rows)) < own[:, None]
        left -= own
    return np.nonzero(received)[1].reshape(count, number)
