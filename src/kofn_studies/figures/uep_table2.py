"""Tegin et al., Table II: which share of gradients, weights and inputs is zero in the middle of the first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kofn.errors import require

from .._types import Floats
from ..datasets.part import Part
from ..study import Point, Result, Results
from .drawing import head
from .figure import Figure, Published, Recipe, Request, Series, Study
from .training_setting import PAPER, mnist, seeds, spread
from .words import words

TITLE = "Share of zeros in the matrices of a training, in percent"
KINDS = ("gradients", "weights", "inputs")
LAYERS = (1, 2, 3)
TRAINED = 388
"""Mini-batches before the one that is looked at, the 389th of 937."""

SOURCE = "Table II"
PUBLISHED = (
    Published("layer-1", ("gradients", "weights"), (50.09, 0.15), SOURCE),
    Published("layer-2", KINDS, (59.09, 0.11, 33.11), SOURCE),
    Published("layer-3", KINDS, (57.97, 0.10, 38.63), SOURCE),
)


def study(request: Request) -> Study:
    """One row a layer, mean over seeds; zero is what τ of eq. (28) makes zero."""
    matrix, points = snapshots(request)

    def figure(results: Results) -> Figure:
        from ..training.sparsity import TAU, zero_share

        seen = [matrices(results[point]) for point in points]
        rows = [
            spread(f"layer-{i}", KINDS, [[100 * zero_share(one[kind, i], TAU[kind]) for kind in KINDS] for one in seen])
            for i in LAYERS
        ]
        title, paper = f"{TITLE}: {matrix}", f"{PAPER}, {SOURCE}"
        return Figure("uep-table2", title, paper, "", "percent", request.seed, len(seen), rows, PUBLISHED)

    return Study(points, figure)


def snapshots(request: Request) -> tuple[str, list[Point]]:
    """What is trained, and the points with the matrices of the next mini-batch, one a seed; shared with Fig. 5."""
    from ..training.sgd import SgdSchedule
    from ..training.snapshot import Snapshot

    setting = mnist(request)
    batch, wanted = setting.course.batch, 46 if request.quick else TRAINED
    whole = len(setting.data.train_labels) // batch - 1
    steps, epochs = min(wanted, whole), max(1, wanted // whole)
    images = Part(setting.images.name, (steps + 1) * batch, 100).found(request.data)
    course = SgdSchedule(epochs, batch, setting.course.learning_rate, marks=1)
    points: list[Point] = [Snapshot(images, course, seed, setting.device) for seed in seeds(request)]
    return f"{setting.data.name}, after {steps * epochs} mini-batches", points


def matrices(result: Result) -> Mapping[tuple[str, int], Floats]:
    """The matrices of a snapshot by kind and layer, in double precision."""
    return {(kind, layer): result[f"{kind}-{layer}"].astype(float) for kind in KINDS for layer in LAYERS}


def draw(figure: Figure) -> Any:
    """A table: ours with standard errors, and the paper's in brackets."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8.0, 2.6), layout="constrained")
    axes = canvas.subplots()
    axes.axis("off")
    published = {entry.name: dict(zip(entry.x, entry.y, strict=True)) for entry in figure.published}
    cells = [[_cell(row, kind, published[row.name]) for kind in KINDS] for row in figure.series]
    axes.table(cells, rowLabels=[*map(words, figure.names)], colLabels=KINDS, loc="center", cellLoc="center").scale(
        1.0, 1.6
    )
    head(canvas, figure, " (in brackets)")
    return canvas


def _cell(row: Series, kind: str, published: Mapping[str, float]) -> str:
    place = row.x.index(kind)
    ours = f"{row.y[place]:.2f} ± {row.err[place]:.2f}"
    return f"{ours} ({published[kind]:.2f})" if kind in published else ours


RECIPE = Recipe("uep-table2", TITLE, study, draw, trials=5, quick_trials=2, needs="torch", digits=True)
