"""What is said of a code, of a family of codes, and of papers: the words stand in the data files beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

HEADINGS = ("code", "load", "threshold", "amplification", "master's flops", "paper")


@dataclass(frozen=True)
class Paper:
    """A publication: how a table names it, and its BibTeX entry."""

    short: str
    bibtex: str

    @property
    def key(self) -> str:
        """What cites it."""
        return self.bibtex[self.bibtex.index("{") + 1 : self.bibtex.index(",")]


_, *_ENTRIES = files(__package__).joinpath("papers.bib").read_text(encoding="utf-8").split("\n% ")
PAPERS = {paper.key: paper for paper in (Paper(*entry.strip().split("\n", 1)) for entry in _ENTRIES)}


@dataclass(frozen=True)
class Entry:
    """A code as a user chooses it.

    Parameters
    ----------
    name : str
        As ``code=`` takes it.
    summary, load, threshold, amplification, master : str
        One line each: what it does, the work of a row, how many results are enough, what rounding grows by, and
        what it costs the master.
    papers : sequence of str
        Keys of `PAPERS`.
    """

    name: str
    summary: str
    load: str
    threshold: str
    amplification: str
    master: str
    papers: Sequence[str] = ()

    @property
    def row(self) -> tuple[str, ...]:
        """As a row of text under `HEADINGS`."""
        cited = "; ".join(PAPERS[key].short for key in self.papers)
        return (self.name, self.load, self.threshold, self.amplification, self.master, cited)


@dataclass(frozen=True)
class Family:
    """The codes that one function of kofn takes.

    Parameters
    ----------
    title : str
    legend : str
        Explains the letters and units of the entries.
    builders : mapping of str to callable
        The visible table that ``code=`` is looked up in.
    entries : sequence of Entry
        One for each of the builders, in their order.
    """

    title: str
    legend: str
    builders: Mapping[str, Callable[..., Any]]
    entries: Sequence[Entry]

    @classmethod
    def read(cls, name: str, builders: Mapping[str, Callable[..., Any]]) -> Family:
        """The family that the data file ``name`` speaks of."""
        said = tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
        entries = [Entry(code, **fields) for code, fields in said["codes"].items()]
        return cls(said["title"], said["legend"], builders, entries)
