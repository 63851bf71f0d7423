"""Tegin et al. 2022, Fig. 1: accuracy by epoch on CIFAR-10, T_max = 1, after epochs without stragglers."""

from __future__ import annotations

from typing import Any

from ..study import Results
from .drawing import panels
from .figure import Figure, Published, Recipe, Request, Series, Study
from .training_setting import NAMES, PAPER, WIDE, Comparison, cifar, figure_of, spread

TITLE = "Accuracy of coded training by epoch, T_max = 1, row × column"
DEADLINE = 1.0

PUBLISHED = (
    Published("uncoded-rxc-train", (120,), (0.9,), "Sec. VII-C: uncoded performance saturates below 0.9"),
    Published("now-rxc-train", (120,), (1.0,), "Sec. VII-C: both UEP codes tend to accuracy 1"),
    Published("ew-rxc-train", (120,), (1.0,), "Sec. VII-C: both UEP codes tend to accuracy 1"),
    Published("no-straggler-rxc-train", (120,), (1.0,), "Sec. VII-C: without stragglers, i.e., 1"),
)


def study(request: Request) -> Study:
    """Test accuracy after each epoch, and as ``-train`` the accuracy on mini-batches that the paper plots."""
    setting = cifar(request)
    comparison = Comparison(setting, request, (*NAMES, *WIDE), ("rxc",), (DEADLINE,))

    def figure(results: Results) -> Figure:
        before = 0 if setting.warm_up is None else setting.warm_up.epochs
        steps = setting.course.steps_per_epoch(len(setting.data.train_labels))
        series: list[Series] = []
        for (name, _), curves in comparison.curves(results).items():
            epochs = [before + step / steps for step in curves[0].steps]
            series.append(spread(name, epochs, [curve.test for curve in curves]))
            series.append(spread(f"{name}-train", epochs, [curve.train for curve in curves]))
        title = f"{TITLE}: {setting.title}"
        return figure_of("uep-fig1", title, f"{PAPER}, Fig. 1", "epoch", request, series, PUBLISHED)

    return Study(comparison.points, figure)


def draw(figure: Figure) -> Any:
    """Test accuracy on the left, accuracy on mini-batches on the right."""
    sides = {"test images": "", "mini-batches, as in the paper": "-train"}
    return panels(figure, {title: [f"{name}-rxc{end}" for name in (*NAMES, *WIDE)] for title, end in sides.items()})


RECIPE = Recipe("uep-fig1", TITLE, study, draw, trials=5, quick_trials=2, needs="torch", digits=True)
