"""Tegin et al. 2022, Fig. 9: normalised loss as a function of time, and where the curves cross that of MDS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kofn.simulation.theory import at_times

from ..study import Results
from .figure import Figure, Published, Recipe, Request, Series, Study
from .uep_fig10 import by_partition
from .uep_series import bound, counted, load_balancing, loaded, mixed, timed
from .uep_setting import PAPER, closed_forms, column_row, published, row_column, windows
from .uep_times import answered, crossing, exact, label_time

TITLE = "Normalised loss of approximate products by time, exponential latency"

CROSSINGS = {"now-rxc": 0.44, "now-cxr": 0.44, "ew-rxc": 0.825, "ew-cxr": 0.975}
"""When each curve meets that of MDS, as Sec. VI states."""


def study(request: Request) -> Study:
    """The paper's curves, their crossings with MDS, and codes that workers can run at their true loads."""
    load_1 = [*row_column(), *column_row(), *published("rxc"), *published("cxr")]
    bounds = [bound(partition, request) for partition in ("rxc", "cxr")]

    def figure(results: Results) -> Figure:
        series = {line.name: line for part in ("rxc", "cxr") for line in exact(part)}  # "mds" is the same in both
        lines = [*series.values(), *mixed(load_1, request, results), *loaded(windows(), request, results)]
        lines += [load_balancing(partition, request, results) for partition in ("rxc", "cxr")]
        lines += _crossings()
        x, y, published = "time", "normalised loss", tuple(_published())
        return Figure("uep-fig9", TITLE, f"{PAPER}, Fig. 9", x, y, request.seed, request.trials, lines, published)

    return Study([*counted(load_1, request), *timed(windows(), request), *bounds], figure)


def _crossings() -> Iterator[Series]:
    losses = closed_forms("rxc") | closed_forms("cxr")
    for name in CROSSINGS:
        time, loss = crossing(losses[name], losses["mds"])
        yield Series(f"{name}-crossing", [time], [loss])


def _published() -> Iterator[Published]:
    mds = closed_forms("rxc")["mds"]
    for name, time in CROSSINGS.items():
        height = at_times(mds, answered(time)).tolist()
        source = f"Sec. VI: until t = {time} {name} is better than MDS; y is the loss of MDS then, in closed form"
        yield Published(f"{name}-crossing", [time], height, source)


def draw(figure: Figure) -> Any:
    """As Fig. 10, and down to where EW, column × row, meets MDS."""
    canvas = by_partition(figure, bottom=1e-5)
    label_time(canvas)
    return canvas


RECIPE = Recipe("uep-fig9", TITLE, study, draw, trials=500)
