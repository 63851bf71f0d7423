"""Panels of curves, in one style: theory as lines, samples as points with bars, what was published as crosses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kofn.errors import require

from .figure import Figure, Published, Series


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
        from matplotlib import colormaps
        from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4 * len(groups), 6.4), layout="constrained")
    axes = canvas.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    colours = [colormaps["tab20"](number) for number in (*range(0, 20, 2), *range(1, 20, 2))]
    for panel, (title, names) in zip(axes, groups.items(), strict=True):
        panel.set_prop_cycle(color=colours)
        for series in figure.series:
            if series.name in names:
                curve(panel, series)
        for entry in figure.published:
            if entry.name in names:
                mark(panel, entry)
        panel.set(title=title, xlabel=figure.x_label)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    if bottom is not None:
        highest = max(max(series.y) for series in figure.series)
        axes[0].set(yscale="log", ylim=(bottom, 1.5 * highest))
    axes[0].set_ylabel(figure.y_label)
    canvas.suptitle(f"{figure.title}\n{figure.paper}", fontsize=10)
    return canvas


def curve(axes: Any, series: Series) -> None:
    """One series: a line, with a band of one standard error if it was drawn at random; points with bars for ``-mc``."""
    if series.name.endswith("-mc"):
        axes.errorbar(series.x, series.y, series.err, fmt=".", ms=4, lw=0.8, color="0.35", label=series.name)
        return
    style = "-" if series.err is None else "--"
    marker = "o" if len(series.x) == 1 else None
    (line,) = axes.plot(series.x, series.y, style, lw=1.4, marker=marker, label=series.name)
    if series.err is not None:
        low, high = (np.add(series.y, sign * np.asarray(series.err)) for sign in (-1, 1))
        axes.fill_between(series.x, low, high, color=line.get_color(), alpha=0.12, lw=0)


def mark(axes: Any, entry: Published) -> None:
    """What was published, as crosses."""
    axes.plot(entry.x, entry.y, "kx", ms=7, label=f"published: {entry.name}")
