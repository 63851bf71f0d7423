"""Losses against time in the setting of Tegin et al., Sec. VI: W = 30 workers, F(t) = 1 − e^(−λt) with λ = 1, Ω = 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.optimize import brentq

from kofn.simulation import Exponential
from kofn.simulation.theory import at_times, count_probabilities, load_balancing_times, oracle_loss

from .._types import Floats
from .figure import Series
from .sampling import SampledCode, mean_and_error
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


def mixed(contenders: Iterable[SampledCode], trials: int, seed: int) -> Iterator[Series]:
    """Codes of load 1: losses by count are sampled, the number of answers is mixed over exactly."""
    chance = count_probabilities(answered(TIMES), WORKERS)
    for contender in contenders:
        mean, error = mean_and_error(contender.losses(trials, WORKERS, seed) @ chance.T, contender.unseen)
        yield Series(contender.name, TIMES, mean, error)


def loaded(contenders: Iterable[SampledCode], trials: int, seed: int) -> Iterator[Series]:
    """Codes of other loads: a row takes its load times the worker's time."""
    for contender in contenders:
        mean, error = mean_and_error(contender.losses_at(TIMES, trials, WORKERS, seed))
        yield Series(contender.name, TIMES, mean, error)


def load_balancing(partition: str, trials: int, seed: int) -> Series:
    """Loss if all workers together did the most important ninetieth first, and then the next: no code is better."""
    arrivals = load_balancing_times(Exponential(1.0), WORKERS, float(PARTS), PIECES, trials, seed)
    by_part = oracle_loss(ENERGIES[partition].ravel(), PARTS)
    by_piece = np.interp(np.linspace(0, PARTS, PIECES + 1), np.arange(PARTS + 1), by_part)
    done = np.stack([np.sum(arrivals <= time, axis=1) for time in TIMES], axis=1)
    mean, error = mean_and_error(by_piece[done])
    return Series(f"load-balancing-{partition}", TIMES, mean, error)


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
