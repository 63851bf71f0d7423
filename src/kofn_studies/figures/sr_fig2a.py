"""Mallick, Joshi 2022, Fig. 2a: tail of the latency of every scheme, exponential delays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .drawing import panels
from .figure import Figure, Recipe, Request
from .sr_setting import PAPER, SCHEMES, paper_delays, tail

TITLE = "Tail of the latency of sums, m = 1000 terms and workers, exponential delays"
NAMES = [name for name in SCHEMES if name not in ("sr-400", "sr-100")]
TIMES = np.concatenate([np.arange(0.16, 1.0, 0.02), np.geomspace(1.0, 60.0, 30)]).round(4)


def points(request: Request) -> Figure:
    """P(T > t) by scheme, and the load-balancing bound; the same delays for all."""
    trials, seed = request.trials, request.seed
    delays = paper_delays(trials, seed)
    series = [tail(name, SCHEMES[name](delays, seed).times, TIMES.tolist()) for name in NAMES]
    return Figure("sr-fig2a", TITLE, f"{PAPER}, Fig. 2a", "t (s)", "P(T > t)", seed, trials, series)


def draw(figure: Figure) -> Any:
    """All schemes on the left, the rateless ones on the right."""
    fast = [name for name in figure.names if name not in ("one", "unc", "rep", "bcc")]
    canvas = panels(figure, {"all": figure.names, "rateless": fast}, bottom=1e-3)
    canvas.axes[0].set_xscale("log")
    canvas.axes[1].set_xlim(0.15, 1.1)
    return canvas


RECIPE = Recipe("sr-fig2a", TITLE, points, draw, trials=200, quick_trials=2, faster="compiled")
