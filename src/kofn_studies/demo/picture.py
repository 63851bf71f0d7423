"""One picture of the whole contest: who computed what when, and how good the estimates were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kofn.errors import require
from kofn.jobs.report import COLOURS

from .comparison import GOOD, MethodResult


def picture(outcomes: Sequence[MethodResult]) -> Any:
    """Draw the outcomes; the first one, which waits for the slowest, on an axis of its own.

    Returns
    -------
    matplotlib Figure
    """
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 9.0), layout="constrained")
    first, *others = (outcome.name for outcome in outcomes)
    layout: Any = [[first] * 2, others[:2], others[2:], ["errors"] * 2]
    panels = figure.subplot_mosaic(layout)
    latest = max(outcome.exact_seconds for outcome in outcomes[1:])
    for place, outcome in enumerate(outcomes):
        _lanes(panels[outcome.name], outcome, latest if place else outcome.exact_seconds)
    _errors(panels["errors"], outcomes)
    _legend(figure)
    return figure


def _lanes(axes: Any, outcome: MethodResult, seconds: float) -> None:
    outcome.report.plot(axes)
    axes.get_legend().remove()
    axes.set_xlim(0.0, 1.05 * seconds)
    axes.set_xlabel("")
    axes.set_yticks(range(outcome.report.workers), map(str, range(outcome.report.workers)), fontsize=7)
    axes.set_ylabel("worker", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    for text in axes.texts:
        text.set(fontsize=7, clip_on=True)
    wasted = f"{100 * outcome.report.wasted:.0f} % of the work wasted"
    axes.set_title(f"{outcome.name}: exact after {outcome.exact_seconds:.2f} s, {wasted}", fontsize=9)


def _errors(axes: Any, outcomes: Sequence[MethodResult]) -> None:
    for outcome in outcomes:
        points = [point for point in outcome.curve if point[1] > 0]
        seconds = [time for time, _, _ in points] + [outcome.exact_seconds]
        expected = [100 * error for _, error, _ in points]
        (line,) = axes.step(seconds, [*expected, expected[-1]], where="post", label=outcome.name, linewidth=1.3)
        axes.plot(seconds[:-1], [100 * true for _, _, true in points], "o", markersize=4, color=line.get_color())
        axes.plot(seconds[-1:], expected[-1:], "|", markersize=14, color=line.get_color())
    axes.axhline(100 * GOOD, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_title("expected error in % (steps), true error (dots), exact (bars), by seconds", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="upper right")


def _legend(figure: Any) -> None:
    with require("drawing", "matplotlib"):
        from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(COLOURS), fontsize=8, frameon=False)
