"""Tegin et al., Table II: which share of gradients, weights and inputs is zero in the middle of the first epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kofn.errors import require

from .._types import Floats
from .figure import Figure, Published, Recipe, Request, Series
from .training_setting import PAPER, mnist, seeds, spread

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


def points(request: Request) -> Figure:
    """One row a layer, mean over seeds; zero is what τ of eq. (28) makes zero."""
    from ..training.sparsity import TAU, zero_share

    matrix, seen = matrices(request)
    rows = [
        spread(f"layer-{i}", KINDS, [[100 * zero_share(one[kind, i], TAU[kind]) for kind in KINDS] for one in seen])
        for i in LAYERS
    ]
    title = f"{TITLE}: {matrix}"
    paper = f"{PAPER}, {SOURCE}"
    return Figure("uep-table2", title, paper, "", "percent", request.seed, len(seen), rows, PUBLISHED)


def matrices(request: Request) -> tuple[str, list[Mapping[tuple[str, int], Floats]]]:
    """What was trained, and the matrices of the next mini-batch for each seed; shared with Fig. 5."""
    from ..training.networks import dense_network
    from ..training.sgd import SgdSchedule
    from ..training.sparsity import snapshot

    setting = mnist(request)
    data, batch = setting.data, setting.course.batch
    wanted = 46 if request.quick else TRAINED
    whole = len(data.train_labels) // batch - 1
    steps, epochs = min(wanted, whole), max(1, wanted // whole)
    data = data.first((steps + 1) * batch, 100)
    course = SgdSchedule(epochs, batch, setting.course.learning_rate, marks=1)
    shape, classes = data.shape, len(data.classes)
    seen = [snapshot(dense_network(shape, classes, seed), data, course, seed) for seed in seeds(request)]
    return f"{setting.data.name}, after {steps * epochs} mini-batches", seen


def draw(figure: Figure) -> Any:
    """A table: ours, and the paper's in brackets."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8.0, 2.6), layout="constrained")
    axes = canvas.subplots()
    axes.axis("off")
    published = {entry.name: dict(zip(entry.x, entry.y, strict=True)) for entry in figure.published}
    cells = [[_cell(row, kind, published[row.name]) for kind in KINDS] for row in figure.series]
    axes.table(cells, rowLabels=figure.names, colLabels=KINDS, loc="center", cellLoc="center").scale(1.0, 1.6)
    canvas.suptitle(f"{figure.title}\n{figure.paper} (in brackets)", fontsize=10)
    return canvas


def _cell(row: Series, kind: str, published: Mapping[str, float]) -> str:
    ours = f"{row.y[row.x.index(kind)]:.2f}"
    return f"{ours} ({published[kind]:.2f})" if kind in published else ours


RECIPE = Recipe("uep-table2", TITLE, points, draw, trials=3, quick_trials=2, needs="torch", digits=True)
