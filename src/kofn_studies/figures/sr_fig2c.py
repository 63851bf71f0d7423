"""Mallick, Joshi 2022, Fig. 2c: tail of M', the number of symbols that are needed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..sums.modular import rows_covering, rows_needed
from ..sums.rateless import rateless, rows_peeled
from .drawing import panels
from .figure import Figure, Recipe, Request, Series
from .sr_setting import CAP, DEGREE, PAPER, TERMS, lt_code, paper_delays, sr_code, tail

TITLE = "Tail of the number of symbols needed: sum recovery, LT decoding, and covering all terms"
COUNTS = np.arange(600, 2001, 20)
QUICK_TERMS = 200


def points(request: Request) -> Figure:
    """P(M' > n) in order of arrival; sum recovery by exact elimination modulo a prime."""
    trials, seed = request.trials, request.seed
    m, title = (QUICK_TERMS, f"{TITLE} (quick: m = {QUICK_TERMS})") if request.quick else (TERMS, TITLE)
    delays = paper_delays(trials, seed, m)
    counted = partial(rateless, delays, least=0.7 * DEGREE * m, rng=[seed, 5])
    recovery = partial(sr_code, m, DEGREE, m)
    symbols = {
        "sr-symbols": counted(recovery, rows_needed, cap=m),
        "lt-symbols": counted(partial(lt_code, m, 0.03), rows_peeled, cap=CAP),
        "cover": counted(recovery, rows_covering, cap=m),
    }
    at = (COUNTS * m // TERMS).tolist()
    series: list[Series] = [tail(name, counts, at) for name, (_, counts) in symbols.items()]
    x, y = "symbols n", "P(M' > n)"
    return Figure("sr-fig2c", title, f"{PAPER}, Fig. 2c", x, y, seed, trials, series)


def draw(figure: Figure) -> Any:
    """One panel."""
    return panels(figure, {"in order of arrival": figure.names}, bottom=1e-3)


RECIPE = Recipe("sr-fig2c", TITLE, points, draw, trials=100, quick_trials=2, faster="compiled")
