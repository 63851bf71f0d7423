"""Tegin et al., Fig. 11: column × row, the loss against the bound of Theorem 2, and what workers can really run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kofn.schemes.products import GAMMA
from kofn.simulation.theory import KINDS, at_times, decoding_probabilities, theorem_2_bound

from ..study import Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .uep_series import bound, counted, load_balancing, loaded, mixed, timed
from .uep_setting import PAPER, PARTS, SIZES, WORKERS, class_energies, column_row, published, windows
from .uep_times import TIMES, answered, exact, label_time

TITLE = "Loss of column × row products by time, and the bound of Theorem 2"


def study(request: Request) -> Study:
    """Theorem 2 (``-bound``), the exact loss of independent blocks, samples of it, and other codes."""
    load_1 = [*published("cxr"), *column_row()]

    def figure(results: Results) -> Figure:
        sampled = mixed(load_1, request, results)
        others = loaded(windows(), request, results)
        lines = [*exact("cxr"), *_bounds(), *sampled, *others, load_balancing("cxr", request, results)]
        x, y = "time", "normalised loss"
        return Figure("uep-fig11", TITLE, f"{PAPER}, Fig. 11", x, y, request.seed, request.trials, lines)

    return Study([*counted(load_1, request), *timed(windows(), request), bound("cxr", request)], figure)


def _bounds() -> Iterator[Series]:
    """Eq. (18): Theorem 2 by count, mixed over the number of answers."""
    for kind in KINDS:
        probabilities = decoding_probabilities(kind, SIZES, GAMMA, WORKERS)
        bound = theorem_2_bound(probabilities, class_energies("cxr"), PARTS)
        yield Series(f"{kind}-cxr-bound", TIMES, at_times(bound, answered(TIMES)))


def draw(figure: Figure) -> Any:
    """The paper's curves on the left, codes that are real on the right."""
    real = [n for n in figure.names if any(word in n for word in ("window", "factor", "matdot", "uncoded", "load"))]
    groups = {"free coefficients, as published": [n for n in figure.names if n not in real], "as workers run it": real}
    canvas = panels(figure, groups, bottom=1e-5)
    label_time(canvas)
    return canvas


RECIPE = Recipe("uep-fig11", TITLE, study, draw, trials=500)
