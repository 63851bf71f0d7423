"""Mallick, Joshi, Sec. IV: tail of the latency with heavy-tailed delays, which the paper has in its full version."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..sums.times import Delays
from .drawing import panels
from .figure import Figure, Recipe, Request
from .sr_setting import PACE, PAPER, SCHEMES, TERMS, tail

TITLE = "Tail of the latency of sums, m = 1000 terms and workers, Pareto delays of mean 5 s"
SHAPE, LEAST = 1.25, 1.0
NAMES = [name for name in SCHEMES if name not in ("sr-400", "sr-100")]
TIMES = np.concatenate([np.arange(1.0, 2.0, 0.02), np.geomspace(2.0, 500.0, 30)]).round(4)


def points(request: Request) -> Figure:
    """P(T > t) by scheme, with P(X > x) = x^(−1.25) for x ≥ 1."""
    trials, seed = request.trials, request.seed
    wake = LEAST * (1.0 + np.random.default_rng([seed, 6]).pareto(SHAPE, (trials, TERMS)))
    delays = Delays(wake, PACE)  # type: ignore[arg-type]
    series = [tail(name, SCHEMES[name](delays, seed).times, TIMES.tolist()) for name in NAMES]
    where = f"{PAPER}, Sec. IV (Pareto)"
    return Figure("sr-pareto", TITLE, where, "t (s)", "P(T > t)", seed, trials, series)


def draw(figure: Figure) -> Any:
    """All schemes on the left, the rateless ones on the right."""
    fast = [name for name in figure.names if name not in ("one", "unc", "rep", "bcc")]
    canvas = panels(figure, {"all": figure.names, "rateless": fast}, bottom=1e-3)
    canvas.axes[0].set_xscale("log")
    canvas.axes[1].set_xlim(1.0, 1.6)
    return canvas


RECIPE = Recipe("sr-pareto", TITLE, points, draw, trials=200, quick_trials=2, faster="compiled")
