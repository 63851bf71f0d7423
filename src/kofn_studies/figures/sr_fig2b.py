"""Mallick, Joshi 2022, Fig. 2b: tail of the latency when a worker can compute only k of the terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..study import Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Study
from .sr_setting import PAPER, runs_of, tails

TITLE = "Tail of the latency of sums with limited access, SR-k, beside LT"
NAMES = ("lt", "lt-tuned", "sr-1000", "sr-400", "sr-100", "cyclic")
TIMES = np.arange(0.3, 1.5, 0.02).round(4)


def study(request: Request) -> Study:
    """P(T > t) by scheme; the same delays for all."""

    def figure(results: Results) -> Figure:
        lines = tails(NAMES, "exponential", TIMES.tolist(), request, results)
        return Figure("sr-fig2b", TITLE, f"{PAPER}, Fig. 2b", "t (s)", "P(T > t)", request.seed, request.trials, lines)

    return Study([point for name in NAMES for point in runs_of(name, "exponential", request)], figure)


def draw(figure: Figure) -> Any:
    """One panel."""
    return panels(figure, {"limited access": figure.names}, bottom=1e-3)


RECIPE = Recipe("sr-fig2b", TITLE, study, draw, trials=200, quick_trials=10, faster="compiled")
