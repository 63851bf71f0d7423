"""Mallick, Joshi 2022, Fig. 2a: tail of the latency of every scheme, exponential delays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..study import Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Study
from .sr_setting import PAPER, SCHEMES, runs_of, tails

TITLE = "Tail of the latency of sums, m = 1000 terms and workers, exponential delays"
NAMES = [name for name in SCHEMES if name not in ("sr-400", "sr-100")]
TIMES = np.concatenate([np.arange(0.16, 1.0, 0.02), np.geomspace(1.0, 60.0, 30)]).round(4)


def study(request: Request) -> Study:
    """P(T > t) by scheme, and the load-balancing bound; the same delays for all."""

    def figure(results: Results) -> Figure:
        lines = tails(NAMES, "exponential", TIMES.tolist(), request, results)
        return Figure("sr-fig2a", TITLE, f"{PAPER}, Fig. 2a", "t (s)", "P(T > t)", request.seed, request.trials, lines)

    return Study([point for name in NAMES for point in runs_of(name, "exponential", request)], figure)


def draw(figure: Figure) -> Any:
    """All schemes on the left, the rateless ones on the right."""
    fast = [name for name in figure.names if name not in ("one", "unc", "rep", "bcc")]
    canvas = panels(figure, {"all": figure.names, "rateless": fast}, bottom=1e-3)
    canvas.axes[0].set_xscale("log")
    canvas.axes[1].set_xlim(0.15, 1.1)
    return canvas


RECIPE = Recipe("sr-fig2a", TITLE, study, draw, trials=200, quick_trials=10, faster="compiled")
