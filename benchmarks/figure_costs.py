"""What figures cost, from the points that are kept of them: writes src/kofn_studies/figures/costs.toml.

    python benchmarks/figure_costs.py --data DIR --full FIGURES/points --quick QUICK/points

Processor seconds of all points of a figure, and the largest peak of memory of a process that computed one. Points that
are not there count as much as those of their kind that are, by weight.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from kofn_studies.figures import FIGURES, Recipe, Request
from kofn_studies.study import Point, Store

TARGET = Path(__file__).parents[1] / "src" / "kofn_studies" / "figures" / "costs.toml"


def cost(recipe: Recipe, request: Request, store: Store) -> dict[str, int]:
    """Processor seconds, MB, points, and how many of these were measured."""
    points = list(dict.fromkeys(recipe.study(request).points))
    kinds: dict[object, list[tuple[float, float]]] = defaultdict(list)
    peak = 0
    for point in points:
        if store.get(point) is not None:
            seconds, memory = store.cost(point)
            kinds[kind(point)].append((seconds, point.weight))
            peak = max(peak, memory)
    if any(kind(point) not in kinds for point in points):
        return {}
    rates = {name: sum(s for s, _ in seen) / sum(w for _, w in seen) for name, seen in kinds.items()}
    held = sum(len(seen) for seen in kinds.values())
    total = sum(rates[kind(point)] * point.weight for point in points)
    return {"seconds": max(1, round(total)), "megabytes": round(peak / 1e6), "points": len(points), "measured": held}


def kind(point: Point) -> object:
    """What points must share to cost the same, by weight."""
    return type(point).__name__, getattr(point, "contender", None), getattr(point, "code", None)


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
    for recipe in FIGURES.values():
        for how, store in stores.items():
            trials = recipe.trials_of(Request(recipe.trials, quick=how == "quick"))
            request = Request(trials, arguments.seed, arguments.data, quick=how == "quick")
            told = ", ".join(f"{name} = {value}" for name, value in cost(recipe, request, store).items())
            if told:
                lines.append(f"{how}.{recipe.id} = {{ {told} }}")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
