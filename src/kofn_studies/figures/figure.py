"""What a reproduced figure is: named series beside what was published, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kofn.arrays import replacing
from kofn.errors import CodeError

from ..study import Point, Results

Values = tuple[Any, ...]

MODULES = {"dask": "distributed"}
"""What to look for where an extra of kofn is needed that is not called like its module."""

QUICK = "(quick"
"""In the title of what a quick run computed."""

DIGITS = "scikit-learn's digits"
"""In the title of what was computed on these for want of the paper's data."""


@dataclass(frozen=True)
class Series:
    """One curve, or one row of a table.

    Parameters
    ----------
    name : str
    x : sequence
        Numbers, or the names of a table's columns.
    y : sequence of float
    err : sequence of float, optional
        Standard errors, for what was drawn at random.

    Examples
    --------
    >>> Series("mds", range(3), np.ones(3)).y
    (1.0, 1.0, 1.0)
    """

    name: str
    x: Any
    y: Any
    err: Any = None

    def __post_init__(self) -> None:
        for field in ("x", "y", "err"):
            value = getattr(self, field)
            object.__setattr__(self, field, None if value is None else _plain(value))
        lengths = {len(values) for values in (self.x, self.y, self.err) if values is not None}
        if len(lengths) != 1 or not np.isfinite([*self.y, *(self.err or ())]).all():
            raise CodeError(f"series {self.name!r} must have as many finite y (and err) as x, got {lengths}.")

    @property
    def json(self) -> dict[str, Any]:
        """As `Figure.json` has it."""
        whole = {"name": self.name, "x": self.x, "y": self.y, "err": self.err}
        return {key: value for key, value in whole.items() if value is not None}


@dataclass(frozen=True)
class Published:
    """What a paper states: where, and in which words of it."""

    name: str
    x: Sequence[Any]
    y: Sequence[float]
    source: str

    @property
    def json(self) -> dict[str, Any]:
        """As `Figure.json` has it."""
        return {"name": self.name, "x": _plain(self.x), "y": _plain(self.y), "source": self.source}


@dataclass(frozen=True)
class Figure:
    """The points of a figure.

    Parameters
    ----------
    id, title, paper, x_label, y_label : str
    seed, trials : int
        Enough to compute it again.
    series : sequence of Series
        With distinct names.
    published : sequence of Published

    Examples
    --------
    >>> figure = Figure("f", "A figure", "a paper", "x", "y", 0, 1, [Series("a", [0], [1])])
    >>> figure["a"].y
    (1,)
    """

    id: str
    title: str
    paper: str
    x_label: str
    y_label: str
    seed: int
    trials: int
    series: Sequence[Series]
    published: Sequence[Published] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.series):
            raise CodeError(f"series of figure {self.id!r} must have distinct names, got {self.names}.")

    @property
    def names(self) -> list[str]:
        """Names of the series, in order."""
        return [series.name for series in self.series]

    @property
    def is_quick(self) -> bool:
        """Whether it was computed in seconds, at sizes of its own; its title says so."""
        return QUICK in self.title

    @property
    def is_on_digits(self) -> bool:
        """Whether it was computed on scikit-learn's digits, not on the paper's data; its title says so."""
        return DIGITS in self.title

    @classmethod
    def of_json(cls, held: Mapping[str, Any]) -> Figure:
        """A figure as it was written down.

        Examples
        --------
        >>> figure = Figure("f", "A figure", "a paper", "x", "y", 0, 1, [Series("a", [0], [1])])
        >>> Figure.of_json(figure.json) == figure
        True
        """
        series = [Series(**entry) for entry in held["series"]]
        published = tuple(Published(**entry) for entry in held["published"])
        return cls(**{**held, "series": series, "published": published})

    def __getitem__(self, name: str) -> Series:
        return self.series[self.names.index(name)]

    @property
    def json(self) -> dict[str, Any]:
        """The form of ``ID.json``: plain lists, strings and numbers."""
        parts = ("id", "title", "paper", "x_label", "y_label", "seed", "trials")
        head = {part: getattr(self, part) for part in parts}
        return head | {
            "series": [series.json for series in self.series],
            "published": [entry.json for entry in self.published],
        }


@dataclass(frozen=True)
class Request:
    """What is asked of a figure.

    Parameters
    ----------
    trials, seed : int
    data : str, optional
        Folder of data sets; left out, a figure uses data that scikit-learn carries.
    quick : bool
        A run of seconds that shows that everything works, on less data than the figure is about.
    device : str
        Where PyTorch computes, as ``"cpu"`` or ``"cuda"``; other figures take no notice.
    """

    trials: int
    seed: int = 0
    data: str | None = None
    quick: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Study:
    """What a figure is computed from.

    Parameters
    ----------
    points : sequence of Point
        Each is computed by itself, and kept; figures may share points.
    figure : callable
        ``figure(results)`` puts the results of the points together, at once.
    """

    points: Sequence[Point]
    figure: Callable[[Results], Figure]


@dataclass(frozen=True)
class Recipe:
    """How a figure is made.

    Parameters
    ----------
    id, title : str
    study : callable
        ``study(request)`` tells the `Study` that a `Request` asks for; it computes nothing.
    draw : callable
        ``draw(figure)`` returns a matplotlib Figure.
    trials : int
        As many as are computed within a minute; seeds, where networks are trained for longer.
    quick_trials : int
        The most that a quick run computes.
    needs : str
        The extra of kofn without which it cannot be computed, as ``"torch"``.
    faster : str
        The extra with which it is computed much faster.
    digits : bool
        Whether quick runs, and those without a folder of data, take scikit-learn's digits.
    """

    id: str
    title: str
    study: Callable[[Request], Study]
    draw: Callable[[Figure], Any]
    trials: int
    quick_trials: int = 10
    needs: str = ""
    faster: str = ""
    digits: bool = False

    def packages(self, request: Request) -> list[str]:
        """Name the packages without which a request cannot be met."""
        digits = self.digits and (request.quick or request.data is None)
        return ["matplotlib", *[MODULES.get(self.needs, self.needs)] * bool(self.needs), *["sklearn"] * digits]

    def plan(self, request: Request) -> Study:
        """What a request asks for, of fewer trials where it is a quick one, whose figure says so in its title.

        Raises
        ------
        KofnError
            It cannot be computed: data are missing, or the device. Nothing has been computed.
        """
        study = self.study(replace(request, trials=self.trials_of(request)))

        def marked(results: Results) -> Figure:
            figure = study.figure(results)
            if figure.is_quick:
                return figure
            trials = f"{figure.trials} trial{'s' * (figure.trials != 1)}"
            return replace(figure, title=f"{figure.title} {QUICK}: {trials})")

        return Study(study.points, marked) if request.quick else study

    def figure(self, request: Request) -> Figure:
        """The figure, all of its points computed here, one after the other.

        Examples
        --------
        >>> def study(request):
        ...     return Study([], lambda results: Figure("f", "A figure", "a paper", "x", "y", 0, request.trials, []))
        >>> recipe = Recipe("f", "A figure", study, print, trials=100, quick_trials=4)
        >>> recipe.figure(Request(100)).trials, recipe.figure(Request(100, quick=True)).title
        (100, 'A figure (quick: 4 trials)')
        """
        study = self.plan(request)
        return study.figure({point: point.compute(request.data) for point in dict.fromkeys(study.points)})

    def trials_of(self, request: Request) -> int:
        """How many trials are computed for a request."""
        return min(request.trials, self.quick_trials) if request.quick else request.trials


def write(recipe: Recipe, figure: Figure, folder: str) -> tuple[Path, Path]:
    """Write ``ID.json`` and ``ID.png`` into a folder; each whole or not at all.

    Raises
    ------
    FileError
        The folder does not exist or cannot be written to.
    """
    data, picture = (Path(folder) / f"{figure.id}.{ending}" for ending in ("json", "png"))
    drawing = recipe.draw(figure)
    with replacing(data, "--out") as file:
        file.write((json.dumps(figure.json, indent=1, allow_nan=False) + "\n").encode())
    with replacing(picture, "--out") as file:
        drawing.savefig(file, format="png", dpi=120)
    return data, picture


def _plain(values: Any) -> Values:
    return tuple(np.asarray(values).tolist()) if not isinstance(values, tuple | list) else tuple(values)
