"""Drawing the trials of a latency model a few at a time, as engines and training steps do."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._base._numbers import Floats
from ._latency import Latency, Workers


def records(latency: Any) -> int:
    """How many trials a model takes until it begins anew; 1 for one whose trials have no order.

    Parameters
    ----------
    latency : Latency
        Its own attribute ``records`` counts, or else that of the model which it wraps.

    Examples
    --------
    >>> from kofn.simulation._latency import Delayed, Exponential, Trace
    >>> records(Delayed(Trace([[1.0], [2.0], [3.0]]), 0.5)), records(Exponential(1.0))
    (3, 1)
    """
    inner = getattr(latency, "latency", getattr(latency, "initial", None))
    return int(getattr(latency, "records", 1 if inner is None else records(inner)))


def arrivals_from(
    latency: Latency, first: int, work: Floats, worker: Workers, trials: int, rng: np.random.Generator
) -> Floats:
    """Draw ``trials`` trials from the ``first`` on, counted from 0, where a model replays a record in order.

    Examples
    --------
    >>> from kofn.simulation._latency import Trace
    >>> trace = Trace([[1.0], [2.0], [3.0]])
    >>> one, rng = (np.ones(1), np.zeros(1, int)), np.random.default_rng(0)
    >>> [float(arrivals_from(trace, task, *one, 1, rng)[0, 0]) for task in range(4)]
    [1.0, 2.0, 3.0, 1.0]
    """
    passed = first % records(latency)
    return latency.arrivals(work, worker, passed + trials, rng)[passed:]
