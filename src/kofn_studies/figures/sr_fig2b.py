"""Mallick, Joshi 2022, Fig. 2b: tail of the latency when a worker can compute only k of the terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from .drawing import panels
from .figure import Figure, Recipe, Request
from .sr_setting import PAPER, SCHEMES, paper_delays, tail

TITLE = "Tail of the latency of sums with limited access, SR-k, beside LT"
NAMES = ("lt", "lt-tuned", "sr-1000", "sr-400", "sr-100", "cyclic")
TIMES = np.arange(0.3, 1.5, 0.02).round(4)


def points(request: Request) -> Figure:
    """P(T > t) by scheme; the same delays for all."""
    trials, seed = request.trials, request.seed
    delays = paper_delays(trials, seed)
    series = [tail(name, SCHEMES[name](delays, seed).times, TIMES.tolist()) for name in NAMES]
    return Figure("sr-fig2b", TITLE, f"{PAPER}, Fig. 2b", "t (s)", "P(T > t)", seed, trials, series)


def draw(figure: Figure) -> Any:
    """One panel."""
    return panels(figure, {"limited access": figure.names}, bottom=1e-3)


RECIPE = Recipe("sr-fig2b", TITLE, points, draw, trials=200, quick_trials=2, faster="compiled")
