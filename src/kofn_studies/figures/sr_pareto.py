"""Mallick, Joshi, Sec. IV: tail of the latency with heavy-tailed delays, which the paper has in its full version."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..study import Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Study
from .sr_setting import PAPER, SCHEMES, runs_of, tails

TITLE = "Tail of the latency of sums, m = 1000 terms and workers, Pareto delays of mean 5 s"
NAMES = [name for name in SCHEMES if name not in ("sr-400", "sr-100")]
TIMES = np.concatenate([np.arange(1.0, 2.0, 0.02), np.geomspace(2.0, 500.0, 30)]).round(4)


def study(request: Request) -> Study:
    """P(T > t) by scheme, with P(X > x) = x^(−1.25) for x ≥ 1."""

    def figure(results: Results) -> Figure:
        lines = tails(NAMES, "pareto", TIMES.tolist(), request, results)
        return Figure(
            "sr-pareto", TITLE, f"{PAPER}, Sec. IV (Pareto)", "t (s)", "P(T > t)", request.seed, request.trials, lines
        )

    return Study([point for name in NAMES for point in runs_of(name, "pareto", request)], figure)


def draw(figure: Figure) -> Any:
    """All schemes on the left, the rateless ones on the right."""
    fast = [name for name in figure.names if name not in ("one", "unc", "rep", "bcc")]
    canvas = panels(figure, {"all": figure.names, "rateless": fast}, bottom=1e-3)
    canvas.axes[0].set_xscale("log")
    canvas.axes[1].set_xlim(1.0, 1.6)
    return canvas


RECIPE = Recipe("sr-pareto", TITLE, study, draw, trials=200, quick_trials=10, faster="compiled")
