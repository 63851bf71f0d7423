"""Tegin et al. 2022, Fig. 8: decoding probabilities of NOW-UEP and EW-UEP with three classes and 30 workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kofn.codes import decode
from kofn.schemes.products import GAMMA
from kofn.schemes.products.families import Windows
from kofn.simulation.theory import KINDS, decoding_probabilities

from .drawing import panels
from .figure import Figure, Recipe, Request, Series
from .sampling import UNSEEN, mean_and_error
from .uep_setting import CLASSES, PAPER, SIZES, WORKERS

TITLE = "Decoding probabilities of NOW-UEP and EW-UEP codes with three classes"


def points(request: Request) -> Figure:
    """The closed forms (lines) and sampled codes of free Gaussian coefficients (``-mc``)."""
    trials, seed = request.trials, request.seed
    exact = [series for kind in KINDS for series in _exact(kind)]
    sampled = [series for kind in KINDS for series in _sampled(kind, trials, seed)]
    x, y = "received packets", "decoding probability"
    return Figure("uep-fig8", TITLE, f"{PAPER}, Fig. 8", x, y, seed, trials, [*exact, *sampled])


def _exact(kind: str) -> Iterator[Series]:
    probabilities = decoding_probabilities(kind, SIZES, GAMMA, WORKERS)
    for number, column in enumerate(probabilities.T, start=1):
        yield Series(f"{kind}-class{number}", range(1, WORKERS + 1), column[1:])


def _sampled(kind: str, trials: int, seed: int) -> Iterator[Series]:
    code = Windows(CLASSES["rxc"], kind=kind, gamma=GAMMA).code(trials * WORKERS, [seed, KINDS.index(kind)])
    rows = np.arange(code.rows).reshape(trials, WORKERS)
    # A class is decoded when all of its products are.
    members = [CLASSES["rxc"].label.ravel() == number for number in range(len(SIZES))]
    decoded = np.array(
        [
            [decode(code, rows[:, :count], estimator="exact").recovered[:, mine].all(axis=1) for mine in members]
            for count in range(1, WORKERS + 1)
        ]
    )
    mean, error = mean_and_error(np.moveaxis(decoded, -1, 0).astype(float), UNSEEN)
    for number in range(len(SIZES)):
        name = f"{kind}-class{number + 1}-mc"
        yield Series(name, range(1, WORKERS + 1), mean[:, number], error[:, number])


def draw(figure: Figure) -> Any:
    """NOW on the left, EW on the right."""
    return panels(figure, {kind.upper(): [name for name in figure.names if name.startswith(kind)] for kind in KINDS})


RECIPE = Recipe("uep-fig8", TITLE, points, draw, trials=500)
