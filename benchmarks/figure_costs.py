"""What figures cost, from the points that are kept of them: writes src/kofn_studies/figures/costs.toml.

    python benchmarks/figure_costs.py --data DIR --full FIGURES/points --quick QUICK/points

Processor seconds of all points of a figure, and the largest peak of memory of a process that computed one. Points that
are not there count as much as those of their kind that are, by weight.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from kofn_studies.figures import FIGURES, Recipe, Request
from kofn_studies.study import Point, Store

TARGET = Path(__file__).parents[1] / "src" / "kofn_studies" / "figures" / "costs.toml"


Rates = dict[object, list[float]]


def rates_of(points: Iterable[Point], store: Store) -> Rates:
    """Seconds by weight of all points that are there, by kind."""
    rates: Rates = defaultdict(list)
    for point in points:
        if store.get(point) is not None:
            for kind in kinds(point):
                rates[kind].append(store.cost(point)[0] / point.weight)
    return rates


def cost(points: Sequence[Point], store: Store, rates: Rates) -> dict[str, int]:
    """Processor seconds, MB, points, and how many of these were measured; nothing where none was."""
    there = [point for point in points if store.get(point) is not None]
    if {type(point) for point in there} != {type(point) for point in points}:
        return {}
    total = sum(store.cost(point)[0] if point in there else expected(point, rates) for point in points)
    peak = max(store.cost(point)[1] for point in there)
    return {
        "seconds": max(1, round(total)),
        "megabytes": round(peak / 1e6),
        "points": len(points),
        "measured": len(there),
    }


def expected(point: Point, rates: Rates) -> float:
    """Seconds of a point that is not there, from those that are most like it."""
    like = next(rates[kind] for kind in kinds(point) if kind in rates)
    return point.weight * sum(like) / len(like)


def kinds(point: Point) -> tuple[object, ...]:
    """What points must share to cost the same, by weight: if possible the contender, the kind of point at least."""
    kind = type(point).__name__
    names = [getattr(point, name, None) for name in ("network", "contender", "code")]
    return (kind, *names), (kind, names[0])


def points_of(recipe: Recipe, arguments: argparse.Namespace, quick: bool) -> list[Point]:
    """The points of a figure, each once."""
    request = Request(recipe.trials, arguments.seed, arguments.data, quick=quick)
    return list(dict.fromkeys(recipe.plan(request).points))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "full", "quick"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    lines = [
        "# Written by benchmarks/figure_costs.py: processor seconds, largest process, points, how many were measured."
    ]
    stores = {"full": Store(arguments.full), "quick": Store(arguments.quick)}
    for how, store in stores.items():
        points = {name: points_of(recipe, arguments, how == "quick") for name, recipe in FIGURES.items()}
        rates = rates_of({point for mine in points.values() for point in mine}, store)
        for name, mine in points.items():
            told = ", ".join(f"{what} = {value}" for what, value in cost(mine, store, rates).items())
            if told:
                lines.append(f"{how}.{name} = {{ {told} }}")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
