"""``kofn codes`` and ``kofn cite``: what there is, and whom to thank."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap

from ..schemes.catalogue import FAMILIES, HEADINGS, Family, bibtex
from ._command import Command

LEGEND = "Threshold: how many results are always enough. Amplification: of rounding, when exact."

MORE = "Threshold: how many results are always enough. More with --long, or --json."

WIDTH = 100
"""Columns of the short list."""


def columns(rows: Sequence[Sequence[str]], right: bool = False) -> list[str]:
    """Lay rows of text out in columns, all but the first flush right if asked.

    Examples
    --------
    >>> columns([("a", "b"), ("long", "c")])
    ['a     b', 'long  c']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    justify = str.rjust if right else str.ljust
    lines = []
    for first, *others in rows:
        cells = map(justify, others, widths[1:])
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines


def _list(arguments: Namespace) -> int:
    if arguments.json:
        told = [{"family": family.title, **asdict(entry)} for family in FAMILIES for entry in family.entries]
        print(json.dumps(told, indent=1))
        return 0
    for family in FAMILIES:
        print(family.title, "", *(_long(family) if arguments.long else _short(family)), "", sep="\n")
    print(LEGEND if arguments.long else MORE)
    return 0


def _long(family: Family) -> list[str]:
    """All that is known of each code, however wide, and then a line each."""
    lines = columns([HEADINGS, *(entry.row for entry in family.entries)])
    told = columns([(entry.name, entry.summary) for entry in family.entries])
    return [lines[0], "─" * max(map(len, lines)), *lines[1:], "", family.legend, "", *told]


def _short(family: Family) -> list[str]:
    """What each code is, and how many results are always enough, in `WIDTH` columns."""
    table = [("code", "threshold", "what it is"), *((e.name, e.threshold, e.summary) for e in family.entries)]
    first, second = (max(len(row[column]) for row in table) + 2 for column in range(2))
    room = WIDTH - first - second
    lines = []
    for name, threshold, summary in table:
        told = wrap(summary, room)
        lines.append(f"{name:<{first}}{threshold:<{second}}{told[0]}")
        lines += [" " * (first + second) + rest for rest in told[1:]]
    return [lines[0], "─" * WIDTH, *lines[1:]]


def _add_options(parser: ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--long", action="store_true", help="load, amplification, cost and paper, too; wide")
    form.add_argument("--json", action="store_true", help="all of it, as a list of objects")


def _cite(arguments: Namespace) -> int:
    print(bibtex(arguments.name))
    return 0


def _add_name(parser: ArgumentParser) -> None:
    known = "a code listed by `kofn codes`, aicc for learned codes, or kofn itself"
    parser.add_argument("name", metavar="NAME", help=known)


CODES = Command(
    "list the codes: what each is, and with --long its load, amplification, cost and paper",
    "  kofn codes\n  kofn codes --long | less -S\n  kofn codes --json",
    _add_options,
    _list,
)

CITE = Command(
    "print the BibTeX entries to cite for a code",
    "  kofn cite kronecker\n  kofn cite mds >> references.bib",
    _add_name,
    _cite,
)
