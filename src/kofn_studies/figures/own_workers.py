"""Past the papers: how much faster up to a thousand workers are than one, with what each message costs the client.

Delays are simulated as by `kofn bench`. The client takes one message after the other, and what a message costs it in
processor time is measured: a job is over no earlier than its messages are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

import kofn

from .._types import Floats
from ..study import Point, Result, Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .own_policies import PolicyRun
from .sampling import mean_and_error

TITLE = "Speed against one worker, by the number of workers"

COUNTS, QUICK_COUNTS = (2, 4, 8, 16, 32, 64, 125, 250, 500, 1000), (2, 8, 32)
NAMES = ("plain", "duplicates", "coded")
TRACE = "exponential"
SECONDS = (100, 1000, 10_000)
"""Of work for one worker."""

RUNS = 5
"""Trials are in so many parts, each with a median of its own, so that medians have standard errors."""

TASKS = 400
"""Of the job by which the cost of a message is measured."""


@dataclass(frozen=True)
class MessageCost(Point):
    """Processor seconds that a client spends on a message, on real processes: ``seconds`` (trials,)."""

    measures_time: ClassVar[bool] = True

    tasks: int
    trials: int

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        return f"cost of a message, {self.tasks} tasks"

    def compute(self, data: str | None) -> Result:
        """Map what does nothing over so many items, on two processes."""
        with kofn.LocalPool(2, threads_per_worker=1) as pool:
            kofn.map(abs, range(self.tasks), workers=pool)
            return {"seconds": np.array([self._once(pool) for _ in range(self.trials)])}

    def _once(self, pool: kofn.LocalPool) -> float:
        before = time.process_time()
        kofn.map(abs, range(self.tasks), workers=pool)
        return (time.process_time() - before) / self.tasks


def study(request: Request) -> Study:
    """``policy-Ns``: work of N seconds, over its time; ``-free``: were messages free."""
    counts, trials = (QUICK_COUNTS, request.trials) if request.quick else (COUNTS, request.trials)
    cost = MessageCost(TASKS // 10 if request.quick else TASKS, 3)
    each = max(2, trials // RUNS)
    points = {
        (name, workers): [PolicyRun(TRACE, name, workers, each, request.seed, run) for run in range(RUNS)]
        for name in NAMES
        for workers in counts
    }

    def figure(results: Results) -> Figure:
        message = float(np.min(results[cost]["seconds"]))
        series: list[Series] = []
        for name in NAMES:
            for label, work, price in [*((f"{s}s", float(s), message) for s in SECONDS), ("free", 1.0, 0.0)]:
                speeds = [
                    [speed(results[point], workers, work, price) for point in points[name, workers]]
                    for workers in counts
                ]
                series.append(Series(f"{name}-{label}", counts, *mean_and_error(np.array(speeds).T)))
        title = f"{TITLE}: exponential delays, {1e3 * message:.2f} ms of the client a message"
        return Figure("own-workers", title, "kofn", "workers", "speed", request.seed, RUNS * each, series)

    return Study([cost, *(point for mine in points.values() for point in mine)], figure)


def speed(found: Result, workers: int, work: float, message: float) -> float:
    """Seconds of work over those that it takes, with as many tasks a worker as is best.

    Examples
    --------
    Two workers take 100 s for 200 s of work, if nothing is late and messages are free; 400 messages of 1 s take longer.

    >>> found = {"tasks": np.array([1, 200]), "p50": np.array([1.5, 1.0])}
    >>> speed(found, 2, 200.0, 0.0), round(speed(found, 2, 200.0, 1.0), 2)
    (2.0, 1.33)
    """
    computed: Floats = found["p50"] * work / workers
    return float(np.max(work / np.maximum(computed, found["tasks"] * workers * message)))


def draw(figure: Figure) -> Any:
    """A panel for each amount of work, and one for messages that cost nothing: speed over the number of workers."""
    shown = replace(figure, y_label="speed over the number of workers", series=[_each(one) for one in figure.series])
    groups = {f"{seconds} s of work for one worker": f"{seconds}s" for seconds in SECONDS}
    groups["messages cost nothing"] = "free"
    canvas = panels(shown, {title: [f"{name}-{end}" for name in NAMES] for title, end in groups.items()})
    for axes in canvas.axes:
        axes.set(xscale="log", ylim=(0.0, None))
        axes.set_xticks(figure.series[0].x, [str(x) for x in figure.series[0].x], rotation=60, fontsize=8)
        axes.set_xticks([], minor=True)
    return canvas


def _each(series: Series) -> Series:
    """Speed over the number of workers: what lies near 1 for all of them would not be told apart as speeds."""
    err = None if series.err is None else np.divide(series.err, series.x)
    return Series(series.name, series.x, np.divide(series.y, series.x), err)


RECIPE = Recipe("own-workers", TITLE, study, draw, trials=25, quick_trials=10, faster="compiled")
