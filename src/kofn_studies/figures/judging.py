"""What verdicts are made of: a line of the table, and how numbers of a figure are looked up and told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .figure import Figure, Series

OURS = "kofn: "
"""Begins statements that no paper makes."""

CLOSE = 0.15
"""Two numbers agree where they differ by no more than this share of the published one."""


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Parameters
    ----------
    figure : str
        Its id, which is also what `kofn figure` takes.
    what : str
        Quantity or statement.
    published, ours, better : str
        Numbers, or nothing.
    said : str
        Whether it was reproduced.
    """

    figure: str
    what: str
    published: str
    ours: str
    better: str
    said: str


def at(figure: Figure, name: str, x: float | str) -> float | None:
    """What a series is at one of its abscissae; None where there is no such series or abscissa."""
    if name not in figure.names or x not in figure[name].x:
        return None
    return float(figure[name].y[figure[name].x.index(x)])


def error(figure: Figure, name: str, x: float | str) -> float | None:
    """The standard error there, None where there is none."""
    if at(figure, name, x) is None or figure[name].err is None:
        return None
    return float(figure[name].err[figure[name].x.index(x)])


def near(figure: Figure, name: str, x: float) -> float:
    """What a series is between two of its abscissae."""
    return float(np.interp(x, figure[name].x, figure[name].y))


def last(figure: Figure, name: str) -> tuple[float | None, float | None]:
    """What a series is at its last abscissa, and its standard error there."""
    if name not in figure.names:
        return None, None
    return at(figure, name, figure[name].x[-1]), error(figure, name, figure[name].x[-1])


def area(series: Series, steps: bool = False) -> float:
    """The area under a tail, from zero on: the mean.

    With ``steps`` the tail stays where it is until the next abscissa. That of a count does so if the count is hardly
    ever between two of them; lines would cut off half of a step.

    Examples
    --------
    A count that is always three, looked at after every other one:

    >>> area(Series("three", (1, 3, 5), (1.0, 0.0, 0.0)), steps=True)
    3.0
    """
    under = np.sum(np.diff(series.x) * series.y[:-1]) if steps else np.trapezoid(series.y, series.x)
    return float(series.x[0] * series.y[0] + under)


def agreement(published: float, ours: float) -> str:
    """Whether two numbers agree, else which way ours is off."""
    if abs(ours - published) <= CLOSE * abs(published):
        return "agrees"
    return "lower" if ours < published else "higher"


def short(value: float) -> str:
    """A number with three digits, and all of those before the point.

    Examples
    --------
    >>> short(0.04567), short(1523.4), short(2e9)
    ('0.0457', '1523', '2e+09')
    """
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def whether(true: bool) -> str:
    """What is said of a statement."""
    return "holds" if true else "does not hold"
