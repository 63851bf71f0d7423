"""Tegin et al. 2022, Fig. 5: Gaussians fitted to the gradients, weights and inputs of each layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from kofn.errors import require

from .._types import Floats
from ..study import Results
from .drawing import COLOURS, head
from .figure import Figure, Published, Recipe, Request, Series, Study
from .training_setting import PAPER, spread
from .uep_table2 import KINDS, LAYERS, matrices, snapshots

TITLE = "Gaussians fitted to the non-zero entries of the matrices of a training"
FIT = ("mean", "variance")
BINS = 60

PUBLISHED = (
    Published("gradients-1-fit", FIT, (-7.09e-05, 7.24e-01), "Fig. 5b"),
    Published("gradients-2-fit", FIT, (-3.90e-05, 6.31e-01), "Fig. 5b"),
    Published("gradients-3-fit", FIT, (-1.02e-04, 2.56e-04), "Fig. 5b"),
    Published("weights-1-fit", FIT, (-1.07e-03, 9.99e-01), "Fig. 5c"),
    Published("weights-2-fit", FIT, (-4.40e-03, 1.00e00), "Fig. 5c"),
    Published("weights-3-fit", FIT, (-2.71e-02, 9.98e-01), "Fig. 5c"),
    Published("inputs-2-fit", FIT, (-2.40e-01, 2.28e00), "Fig. 5d"),
    Published("inputs-3-fit", FIT, (1.69e-01, 1.66e00), "Fig. 5d"),
)
"""Gradients and weights of the paper are in units of their own: a Glorot weight of layer 1 has variance 0.002."""


def study(request: Request) -> Study:
    """For each matrix its fit, the density of the fit, and as ``-histogram`` what there is."""
    matrix, points = snapshots(request)

    def figure(results: Results) -> Figure:
        seen = [matrices(results[point]) for point in points]
        series: list[Series] = []
        for kind in KINDS:
            for layer in LAYERS:
                if (kind, layer) != ("inputs", 1):  # pixels, which went through no ReLU
                    series += fitted_series(kind, layer, [one[kind, layer] for one in seen])
        title, paper = f"{TITLE}: {matrix}", f"{PAPER}, Fig. 5"
        return Figure("uep-fig5", title, paper, "entry", "density", request.seed, len(seen), series, PUBLISHED)

    return Study(points, figure)


def fitted_series(kind: str, layer: int, samples: list[Floats]) -> list[Series]:
    """Fit, density and histogram of one matrix, mean over seeds."""
    from ..training.sparsity import TAU, fitted, fitted_before_relu

    tau, name = TAU[kind], f"{kind}-{layer}"
    fits = [(fitted_before_relu if kind == "inputs" else fitted)(values, tau) for values in samples]
    wide = 4 * np.sqrt(max(fit.variance for fit in fits))
    edges = np.linspace(0.0 if kind == "inputs" else -wide, wide, BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    densities = [fit.density(middle) * _share(kind, one, tau) for fit, one in zip(fits, samples, strict=True)]
    return [
        spread(f"{name}-fit", FIT, [(fit.mean, fit.variance) for fit in fits]),
        spread(name, middle, densities),
        spread(f"{name}-histogram", middle, [_histogram(values, tau, edges) for values in samples]),
    ]


def _share(kind: str, values: Floats, tau: float) -> float:
    """Densities are those of all entries; zeros are left out, but where ReLU made them they belong to the fit."""
    return 1.0 if kind == "inputs" else float(np.mean(np.abs(values) > tau))


def _histogram(values: Floats, tau: float, edges: Floats) -> Floats:
    counts, _ = np.histogram(values[np.abs(values) > tau], edges)
    density: Floats = counts / (len(values) * np.diff(edges))
    return density


def draw(figure: Figure) -> Any:
    """One panel a kind: histograms as steps, fits as lines."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(16.0, 6.4), layout="constrained")
    for axes, kind in zip(canvas.subplots(1, len(KINDS)), KINDS, strict=True):
        for layer in LAYERS:
            if (name := f"{kind}-{layer}") in figure.names:
                colour, held = COLOURS[layer], figure[f"{name}-histogram"]
                axes.plot(figure[name].x, figure[name].y, lw=1.3, color=colour, label=_label(figure, name))
                axes.step(held.x, held.y, where="mid", lw=0.8, alpha=0.6, color=colour)
        axes.set(title=f"{kind}: fits as lines, entries as steps", xlabel="entry", yscale="log")
        lowest = min(min(figure[name].y) for name in figure.names if name in {f"{kind}-{layer}" for layer in LAYERS})
        axes.set_ylim(bottom=max(lowest, 1e-300) / 3)
        axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    canvas.axes[0].set_ylabel(figure.y_label)
    head(canvas, figure)
    return canvas


def _label(figure: Figure, name: str) -> str:
    """Ours with standard errors, and the paper's."""
    fit, paper = figure[f"{name}-fit"], {entry.name: entry.y for entry in figure.published}
    ours = ", ".join(f"{y:.1e} ± {err:.0e}" for y, err in zip(fit.y, fit.err, strict=True))
    said = f"layer {name[-1]}: N({ours})"
    if fit.name in paper:
        said += f"\npaper: N({', '.join(f'{y:.1e}' for y in paper[fit.name])})"
    return said


RECIPE = Recipe("uep-fig5", TITLE, study, draw, trials=5, quick_trials=2, needs="torch", digits=True)
