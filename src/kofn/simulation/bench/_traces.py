"""Traces: how workers are late. Each draws the delays of many trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator

from ..._base._numbers import Floats
from ._draws import ATTEMPTS, TASKS, Draws, draws_of

Trace = Callable[[int, int, Generator], Draws]
"""``trace(trials, workers, rng)`` draws the delays."""

SLOWER = 10.0
"""How many times longer what is slow takes."""

SLOW_SHARE = 0.05
"""Of the tasks, where tasks are slow."""


def _noise(trials: int, workers: int, rng: Generator) -> Floats:
    return rng.uniform(0.9, 1.1, (trials, workers, ATTEMPTS))


def _one(trials: int, workers: int, rng: Generator) -> tuple[Floats, Floats]:
    """Positions of one worker in each trial."""
    return np.arange(trials), rng.integers(workers, size=trials)


def noise(trials: int, workers: int, rng: Generator) -> Draws:
    """Nothing straggles: each task takes its time, 10 % more or less."""
    return draws_of(_noise(trials, workers, rng))


def heterogeneous(trials: int, workers: int, rng: Generator) -> Draws:
    """Workers of different machines, from 0.7 to 1.5 times the usual time, in any order."""
    factors = rng.permuted(np.tile(np.linspace(0.7, 1.5, workers), (trials, 1)), axis=1)
    return draws_of(_noise(trials, workers, rng) * factors[:, :, None])


def slow_worker(trials: int, workers: int, rng: Generator) -> Draws:
    """One worker, nobody knows which, is ten times slower."""
    pace = _noise(trials, workers, rng)
    pace[_one(trials, workers, rng)] *= SLOWER
    return draws_of(pace)


def dead_worker(trials: int, workers: int, rng: Generator) -> Draws:
    """One worker falls silent before plain work would be over, and nobody is told."""
    death = np.full((trials, workers), np.inf)
    death[_one(trials, workers, rng)] = rng.random(trials)
    return draws_of(_noise(trials, workers, rng), death=death)


def pause(trials: int, workers: int, rng: Generator) -> Draws:
    """One worker stands still for three times the time of plain work, from some moment of it on."""
    pause_at, length = np.full((trials, workers), np.inf), np.zeros((trials, workers))
    paused = _one(trials, workers, rng)
    pause_at[paused], length[paused] = rng.random(trials), 3.0
    return draws_of(_noise(trials, workers, rng), pause_at=pause_at, pause=length)


def exponential(trials: int, workers: int, rng: Generator) -> Draws:
    """Half of each task's time is fixed, half exponential: the model of most papers."""
    return draws_of(0.5 + rng.exponential(0.5, (trials, workers, ATTEMPTS)))


def lognormal(trials: int, workers: int, rng: Generator) -> Draws:
    """Each task's time is log-normal with σ = 0.5."""
    return draws_of(rng.lognormal(0.0, 0.5, (trials, workers, ATTEMPTS)))


def slow_tasks(trials: int, workers: int, rng: Generator) -> Draws:
    """One task of twenty takes ten times as long; computed again, it most likely does not."""
    slow = rng.random((trials, workers, ATTEMPTS)) < SLOW_SHARE
    return draws_of(_noise(trials, workers, rng) * np.where(slow, SLOWER, 1.0))


def skewed_tasks(trials: int, workers: int, rng: Generator) -> Draws:
    """One task of twenty takes ten times as long wherever it runs: no backup helps."""
    slow = rng.random((trials, workers * TASKS)) < SLOW_SHARE
    return draws_of(_noise(trials, workers, rng), skew=np.where(slow, SLOWER, 1.0))


def pareto(trials: int, workers: int, rng: Generator) -> Draws:
    """Each task's time has a Pareto tail of exponent 1.5: a finite mean, an infinite variance."""
    return draws_of(0.5 * (1.0 + rng.pareto(1.5, (trials, workers, ATTEMPTS))))


def message_delay(trials: int, workers: int, rng: Generator) -> Draws:
    """As `exponential`, and each message takes as long as half of plain work, exponentially."""
    message = rng.exponential(0.5, (trials, workers, ATTEMPTS))
    return draws_of(0.5 + rng.exponential(0.5, (trials, workers, ATTEMPTS)), message=message)


def late_start(trials: int, workers: int, rng: Generator) -> Draws:
    """Workers come at some moment of the first half of plain work."""
    return draws_of(_noise(trials, workers, rng), start=rng.uniform(0.0, 0.5, (trials, workers)))


DRAWN: Mapping[str, Trace] = MappingProxyType(
    {
        "noise": noise,
        "heterogeneous": heterogeneous,
        "slow-worker": slow_worker,
        "dead-worker": dead_worker,
        "pause": pause,
        "exponential": exponential,
        "lognormal": lognormal,
        "slow-tasks": slow_tasks,
        "skewed-tasks": skewed_tasks,
        "pareto": pareto,
        "message-delay": message_delay,
        "late-start": late_start,
    }
)
"""By the names that ``--traces`` takes."""
