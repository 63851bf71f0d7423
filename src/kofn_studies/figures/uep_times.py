"""Losses against time in the setting of Tegin et al., Sec. VI: W = 30 workers, F(t) = 1 − e^(−λt) with λ = 1, Ω = 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import brentq

from kofn.simulation import Exponential
from kofn.simulation.theory import at_times, load_balancing_times, oracle_loss

from .._types import Floats
from .figure import Series
from .uep_setting import ENERGIES, PARTS, WORKERS, closed_forms, uncoded

TIMES = np.linspace(0.0, 2.0, 161)

PIECES = 90
"""How finely the load-balancing bound cuts the nine products."""


def answered(times: Floats | float) -> Floats:
    """F(t), the probability that a worker has answered."""
    done: Floats = -np.expm1(-np.atleast_1d(times))
    return done


def exact(partition: str) -> Iterator[Series]:
    """The closed forms of a partition, mixed over the number of answers, eqs. (16) and (18)."""
    for name, loss in closed_forms(partition).items():
        yield Series(name, TIMES, at_times(loss, answered(TIMES)))
    yield Series(f"uncoded-{partition}", TIMES, at_times(uncoded(partition), answered(TIMES)))


def label_time(canvas: Any) -> None:
    """Say below each panel of a picture what time is counted in."""
    for axes in canvas.axes:
        axes.set_xlabel("time, in mean response times of a worker")


def load_balancing_losses(partition: str, trials: int, seed: int) -> Floats:
    """Losses if all workers together did the most important ninetieth first, and then the next, (trials, times)."""
    arrivals = load_balancing_times(Exponential(1.0), WORKERS, float(PARTS), PIECES, trials, seed)
    by_part = oracle_loss(ENERGIES[partition].ravel(), PARTS)
    by_piece = np.interp(np.linspace(0, PARTS, PIECES + 1), np.arange(PARTS + 1), by_part)
    done = np.stack([np.sum(arrivals <= time, axis=1) for time in TIMES], axis=1)
    losses: Floats = by_piece[done]
    return losses


def crossing(first: Floats, second: Floats) -> tuple[float, float]:
    """When two losses by count meet in time, and the loss there: the last time that ``first`` is the smaller one.

    Examples
    --------
    >>> time, loss = crossing(closed_forms("rxc")["ew-rxc"], closed_forms("rxc")["mds"])
    >>> round(time, 3)
    0.839
    """

    def gap(time: float) -> float:
        return float((at_times(first, answered(time)) - at_times(second, answered(time)))[0])

    smaller = np.flatnonzero([gap(time) < 0 for time in TIMES])
    last = int(smaller[-1]) if len(smaller) else -1
    if last < 0 or last + 1 == len(TIMES):
        raise ValueError("the two losses do not cross.")
    time = float(brentq(gap, TIMES[last], TIMES[last + 1], xtol=1e-12))
    return time, float(at_times(second, answered(time))[0])
