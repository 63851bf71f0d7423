"""Tegin et al. 2022, Fig. 8: decoding probabilities of NOW-UEP and EW-UEP with three classes and 30 workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kofn.schemes.products import GAMMA
from kofn.simulation.theory import KINDS, decoding_probabilities

from ..study import Result, Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .losses import ClassesDecoded
from .sampling import UNSEEN, mean_and_error
from .uep_setting import PAPER, SIZES, WORKERS

TITLE = "Decoding probabilities of NOW-UEP and EW-UEP codes with three classes"


def study(request: Request) -> Study:
    """The closed forms (lines) and sampled codes of free Gaussian coefficients (``-mc``)."""
    points = {kind: ClassesDecoded(kind, request.trials, request.seed) for kind in KINDS}

    def figure(results: Results) -> Figure:
        exact = [series for kind in KINDS for series in _exact(kind)]
        sampled = [series for kind in KINDS for series in _sampled(kind, results[points[kind]])]
        x, y = "received packets", "decoding probability"
        lines = [*exact, *sampled]
        return Figure("uep-fig8", TITLE, f"{PAPER}, Fig. 8", x, y, request.seed, request.trials, lines)

    return Study(list(points.values()), figure)


def _exact(kind: str) -> Iterator[Series]:
    probabilities = decoding_probabilities(kind, SIZES, GAMMA, WORKERS)
    for number, column in enumerate(probabilities.T, start=1):
        yield Series(f"{kind}-class{number}", range(1, WORKERS + 1), column[1:])


def _sampled(kind: str, result: Result) -> Iterator[Series]:
    mean, error = mean_and_error(result["decoded"].astype(float), UNSEEN)
    for number in range(len(SIZES)):
        name = f"{kind}-class{number + 1}-mc"
        yield Series(name, range(1, WORKERS + 1), mean[:, number], error[:, number])


def draw(figure: Figure) -> Any:
    """NOW on the left, EW on the right."""
    return panels(figure, {kind.upper(): [name for name in figure.names if name.startswith(kind)] for kind in KINDS})


RECIPE = Recipe("uep-fig8", TITLE, study, draw, trials=500)
