"""Agrawal et al. 2022, Fig. 4: error by the size of the matrices, K = 3, R = 5 of N = 8; all four problems."""

from __future__ import annotations

from typing import Any

from ..study import Results
from .aicc_setting import NAMES, PAPER, PROBLEMS, contests, curves, full_title, point_of, require_torch
from .drawing import panels
from .figure import Figure, Published, Recipe, Request, Study

TITLE = "Coded evaluation of matrix functions by the size of the matrices"
SIZES = (50, 100, 200, 400)
INPUTS = 3

TABLE = (4.64, 5.81, 7.85, 1.50)
PUBLISHED = tuple(
    Published(f"aicc-{problem.lower()}", (50,), (y,), "Table I; Fig. 4 has no numbers")
    for problem, y in zip(PROBLEMS, TABLE, strict=True)
)


def study(request: Request) -> Study:
    """A curve for each contender and problem over M."""
    require_torch(request.device)
    sizes = (8, 16) if request.quick else SIZES
    at = [(size, INPUTS) for size in sizes]

    def figure(results: Results) -> Figure:
        lines = curves(request, at, sizes, results)
        title, paper = full_title(f"{TITLE}, K = {INPUTS}", request), f"{PAPER}, Fig. 4"
        published = () if request.quick else PUBLISHED
        return Figure("aicc-fig4", title, paper, "M", "NRMSE, %", request.seed, request.trials, lines, published)

    return Study([point_of(name, cell) for name, _, cell in contests(request, at)], figure)


def by_problem(figure: Figure) -> Any:
    """A panel for each problem."""
    groups = {problem: [f"{name}-{problem.lower()}" for name in NAMES] for problem in PROBLEMS}
    return panels(figure, groups, bottom=0.5 * min(min(series.y) for series in figure.series))


RECIPE = Recipe("aicc-fig4", TITLE, study, by_problem, trials=100, quick_trials=8, needs="torch")
