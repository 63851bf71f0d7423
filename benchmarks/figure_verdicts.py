"""The table of verdicts in docs/figures.md, from the JSON of figures that were computed in full.

kofn figure --all --out FIGURES --data DIR
python benchmarks/figure_verdicts.py FIGURES
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kofn_studies.figures import FIGURES, Figure
from kofn_studies.figures.costs import cost
from kofn_studies.figures.verdicts import verdicts

PAGE = Path(__file__).parents[1] / "docs" / "figures.md"
BEGIN, END = "<!-- verdicts: written by benchmarks/figure_verdicts.py -->", "<!-- end of verdicts -->"


def table(folder: Path) -> str:
    """The verdicts on every figure of a folder, as a table in Markdown."""
    rows = ["| figure | quantity or statement | published | ours | better | verdict |", "|---|---|---|---|---|---|"]
    for name in FIGURES:
        path = folder / f"{name}.json"
        if path.exists():
            for verdict in verdicts(Figure.of_json(json.loads(path.read_text(encoding="utf-8")))):
                cells = (verdict.what, verdict.published, verdict.ours, verdict.better, verdict.said)
                rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def prices() -> str:
    """What every figure takes, as measured."""
    rows = [
        "Processor time of all points, of which N processes take an Nth, and the memory of the largest process. In two",
        "processes on two cores all figures took 50 minutes in full, `uep-fig1` 19 of them, those of `uep-fig15` 18.",
        "",
        "| figure | | processor time and memory |",
        "|---|---|---|",
    ]
    return "\n".join([*rows, *(f"| `{name}` | {recipe.title} | {cost(name)} |" for name, recipe in FIGURES.items())])


def main() -> None:
    """Rewrite what stands between the two marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    found = f"{BEGIN}\n\n{table(parser.parse_args().folder)}\n\n## What each takes\n\n{prices()}\n\n{END}"
    PAGE.write_text(before + found + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
