"""Distinct columns for the rows of random codes; imported where it is used, for it may load a compiler."""

from __future__ import annotations

import numpy as np

from ..._base._numba import compiled
from ..._base._numbers import Floats, Indices


def distinct_columns(counts: Indices, width: int, rng: np.random.Generator) -> Indices:
    """Draw ``counts[i]`` distinct columns out of ``width`` for row i, in random order; one row after the other.

    Examples
    --------
    >>> columns = distinct_columns(np.array([2, 3]), 3, np.random.default_rng(0))
    >>> len(columns), len(set(columns[:2].tolist())), sorted(columns[2:].tolist())
    (5, 2, [0, 1, 2])
    """
    return _shuffled(counts, width, rng.random(int(counts.sum())))


@compiled
def _shuffled(counts: Indices, width: int, uniform: Floats) -> Indices:
    """Fisher and Yates' shuffle, stopped early; it may begin with what the row before has left."""
    deck = np.arange(width)
    columns = np.empty(len(uniform), dtype=np.int64)
    drawn = 0
    for count in counts:
        for place in range(count):
            other = place + int(uniform[drawn] * (width - place))
            columns[drawn] = deck[other]
            deck[other] = deck[place]
            deck[place] = columns[drawn]
            drawn += 1
    return columns
