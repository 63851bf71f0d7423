"""Mallick, Joshi 2022, Fig. 2c: tail of M', the number of symbols that are needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..study import Point, Result, Results
from ..sums.modular import rows_covering, rows_needed
from ..sums.rateless import rateless, rows_peeled
from .drawing import panels
from .figure import Figure, Recipe, Request, Study
from .sr_setting import CAP, DEGREE, PAPER, TERMS, chunks, joined, lt_code, paper_delays, sr_code, tail

TITLE = "Tail of the number of symbols needed: sum recovery, LT decoding, and covering all terms"
COUNTS = np.arange(600, 2001, 20)
QUICK_TERMS = 200


SYMBOLS = ("sr-symbols", "lt-symbols", "cover")


@dataclass(frozen=True)
class SymbolCounts(Point):
    """Symbols that are needed in order of arrival, ``counts`` (runs,), in some runs; more runs add to them."""

    series: str
    terms: int
    first: int
    runs: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Sum recovery by exact elimination modulo a prime, LT by peeling."""
        m = self.terms
        recovery = partial(sr_code, m, DEGREE, m)
        build, needed, cap = {
            "sr-symbols": (recovery, rows_needed, m),
            "lt-symbols": (partial(lt_code, m, 0.03), rows_peeled, CAP),
            "cover": (recovery, rows_covering, m),
        }[self.series]
        delays = paper_delays(self.runs, self.seed, m, self.first)
        least, rng = 0.7 * DEGREE * m, [self.seed, 5]
        return {"counts": rateless(delays, build, needed, least=least, cap=cap, rng=rng, first=self.first)[1]}


def study(request: Request) -> Study:
    """P(M' > n) in order of arrival; sum recovery by exact elimination modulo a prime."""
    m, title = (QUICK_TERMS, f"{TITLE} (quick: m = {QUICK_TERMS})") if request.quick else (TERMS, TITLE)
    points = {
        name: [SymbolCounts(name, m, *chunk, request.seed) for chunk in chunks(request.trials)] for name in SYMBOLS
    }

    def figure(results: Results) -> Figure:
        at = (COUNTS * m // TERMS).tolist()
        lines = [tail(name, joined(mine, results, "counts"), at) for name, mine in points.items()]
        x, y = "symbols n", "P(M' > n)"
        return Figure("sr-fig2c", title, f"{PAPER}, Fig. 2c", x, y, request.seed, request.trials, lines)

    return Study([point for mine in points.values() for point in mine], figure)


def draw(figure: Figure) -> Any:
    """One panel."""
    return panels(figure, {"in order of arrival": figure.names}, bottom=1e-3)


RECIPE = Recipe("sr-fig2c", TITLE, study, draw, trials=100, quick_trials=10, faster="compiled")
