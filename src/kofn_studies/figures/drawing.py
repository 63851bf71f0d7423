"""Panels of curves, in one style: lines with bands, samples as points with bars, what was published as crosses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kofn.errors import require

from .figure import Figure, Published, Series
from .words import words

COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#8c6d31")
"""Told apart by eyes that see fewer colours: those of Okabe and Ito, their yellow in brown."""

STYLES = ("-", "--", ":")
"""Where there are more series than colours."""


def panels(figure: Figure, groups: Mapping[str, Sequence[str]], bottom: float | None = None) -> Any:
    """Draw groups of series side by side.

    Parameters
    ----------
    figure : Figure
    groups : mapping of title to names
        Which series each panel shows; names that the figure lacks are left out.
    bottom : float, optional
        Draw a logarithmic ordinate down to this.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with require("drawing", "matplotlib"):
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4 * len(groups), 6.8), layout="constrained")
    axes = canvas.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    looks: dict[str, int] = {}
    for panel, (title, names) in zip(axes, groups.items(), strict=True):
        shown = [series for series in figure.series if series.name in names]
        free = iter(sorted(set(range(1000)) - {looks[series.name] for series in shown if series.name in looks}))
        for series in shown:
            look = looks[series.name] if series.name in looks else looks.setdefault(series.name, next(free))
            style = STYLES[look // len(COLOURS) % len(STYLES)]
            panel.set_prop_cycle(color=[COLOURS[look % len(COLOURS)]], linestyle=[style])
            curve(panel, series)
        for entry in figure.published:
            if entry.name in names:
                mark(panel, entry)
        panel.set(title=title, xlabel=figure.x_label)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    if bottom is not None:
        highest = max(max(series.y) for series in figure.series)
        axes[0].set(yscale="log", ylim=(bottom, 1.5 * highest))
    axes[0].set_ylabel(figure.y_label)
    head(canvas, figure)
    return canvas


def head(canvas: Any, figure: Figure, more: str = "") -> None:
    """Title and paper above a picture, and across it, where a run was quick, that it was."""
    canvas.suptitle(f"{figure.title}\n{figure.paper}{more}", fontsize=10)
    if figure.is_quick:
        canvas.text(0.5, 0.5, "QUICK RUN", fontsize=54, color="0.5", alpha=0.22, rotation=25, ha="center", va="center")


def curve(axes: Any, series: Series) -> None:
    """One series: a line, with a band of one standard error if it was drawn at random; points with bars for ``-mc``."""
    if series.name.endswith("-mc"):
        axes.errorbar(series.x, series.y, series.err, fmt=".", ms=4, lw=0.8, color="0.35", label=words(series.name))
        return
    marker = "o" if len(series.x) == 1 else None
    (line,) = axes.plot(series.x, series.y, lw=1.4, marker=marker, label=words(series.name))
    if series.err is not None:
        low, high = (np.add(series.y, sign * np.asarray(series.err)) for sign in (-1, 1))
        seen = np.asarray(series.y) != 0  # what was never seen has an error, but no band that one could read
        axes.fill_between(series.x, low, high, where=seen, color=line.get_color(), alpha=0.12, lw=0)


def mark(axes: Any, entry: Published) -> None:
    """What was published, as crosses."""
    axes.plot(entry.x, entry.y, "kx", ms=7, label=f"published: {words(entry.name)}")
