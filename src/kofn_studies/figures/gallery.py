"""One page of the figures in a folder, from their JSON: each picture with its verdicts, and a table of all verdicts.

Those of papers come first, our own stand under "Ours".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from kofn.arrays import replacing

from . import FIGURES, OWN
from .figure import Figure, Request
from .judging import Verdict
from .verdicts import verdicts

PAGE = "gallery.html"

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>kofn: figures</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td:first-child { white-space: nowrap; }
img { max-width: 100%; border: 1px solid #ddd; }
.quick { background: #fff3c4; padding: .3rem .6rem; }
code { background: #f3f3f3; }
@media (max-width: 40rem) { table { display: block; overflow-x: auto; } }
</style></head><body>
<h1>Published figures, computed again</h1>
"""

COLUMNS = ("quantity or statement", "published", "ours", "better", "verdict")


def write_gallery(folder: str) -> Path:
    """Write the page of what is in a folder, in the order of `FIGURES`.

    Raises
    ------
    FileError
        It cannot be written.
    """
    path = Path(folder) / PAGE
    with replacing(path, "--out") as file:
        file.write(page([figure for name in FIGURES if (figure := _held(folder, name)) is not None]).encode())
    return path


def page(figures: Sequence[Figure]) -> str:
    """The page of some figures."""
    judged = {figure.id: verdicts(figure) for figure in figures}
    table = [verdict for found in judged.values() for verdict in found]
    own = {recipe.id for recipe in OWN}
    published, ours = ([figure for figure in figures if (figure.id in own) is is_own] for is_own in (False, True))
    body = [HEAD, _links(published)]
    if ours:
        body += ["<h2>Ours</h2>", "<p>What no paper has:</p>", _links(ours)]
    if table:
        body += ["<h2>Verdicts</h2>", _table(table, with_figure=True)]
    body += [_section(figure, judged[figure.id]) for figure in published]
    if ours:
        body += ["<h1>Ours</h1>", *(_section(figure, judged[figure.id]) for figure in ours)]
    return "\n".join([*body, "</body></html>", ""])


def _links(figures: Sequence[Figure]) -> str:
    links = (f'<li><a href="#{figure.id}">{figure.id}</a>: {escape(figure.title)}</li>' for figure in figures)
    return f"<ul>{''.join(links)}</ul>"


def _section(figure: Figure, found: Sequence[Verdict]) -> str:
    name = figure.id
    lines = [f'<h2 id="{name}">{name}</h2>', f"<p>{escape(figure.title)}<br>{escape(figure.paper)}</p>"]
    if figure.is_quick:
        lines.append(
            '<p class="quick">A quick run: few trials, smaller sizes than the paper\'s. Nothing is judged.</p>'
        )
    elif figure.is_on_digits:
        lines.append("<p class=\"quick\">On scikit-learn's digits, not on the paper's data. Nothing is judged.</p>")
    lines.append(_table(found) if found else "")
    said = f"seed {figure.seed}, {figure.trials} trials; <code>{_command(figure)}</code>"
    lines += [
        f'<p><a href="{name}.png" title="full size"><img src="{name}.png" alt="{escape(figure.title)}"></a></p>',
        f'<p>{said}, <a href="{name}.json">points</a></p>',
    ]
    return "\n".join(lines)


def _command(figure: Figure) -> str:
    """What computes a figure again."""
    recipe = FIGURES[figure.id]
    usual = recipe.trials_of(Request(recipe.trials, quick=figure.is_quick))
    data = " --data DATA" * (recipe.digits and not figure.is_on_digits)
    trials = f" --trials {figure.trials}" * (1 < figure.trials != usual)  # a figure without trials says one
    seed = f" --seed {figure.seed}" * (figure.seed != 0)
    return f"kofn figure {figure.id} --out DIR{data}{trials}{seed}{' --quick' * figure.is_quick}"


def _table(found: Sequence[Verdict], *, with_figure: bool = False) -> str:
    rows = []
    for verdict in found:
        link = [f'<a href="#{verdict.figure}">{verdict.figure}</a>'] * with_figure
        told = (verdict.what, verdict.published, verdict.ours, verdict.better, verdict.said)
        rows.append("".join(f"<td>{cell}</td>" for cell in (*link, *map(escape, told))))
    names = "".join(f"<th>{name}</th>" for name in (*["figure"] * with_figure, *COLUMNS))
    return f"<table><tr>{names}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _held(folder: str, name: str) -> Figure | None:
    try:
        return Figure.of_json(json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
