"""Contenders of the figures on losses as series: by count, by time at load 1, by time at their own loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kofn.simulation.theory import count_probabilities

from ..study import Point, Results
from .figure import Request, Series
from .losses import BoundLosses, CountLosses, TimeLosses
from .sampling import SampledCode, mean_and_error
from .uep_setting import WORKERS
from .uep_times import TIMES, answered


def counted(contenders: Iterable[SampledCode], request: Request) -> list[Point]:
    """The points of `by_count` and of `mixed`."""
    return [CountLosses(contender.name, request.trials, request.seed) for contender in contenders]


def timed(contenders: Iterable[SampledCode], request: Request) -> list[Point]:
    """The points of `loaded`."""
    return [TimeLosses(contender.name, request.trials, request.seed) for contender in contenders]


def by_count(contenders: Iterable[SampledCode], request: Request, results: Results) -> Iterator[Series]:
    """Mean loss by count of each with its standard error."""
    for contender, point in _paired(contenders, counted, request):
        mean, error = mean_and_error(results[point]["losses"], contender.unseen)
        yield Series(contender.name, np.arange(WORKERS + 1), mean, error)


def mixed(contenders: Iterable[SampledCode], request: Request, results: Results) -> Iterator[Series]:
    """Codes of load 1: losses by count are sampled, the number of answers is mixed over exactly."""
    chance = count_probabilities(answered(TIMES), WORKERS)
    for contender, point in _paired(contenders, counted, request):
        mean, error = mean_and_error(results[point]["losses"] @ chance.T, contender.unseen)
        yield Series(contender.name, TIMES, mean, error)


def loaded(contenders: Iterable[SampledCode], request: Request, results: Results) -> Iterator[Series]:
    """Codes of other loads: a row takes its load times the worker's time."""
    for contender, point in _paired(contenders, timed, request):
        yield Series(contender.name, TIMES, *mean_and_error(results[point]["losses"]))


def bound(partition: str, request: Request) -> BoundLosses:
    """The point of `load_balancing`."""
    return BoundLosses(partition, request.trials, request.seed)


def load_balancing(partition: str, request: Request, results: Results) -> Series:
    """All workers together at the most important piece first: no code is better."""
    losses = results[bound(partition, request)]["losses"]
    return Series(f"load-balancing-{partition}", TIMES, *mean_and_error(losses))


Listed = Callable[[Iterable[SampledCode], Request], list[Point]]


def _paired(contenders: Iterable[SampledCode], points: Listed, request: Request) -> Iterator[tuple[SampledCode, Point]]:
    mine = list(contenders)
    return zip(mine, points(mine, request), strict=True)
