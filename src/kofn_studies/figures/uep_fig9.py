"""Tegin et al. 2022, Fig. 9: normalised loss as a function of time, and where the curves cross that of MDS."""

from __future__ import annotations

from collections.abc import Iterator

from kofn.simulation.theory import at_times

from .figure import Figure, Published, Recipe, Request, Series
from .uep_fig10 import by_partition
from .uep_setting import PAPER, closed_forms, column_row, published, row_column, windows
from .uep_times import answered, crossing, exact, load_balancing, loaded, mixed

TITLE = "Normalised loss of approximate products by time, exponential latency"

CROSSINGS = {"now-rxc": 0.44, "now-cxr": 0.44, "ew-rxc": 0.825, "ew-cxr": 0.975}
"""When each curve meets that of MDS, as Sec. VI states."""


def points(request: Request) -> Figure:
    """The paper's curves, their crossings with MDS, and codes that workers can run at their true loads."""
    trials, seed = request.trials, request.seed
    series = {line.name: line for part in ("rxc", "cxr") for line in exact(part)}  # "mds" is the same in both
    load_1 = [*row_column(), *column_row(), *published("rxc"), *published("cxr")]
    bounds = [load_balancing(partition, trials, seed) for partition in ("rxc", "cxr")]
    lines = [*series.values(), *mixed(load_1, trials, seed), *loaded(windows(), trials, seed), *bounds, *_crossings()]
    x, y = "time", "normalised loss"
    return Figure("uep-fig9", TITLE, f"{PAPER}, Fig. 9", x, y, seed, trials, lines, tuple(_published()))


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


RECIPE = Recipe("uep-fig9", TITLE, points, by_partition, trials=500)
