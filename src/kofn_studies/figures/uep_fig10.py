"""Tegin et al. 2022, Fig. 10: normalised loss as a function of the number of received packets."""

from __future__ import annotations

from typing import Any

import numpy as np

from .drawing import panels
from .figure import Figure, Published, Recipe, Request, Series
from .sampling import SampledCode, mean_and_error
from .uep_setting import PAPER, WORKERS, closed_forms, column_row, published, row_column, uncoded

TITLE = "Normalised loss of approximate products by the number of received packets"

PUBLISHED = (
    Published(
        "mds", (8, 9), (1.0, 0.0),
        "Sec. VI: the normalised loss with MDS coding is unity until it receives nine packets",
    ),
)  # fmt: skip


def points(request: Request) -> Figure:
    """The paper's curves in closed form and sampled (``-mc``), and what least squares and other codes do."""
    trials, seed = request.trials, request.seed
    exact = closed_forms("rxc") | closed_forms("cxr")
    lines = [Series(name, range(WORKERS + 1), loss) for name, loss in exact.items()]
    lines += [Series(f"uncoded-{partition}", range(10), uncoded(partition)) for partition in ("rxc", "cxr")]
    contenders = [*row_column(), *column_row(), *published("rxc"), *published("cxr")]
    lines += [sampled(contender, trials, seed) for contender in contenders]
    x, y = "received packets", "normalised loss"
    return Figure("uep-fig10", TITLE, f"{PAPER}, Fig. 10", x, y, seed, trials, lines, PUBLISHED)


def sampled(contender: SampledCode, trials: int, seed: int) -> Series:
    """One contender's mean loss by count with its standard error."""
    mean, error = mean_and_error(contender.losses(trials, WORKERS, seed), contender.unseen)
    return Series(contender.name, np.arange(WORKERS + 1), mean, error)


def by_partition(figure: Figure) -> Any:
    """Row × column on the left, column × row on the right; names that say neither go where they belong."""
    nameless = {"rxc": ("mds",), "cxr": ("mds", "matdot-lmmse")}
    groups = {"row × column": "rxc", "column × row": "cxr"}
    names = {title: [n for n in figure.names if part in n or n in nameless[part]] for title, part in groups.items()}
    return panels(figure, names, bottom=1e-4)


RECIPE = Recipe("uep-fig10", TITLE, points, by_partition, trials=500)
