"""Agrawal et al. 2022, Table I: error of the four problems from R = 5 of N = 8 results, M = 50, K = 3."""

from __future__ import annotations

from typing import Any

from kofn.errors import require

from ..study import Results
from .aicc_setting import NAMES, PAPER, PROBLEMS, cells, full_title, measured, point_of, require_torch
from .drawing import head
from .figure import Figure, Published, Recipe, Request, Series, Study
from .verdicts import skill_of
from .words import words

TITLE = "Coded evaluation of matrix functions: NRMSE in percent"
SIZE, INPUTS = 50, 3
PUBLISHED = (Published("aicc", PROBLEMS, (4.64, 5.81, 7.85, 1.50), "Table I"),)


def study(request: Request) -> Study:
    """One row a contender; mean over outputs of tested sets, each from 5 random survivors of 8."""
    require_torch(request.device)
    size = 12 if request.quick else SIZE
    columns = [cells(request, problem, [(size, INPUTS)])[0] for problem in PROBLEMS]

    def figure(results: Results) -> Figure:
        found = {name: [measured(name, cell, results) for cell in columns] for name in NAMES}
        rows = [Series(name, PROBLEMS, *zip(*values, strict=True)) for name, values in found.items()]
        title = full_title(f"{TITLE}, M = {size}, K = {INPUTS}", request)
        paper, trials = f"{PAPER}, Table I", columns[0].trials
        return Figure("aicc-table1", title, paper, "", "NRMSE, %", request.seed, trials, rows, PUBLISHED)

    return Study([point_of(name, cell) for cell in columns for name in NAMES], figure)


def draw(figure: Figure) -> Any:
    """A table: ours with standard errors and skills, and the paper's in the last row."""
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(13, 3.2), layout="constrained")
    axes = canvas.subplots()
    axes.axis("off")
    text = [[_cell(figure, row, place) for place in range(len(row.x))] for row in figure.series]
    text += [[f"{y:.3g}" for y in entry.y] for entry in figure.published]
    names = [*map(words, figure.names), *(f"published: {words(entry.name)}, M = {SIZE}" for entry in figure.published)]
    table = axes.table(text, rowLabels=names, colLabels=list(figure.series[0].x), loc="center")
    table.scale(1, 1.5)
    head(canvas, figure)
    return canvas


def _cell(figure: Figure, row: Series, place: int) -> str:
    """An error, and how much smaller it is than that of the mean."""
    mean = figure["mean-predictor"]
    told = f"{row.y[place]:.3g} ± {row.err[place]:.1g}"
    if row is mean:
        return told
    skill, spread = skill_of(row.y[place], row.err[place], mean.y[place], mean.err[place])
    return f"{told}, skill {skill:.2g} ± {spread:.1g}"


RECIPE = Recipe("aicc-table1", TITLE, study, draw, trials=100, quick_trials=8, needs="torch")
