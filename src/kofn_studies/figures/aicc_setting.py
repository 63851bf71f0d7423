"""What the figures on learned codes share: the points of a contender, and how figures are titled.

PyTorch is imported when a figure is computed, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..study import Point, Results
from .figure import Request, Series

PAPER = "A Learning-Based Approach to Approximate Coded Computation"

NAMES = ("aicc", "aicc-structured", "lagrange-fit", "berrut", "mean-predictor", "first-order")
"""Series, in the order of `kofn_studies.figures.aicc_contenders.ERRORS`."""

PROBLEMS = ("P1", "P2", "P3", "P4")


def cells(request: Request, problem: str, points: Sequence[tuple[int, int]]) -> list[Any]:
    """`Cell` of a problem at each (M, K)."""
    from .aicc_contenders import Cell

    setting = (request.seed, request.quick, request.device)
    return [
        Cell(problem, M, K, min(request.trials, 8) if request.quick else request.trials, *setting) for M, K in points
    ]


def point_of(name: str, cell: Any) -> Point:
    """The point in which a contender's errors at a `Cell` are."""
    from .aicc_contenders import UNTRAINED, TrainedErrors, UntrainedErrors

    if name in UNTRAINED:
        return UntrainedErrors(cell)
    return TrainedErrors(name, cell, cell.schedule if name == "aicc" else cell.refining)


def measured(name: str, cell: Any, results: Results) -> tuple[float, float]:
    """Mean and standard error of a contender's NRMSE in % at a `Cell`."""
    from .aicc_contenders import UNTRAINED
    from .sampling import mean_and_error

    errors = results[point_of(name, cell)][name if name in UNTRAINED else "errors"]
    mean, error = mean_and_error(errors.mean(axis=1))
    return float(mean), float(error)


def contests(request: Request, points: Sequence[tuple[int, int]]) -> list[tuple[str, int, Any]]:
    """Name, place in ``points`` and `Cell` of all contenders that can be afforded, problem after problem."""
    return [
        (name, place, cell)
        for problem in PROBLEMS
        for place, cell in enumerate(cells(request, problem, points))
        for name in NAMES
        if name != "aicc" or cell.affords(dense=True)
    ]


def curves(request: Request, points: Sequence[tuple[int, int]], x: Sequence[int], results: Results) -> list[Series]:
    """A series for each contender and problem, ``-p1`` … ``-p4`` appended, where it can be afforded."""
    found: dict[str, list[tuple[int, float, float]]] = {f"{name}-{p.lower()}": [] for name in NAMES for p in PROBLEMS}
    for name, place, cell in contests(request, points):
        found[f"{name}-{cell.problem.lower()}"].append((x[place], *measured(name, cell, results)))
    return [Series(name, *zip(*values, strict=True)) for name, values in found.items() if values]


def require_torch(device: str) -> None:
    """Refuse a device that PyTorch does not have here, and the lack of PyTorch."""
    from kofn_studies.aicc import network  # noqa: F401  a missing PyTorch gets its sentence

    from .training_setting import checked

    checked(device)


def full_title(title: str, request: Request) -> str:
    """A title that says where the budget was smaller than the paper's."""
    if request.quick:
        return f"{title} (quick: 16 steps of training)"
    if request.device == "cpu":
        return f"{title} (without a GPU: up to 1500 steps of 16 sets, networks up to M = 200)"
    return title
