"""Tegin et al. 2022, Fig. 15: accuracy after training by deadline, row × column and column × row."""

from __future__ import annotations

from typing import Any

from ..study import Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .training_setting import DEADLINES, NAMES, PAPER, Comparison, figure_of, mnist, spread

TITLE = "Accuracy after coded training by deadline"


def study(request: Request) -> Study:
    """Test accuracy after the last mini-batch; ``-train`` on the mini-batches since the mark before."""
    setting = mnist(request)
    comparison = Comparison(setting, request, NAMES, ("rxc", "cxr"), DEADLINES)

    def figure(results: Results) -> Figure:
        curves = comparison.curves(results)
        series: list[Series] = []
        for name in dict.fromkeys(name for name, _ in curves):
            at = [curves[name, deadline] for deadline in DEADLINES]
            tests = zip(*([curve.test[-1] for curve in group] for group in at), strict=True)
            trains = zip(*([curve.train[-1] for curve in group] for group in at), strict=True)
            series += [spread(name, DEADLINES, list(tests)), spread(f"{name}-train", DEADLINES, list(trains))]
        title = f"{TITLE}: {setting.title}"
        return figure_of("uep-fig15", title, f"{PAPER}, Fig. 15", "T_max in seconds", request, series)

    return Study(comparison.points, figure)


def draw(figure: Figure) -> Any:
    """Row × column on the left, column × row on the right."""
    words = {"rxc": "row × column", "cxr": "column × row"}
    return panels(figure, {title: [f"{name}-{part}" for name in NAMES] for part, title in words.items()})


RECIPE = Recipe("uep-fig15", TITLE, study, draw, trials=5, quick_trials=2, needs="torch", digits=True)
