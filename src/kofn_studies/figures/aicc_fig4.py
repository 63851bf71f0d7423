"""Agrawal et al. 2022, Fig. 4: error by the size of the matrices, K = 3, R = 5 of N = 8; all four problems."""

from __future__ import annotations

from typing import Any

from .aicc_setting import NAMES, PAPER, PROBLEMS, curves, full_title, require_torch
from .drawing import panels
from .figure import Figure, Published, Recipe, Request

TITLE = "Coded evaluation of matrix functions by the size of the matrices"
SIZES = (50, 100, 200, 400)
INPUTS = 3

TABLE = (4.64, 5.81, 7.85, 1.50)
PUBLISHED = tuple(
    Published(f"aicc-{problem.lower()}", (50,), (y,), "Table I; Fig. 4 has no numbers")
    for problem, y in zip(PROBLEMS, TABLE, strict=True)
)


def points(request: Request) -> Figure:
    """A curve for each contender and problem over M."""
    require_torch(request.device)
    sizes = (8, 16) if request.quick else SIZES
    lines = curves(request, [(size, INPUTS) for size in sizes], sizes)
    title, paper = full_title(f"{TITLE}, K = {INPUTS}", request), f"{PAPER}, Fig. 4"
    published = () if request.quick else PUBLISHED
    return Figure("aicc-fig4", title, paper, "M", "NRMSE, %", request.seed, request.trials, lines, published)


def by_problem(figure: Figure) -> Any:
    """A panel for each problem."""
    groups = {problem: [f"{name}-{problem.lower()}" for name in NAMES] for problem in PROBLEMS}
    return panels(figure, groups, bottom=0.5 * min(min(series.y) for series in figure.series))


RECIPE = Recipe("aicc-fig4", TITLE, points, by_problem, trials=100, quick_trials=8, needs="torch")
