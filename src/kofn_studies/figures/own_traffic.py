"""Past the papers: what passes a client and what passes between workers, by the size of the data, as kofn counts it.

Three workers. Arrays of the client are sent, and their product comes back; an operator is sent once, and from then on
vectors are; of Dask arrays nothing passes the client, and some blocks go from worker to worker. What is counted are
operands and results, not the messages around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import kofn
from kofn.errors import require

from .._types import Floats
from ..study import Point, Result, Results
from .drawing import COLOURS, curve, head
from .figure import Figure, Recipe, Request, Series, Study

TITLE = "Bytes that pass a client, by the size of the data"

WORKERS, PARTS = 3, 4
SIZES, QUICK_SIZES = (256, 512, 1024, 2048), (64, 128)

NAMES = ("arrays", "operator-first", "operator-next", "remote", "remote-between")


@dataclass(frozen=True)
class Traffic(Point):
    """Bytes of one way to multiply: ``client`` in both directions, ``between`` those of workers.

    Parameters
    ----------
    way : str
        One of `WAYS`.
    size : int
        Rows and columns of A and B.
    seed : int
    """

    measures_time: ClassVar[bool] = True  # blocks go to who is free, so what moves is not the same each time

    way: str
    size: int
    seed: int

    @property
    def weight(self) -> float:
        """Numbers."""
        return float(self.size**2)

    def compute(self, data: str | None) -> Result:
        """Multiply, and look at what the reports say."""
        rng = np.random.default_rng([self.seed, self.size])
        A, B = rng.standard_normal((2, self.size, self.size))
        return {name: np.array(count) for name, count in WAYS[self.way](A, B).items()}


def _client(report: Any) -> int:
    return int(report.placed_bytes + report.sent_bytes + report.received_bytes)


def _arrays(A: Floats, B: Floats) -> dict[str, int]:
    with kofn.LocalPool(WORKERS, threads_per_worker=1) as pool:
        answer = kofn.matmul(A, B, workers=pool, code="uncoded", blocks=(WORKERS, 1))
    assert np.allclose(answer.value, A @ B)
    return {"arrays": _client(answer.report)}


def _operator(A: Floats, B: Floats) -> dict[str, int]:
    counts = []
    with kofn.LocalPool(WORKERS, threads_per_worker=1) as pool, kofn.operator(A, workers=pool) as operator:
        for x in B[:, :2].T:
            assert np.allclose(operator @ x, A @ x) and operator.answer is not None
            counts.append(_client(operator.answer.report))
    return {"operator-first": counts[0], "operator-next": counts[1]}


def _remote(A: Floats, B: Floats) -> dict[str, int]:
    """Dask arrays whose blocks lie at workers: threads, whose traffic is counted as if they were far away."""
    with require("own-traffic", "distributed"):
        import dask.array
        from distributed import Client, wait

    chunk = -(-len(A) // PARTS)
    cluster = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": False, "dashboard_address": ":0"}
    with Client(**cluster, set_as_default=False) as client, client.as_current():
        whole = dask.array.from_array(A, (chunk, len(A))), dask.array.from_array(B, (len(B), chunk))
        a, b = client.persist(whole)
        wait([a, b])
        answer = kofn.matmul(a, b, workers=client)
        assert np.allclose(client.compute(answer.value, sync=True), A @ B)
    return {"remote": _client(answer.report), "remote-between": sum(answer.report.moved_bytes.values())}


WAYS: dict[str, Callable[[Floats, Floats], dict[str, int]]] = {
    "arrays": _arrays,
    "operator": _operator,
    "remote": _remote,
}


def study(request: Request) -> Study:
    """``arrays`` of the client; the ``operator``'s first and next product; ``remote`` arrays, and between workers."""
    sizes = QUICK_SIZES if request.quick else SIZES
    points = [Traffic(way, size, request.seed) for way in WAYS for size in sizes]

    def figure(results: Results) -> Figure:
        found: dict[str, list[int]] = {name: [] for name in NAMES}
        for point in points:
            for name, count in results[point].items():
                found[name].append(int(count))
        megabytes = [2 * 8 * size**2 / 1e6 for size in sizes]
        series = [Series(name, megabytes, np.array(found[name]) / 1e6) for name in NAMES]
        x, y = "A and B, MB", "MB, by kofn's count"
        return Figure("own-traffic", f"{TITLE}: {WORKERS} workers", "kofn", x, y, request.seed, 1, series)

    return Study(points, figure)


def draw(figure: Figure) -> Any:
    """One panel, both axes logarithmic, nothing at all at its foot."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9.0, 6.0), layout="constrained")
    axes = canvas.subplots()
    for place, series in enumerate(figure.series):
        axes.set_prop_cycle(color=[COLOURS[place]])
        curve(axes, series)
        axes.lines[-1].set_marker("o")
    axes.set(xscale="log", xlabel=figure.x_label, ylabel=figure.y_label)
    axes.set_xticks(figure.series[0].x, [f"{x:.2g}" for x in figure.series[0].x], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(-1e-4, 3 * max(max(series.y) for series in figure.series))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    head(canvas, figure)
    return canvas


RECIPE = Recipe("own-traffic", TITLE, study, draw, trials=2, quick_trials=2, needs="dask")
