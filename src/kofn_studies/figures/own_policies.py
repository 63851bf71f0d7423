"""Past the papers: what is done about stragglers elsewhere and here, over many kinds of delay, as `kofn bench` has it.

Eight workers multiply. Times are in units of plain work where nothing straggles: 1.25 is a quarter longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kofn.errors import require
from kofn.simulation.bench import TRACES, bench

from .._types import Floats
from ..study import Point, Result, Results
from .drawing import COLOURS, head
from .figure import Figure, Recipe, Request, Series, Study
from .sampling import mean_and_error
from .words import words

TITLE = "What stragglers cost, by policy and kind of delay"

WORKERS = 8
NAMES = ("plain", "spark-3.5", "duplicates", "coded", "mds-6-of-8", "auto-p99")
QUICK_NAMES, QUICK_TRACES = ("plain", "duplicates", "coded"), ("noise", "slow-worker", "exponential")
QUIET = "noise"
"""The trace where nothing straggles: each task takes its time, 10 % more or less."""

RUNS = 5
"""Trials are in so many parts, each with percentiles of its own, so that these have standard errors."""

KINDS = {"p50": "median", "p99": "99th percentile", "work": "work done"}


@dataclass(frozen=True)
class PolicyRun(Point):
    """One policy on one trace: ``tasks``, ``p50``, ``p99`` and ``work``, each by number of tasks a worker.

    Parameters
    ----------
    trace : str
        One of `kofn.simulation.bench.TRACES`.
    policy : str
    workers, trials : int
    seed : int
        The same for all policies, which so meet the same delays.
    run : int
    """

    trace: str
    policy: str
    workers: int
    trials: int
    seed: int
    run: int

    @property
    def weight(self) -> float:
        """Rows that are simulated."""
        return float(self.workers * self.trials)

    def compute(self, data: str | None) -> Result:
        """Simulate."""
        delays = {self.trace: TRACES[self.trace]}
        found = list(bench("product", self.workers, delays, [self.policy], self.trials, [self.seed, self.run]))
        rows = [(one.tasks_per_worker, one.p50, one.p99, one.work_done) for one in found]
        return dict(zip(("tasks", *KINDS), np.array(rows).T, strict=True))


def study(request: Request) -> Study:
    """Over traces each policy's ``-p50``, ``-p99`` and ``-work``, at its best number of tasks; ``-quiet`` by that."""
    names, traces = (QUICK_NAMES, QUICK_TRACES) if request.quick else (NAMES, tuple(TRACES))
    each = max(2, request.trials // RUNS)
    points = {
        (name, trace): [PolicyRun(trace, name, WORKERS, each, request.seed, run) for run in range(RUNS)]
        for name in names
        for trace in traces
    }

    def figure(results: Results) -> Figure:
        series: list[Series] = []
        for name in names:
            found = {trace: [results[point] for point in points[name, trace]] for trace in traces}
            series += [over_traces(name, kind, found) for kind in KINDS]
            if not name.startswith("auto"):  # which chooses how many tasks
                series.append(by_tasks(name, found[QUIET]))
        title = f"{TITLE}: product, {WORKERS} workers"
        y = "time over plain work where nothing straggles"
        return Figure("own-policies", title, "kofn", "kind of delay", y, request.seed, RUNS * each, series)

    return Study([point for mine in points.values() for point in mine], figure)


def over_traces(name: str, kind: str, found: dict[str, list[Result]]) -> Series:
    """Mean over runs at the number of tasks where p99 is least; traces on which it never ends are left out."""
    places: list[tuple[str, float, float]] = []
    for trace, runs in found.items():
        best = [int(np.argmin(run["p99"])) for run in runs]
        values = np.array([run[kind][place] for run, place in zip(runs, best, strict=True)])
        if np.isfinite(values).all():
            mean, error = mean_and_error(values)
            places.append((trace, float(mean), float(error)))
    return Series(f"{name}-{kind}", *zip(*places, strict=True))


def by_tasks(name: str, runs: Sequence[Result]) -> Series:
    """Median where nothing straggles, by tasks a worker."""
    values: Floats = np.array([run["p50"] for run in runs])
    return Series(f"{name}-quiet", runs[0]["tasks"].astype(int), *mean_and_error(values))


def draw(figure: Figure) -> Any:
    """A quiet day by tasks a worker; then medians, 99th percentiles and work over traces."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(19.0, 7.0), layout="constrained")
    panels = canvas.subplots(1, 1 + len(KINDS), width_ratios=[0.7, 1, 1, 1])
    names = [series.name.removesuffix("-p99") for series in figure.series if series.name.endswith("-p99")]
    for axes, (kind, title) in zip(panels, {"quiet": "nothing straggles, median", **KINDS}.items(), strict=True):
        shown = {name: figure[f"{name}-{kind}"] for name in names if f"{name}-{kind}" in figure.names}
        places = _places(shown.values())
        for number, name in enumerate(names):
            if name in shown:
                _points(axes, shown[name], places, (number - (len(names) - 1) / 2) * 0.7 / len(names), COLOURS[number])
        axes.set_xticks(range(len(places)), [str(x) for x in places], rotation=0 if kind == "quiet" else 90, fontsize=9)
        axes.set(title=title, yscale="log" if kind in ("p50", "p99") else "linear")
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks("{x:.4g}")
        axes.grid(alpha=0.3)
    marks = [canvas.axes[1].plot([], [], "o", ms=5, color=COLOURS[n])[0] for n in range(len(names))]
    canvas.legend(marks, map(words, names), loc="outside lower center", ncols=len(names), fontsize=9)
    panels[0].set(xlabel="tasks a worker", ylabel=figure.y_label)
    panels[-1].set_ylabel("work over that of plain work")
    head(canvas, figure)
    return canvas


def _places(shown: Iterable[Series]) -> list[Any]:
    """All abscissae in order; a policy has none where it never ends."""
    found = {x for series in shown for x in series.x}
    return [trace for trace in TRACES if trace in found] or sorted(found)


def _points(axes: Any, series: Series, places: list[Any], shift: float, colour: str) -> None:
    """A point a place with its standard error, beside those of other policies."""
    at = np.array([places.index(x) for x in series.x]) + shift
    axes.errorbar(at, series.y, series.err, fmt="o", ms=4.5, lw=1, color=colour)


RECIPE = Recipe("own-policies", TITLE, study, draw, trials=1000, quick_trials=10, faster="compiled")
