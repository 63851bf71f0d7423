"""Panels of curves, in one style: lines with bands, samples as points with bars, what was published as crosses."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kofn.errors import require

from .figure import Figure, Published, Series
from .words import words

COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#8c6d31")
"""Told apart by eyes that see fewer colours: those of Okabe and Ito, their yellow in brown."""

STYLES = ("-", "--", ":")
"""The next line has the next style, so that of lines that lie on each other both are seen."""

BELOW = 0.1
"""Where zeros lie on a logarithmic ordinate, in units of its lowest number."""

LETTERS = 12.5
"""Of a title on an inch."""

MOST_BARS = 30
"""Bars of errors that one can tell apart; of more points every second, third, … is drawn."""


def panels(figure: Figure, groups: Mapping[str, Sequence[str]], bottom: float | None = None) -> Any:
    """Draw groups of series side by side.

    Parameters
    ----------
    figure : Figure
    groups : mapping of title to names
        Which series each panel shows; names that the figure lacks are left out.
    bottom : float, optional
        Draw a logarithmic ordinate down to this. What is zero lies below it.

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
        labels = short([series.name for series in shown], title)
        for series in shown:
            if not is_sampled(series.name):
                look = looks.setdefault(labels[series.name], len(looks))
                style = look % len(STYLES)  # 3 styles and 8 colours are 24 pairs
                panel.set_prop_cycle(color=[COLOURS[look % len(COLOURS)]], linestyle=[STYLES[style]])
            curve(panel, series, labels[series.name])
        for line in panel.lines:
            line.set_zorder(2 + 0.1 * STYLES.index(line.get_linestyle()) if line.get_linestyle() in STYLES else 2)
        for entry in figure.published:
            if entry.name in labels:
                mark(panel, entry, labels[entry.name], figure)
        panel.set(title=title, xlabel=figure.x_label)
        panel.grid(alpha=0.3)
    if bottom is not None:
        highest = max(max(series.y) for series in figure.series)
        axes[0].set(yscale="log", ylim=(bottom, 1.5 * highest))
        for line in (line for panel in axes for line in panel.lines):
            # Down to zero a line would fall at once, as if it were zero already at its last place above.
            line.set_ydata(np.maximum(line.get_ydata(), BELOW * bottom))
    axes[0].set_ylabel(figure.y_label)
    legend(canvas, axes)
    head(canvas, figure)
    return canvas


def short(names: Sequence[str], title: str) -> dict[str, str]:
    """Names of the series of a panel in words, without what its title says or what all of them share.

    Examples
    --------
    >>> short(["ew-rxc@0.25", "now-rxc@0.25"], "T_max = 0.25 s")
    {'ew-rxc@0.25': 'EW', 'now-rxc@0.25': 'NOW'}
    >>> short(["now-class1", "now-class2-mc"], "NOW")
    {'now-class1': 'class 1', 'now-class2-mc': 'class 2, sampled'}
    """
    parts = {name: words(name).split(", ") for name in names}
    shared = set.intersection(*(set(each[1:]) for each in parts.values())) if len(parts) > 1 else set()
    kept = {name: [part for part in each if part not in shared | {title}] for name, each in parts.items()}
    return {name: ", ".join(kept[name] or each) for name, each in parts.items()}


def legend(canvas: Any, axes: Sequence[Any]) -> None:
    """One legend below all panels: what is called the same looks the same in each."""
    found: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = min(len(found), 2 + len(axes))
    canvas.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, fontsize=8)


def head(canvas: Any, figure: Figure, more: str = "") -> None:
    """Title and paper above a picture, and across it, where a run was quick, that it was."""
    title = textwrap.fill(figure.title, int(LETTERS * canvas.get_figwidth()))
    canvas.suptitle(f"{title}\n{figure.paper}{more}", fontsize=10)
    if figure.is_quick:
        canvas.text(0.5, 0.5, "QUICK RUN", fontsize=54, color="0.5", alpha=0.22, rotation=25, ha="center", va="center")


def is_sampled(name: str) -> bool:
    """Whether a series is samples of what another one is in closed form."""
    return name.endswith("-mc")


def curve(axes: Any, series: Series, label: str | None = None) -> None:
    """One series: a line, with a band of one standard error if it was drawn at random; points with bars for ``-mc``."""
    label = words(series.name) if label is None else label
    if is_sampled(series.name):
        some = slice(None, None, 1 + len(series.x) // MOST_BARS)
        x, y, err = (values[some] for values in (series.x, series.y, series.err))
        axes.errorbar(x, y, err, fmt=".", ms=4, lw=0.8, color="0.35", label=label)
        return
    marker = "o" if len(series.x) == 1 else None
    (line,) = axes.plot(series.x, series.y, lw=1.4, marker=marker, label=label)
    if series.err is not None:
        low, high = (np.add(series.y, sign * np.asarray(series.err)) for sign in (-1, 1))
        seen = np.asarray(series.y) != 0  # what was never seen has an error, but no band that one could read
        axes.fill_between(series.x, low, high, where=seen, color=line.get_color(), alpha=0.12, lw=0)


def mark(axes: Any, entry: Published, label: str, figure: Figure) -> None:
    """What was published, as crosses; one far to the right of ours is put at the edge, its label says where."""
    last = max(max(figure[entry.name].x), axes.dataLim.x1)
    beyond = [x for x in entry.x if x > last]
    where = f", at {figure.x_label} {beyond[0]:g}" if beyond else ""
    x = [min(x, last) for x in entry.x]
    axes.plot(x, entry.y, linestyle="", marker="x", color="k", ms=7, label=f"published: {label}{where}")
