"""Tegin et al. 2022, Fig. 10: normalised loss as a function of the number of received packets."""

from __future__ import annotations

from typing import Any

from ..study import Results
from .drawing import panels
from .figure import Figure, Published, Recipe, Request, Series, Study
from .uep_series import by_count, counted
from .uep_setting import PAPER, WORKERS, closed_forms, column_row, published, row_column, uncoded

TITLE = "Normalised loss of approximate products by the number of received packets"

PUBLISHED = (
    Published(
        "mds", (8, 9), (1.0, 0.0),
        "Sec. VI: the normalised loss with MDS coding is unity until it receives nine packets",
    ),
)  # fmt: skip


def study(request: Request) -> Study:
    """The paper's curves in closed form and sampled (``-mc``), and what least squares and other codes do."""
    contenders = [*row_column(), *column_row(), *published("rxc"), *published("cxr")]

    def figure(results: Results) -> Figure:
        exact = closed_forms("rxc") | closed_forms("cxr")
        lines = [Series(name, range(WORKERS + 1), loss) for name, loss in exact.items()]
        lines += [Series(f"uncoded-{partition}", range(10), uncoded(partition)) for partition in ("rxc", "cxr")]
        lines += by_count(contenders, request, results)
        x, y = "received packets", "normalised loss"
        return Figure("uep-fig10", TITLE, f"{PAPER}, Fig. 10", x, y, request.seed, request.trials, lines, PUBLISHED)

    return Study(counted(contenders, request), figure)


def by_partition(figure: Figure, bottom: float = 1e-4) -> Any:
    """Row × column on the left, column × row on the right; names that say neither go where they belong."""
    nameless = {"rxc": ("mds",), "cxr": ("mds", "matdot-lmmse")}
    groups = {"row × column": "rxc", "column × row": "cxr"}
    names = {title: [n for n in figure.names if part in n or n in nameless[part]] for title, part in groups.items()}
    return panels(figure, names, bottom)


RECIPE = Recipe("uep-fig10", TITLE, study, by_partition, trials=500)
