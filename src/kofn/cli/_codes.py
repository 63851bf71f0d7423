"""``kofn codes`` and ``kofn cite``: what there is, and whom to thank."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ..schemes.catalogue import FAMILIES, HEADINGS, bibtex
from ._command import Command

LEGEND = "Threshold: how many results are always enough. Amplification: of rounding, when exact."


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
    for family in FAMILIES:
        lines = columns([HEADINGS, *(entry.row for entry in family.entries)])
        print(family.title, "", lines[0], "─" * max(map(len, lines)), *lines[1:], "", family.legend, "", sep="\n")
        print(*columns([(entry.name, entry.summary) for entry in family.entries]), "", sep="\n")
    print(LEGEND)
    return 0


def _cite(arguments: Namespace) -> int:
    print(bibtex(arguments.name))
    return 0


def _add_name(parser: ArgumentParser) -> None:
    known = "a code listed by `kofn codes`, aicc for learned codes, or kofn itself"
    parser.add_argument("name", metavar="NAME", help=known)


CODES = Command(
    "list the codes with load, threshold, amplification, cost and paper",
    "  kofn codes",
    lambda parser: None,
    _list,
)

CITE = Command(
    "print the BibTeX entries to cite for a code",
    "  kofn cite kronecker\n  kofn cite mds >> references.bib",
    _add_name,
    _cite,
)
