"""Agrawal et al. 2022, Fig. 6: error by the number of inputs K, M = 10, R = 5 of N = 8; all four problems.

The constant predictor does not know K. What K inputs can have of R results is bounded: v has R coefficients, so for
K > R some differences of the inputs are lost, whatever is trained (docs/learned.md).
"""

from __future__ import annotations

from ..study import Results
from .aicc_fig4 import by_problem
from .aicc_setting import PAPER, contests, curves, full_title, point_of, require_torch
from .figure import Figure, Recipe, Request, Study

TITLE = "Coded evaluation of matrix functions by the number of inputs"
SIZE = 10
INPUTS = tuple(range(2, 11))


def study(request: Request) -> Study:
    """A curve for each contender and problem over K."""
    require_torch(request.device)
    inputs = (2, 3, 6) if request.quick else INPUTS
    size = 6 if request.quick else SIZE
    at = [(size, K) for K in inputs]

    def figure(results: Results) -> Figure:
        lines = curves(request, at, inputs, results)
        title, paper = full_title(f"{TITLE}, M = {size}", request), f"{PAPER}, Fig. 6"
        return Figure("aicc-fig6", title, paper, "K", "NRMSE, %", request.seed, request.trials, lines)

    return Study([point_of(name, cell) for name, _, cell in contests(request, at)], figure)


RECIPE = Recipe("aicc-fig6", TITLE, study, by_problem, trials=100, quick_trials=8, needs="torch")
