"""Results as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from ._bench import AUTO, Result
from ._policies import TASKS


def table(results: Sequence[Result]) -> list[list[str]]:
    """Cells of a table of one trace: p50 / p99 of each policy at each number of tasks a worker.

    Examples
    --------
    >>> result = Result("map", "noise", "plain", 8, 4, 10, False, 1.0, math.inf, None, 1.0, 1.0, 1.0)
    >>> table([result])
    [['policy', '1', '2', '4', '8', 'work'], ['plain', '', '', '1.00/never', '', '1.00']]
    """
    rows = [["policy", *map(str, TASKS), "work"]]
    for policy, group in groupby(results, key=lambda result: result.policy):
        found = {result.tasks_per_worker: result for result in group}
        cells = [_cell(found[tasks]) if tasks in found else "" for tasks in TASKS]
        best = min(found.values(), key=lambda result: result.p99)
        rows.append([policy, *cells, f"{best.work_done:.2f}"])
    return rows


def _cell(result: Result) -> str:
    return "/".join("never" if math.isinf(time) else f"{time:.2f}" for time in (result.p50, result.p99))


def draw(figure: Any, results: Iterable[Result]) -> None:
    """Draw a panel a trace: from p50 to p99 of each policy, at the number of tasks where its p99 is least.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    results : iterable of Result
    """
    panels: dict[tuple[int, str], dict[str, Result]] = {}
    for result in results:
        best = panels.setdefault((result.workers, result.trace), {})
        if result.policy not in best or result.p99 < best[result.policy].p99:
            best[result.policy] = result
    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure.set_size_inches(3.4 * columns + 1.0, (0.26 * max(map(len, panels.values())) + 0.9) * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=False).ravel()
    for axis, (key, best) in zip(axes, panels.items(), strict=False):
        _draw_panel(axis, key, list(best.values()))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)


def _draw_panel(axis: Any, key: tuple[int, str], results: list[Result]) -> None:
    latest = max((result.p99 for result in results if math.isfinite(result.p99)), default=1.0)
    for place, result in enumerate(results):
        colour = "C3" if result.policy in AUTO else "C0"
        if math.isinf(result.p50):
            axis.text(latest, place, "never", ha="right", va="center", color="0.4", fontsize=8)
            continue
        axis.plot([result.p50, min(result.p99, latest)], [place, place], color=colour, lw=2, solid_capstyle="butt")
        axis.plot(result.p50, place, "o", color=colour, ms=4)
        axis.plot(min(result.p99, latest), place, "|", color=colour, ms=8)
    axis.set_yticks(range(len(results)), [f"{result.policy} ({result.tasks_per_worker})" for result in results])
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlim(0.9 * min(result.p50 for result in results), 1.1 * latest)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("{x:g}")
    axis.tick_params(labelsize=7, which="both")
    axis.set_title(f"{key[1]}, {key[0]} workers", fontsize=9)
