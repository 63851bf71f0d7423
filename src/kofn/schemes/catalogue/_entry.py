"""What is said of a code, and of a family of codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._papers import PAPERS

HEADINGS = ("code", "load", "threshold", "amplification", "master's flops", "paper")


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
    papers : tuple of str
        Keys of `PAPERS`.
    """

    name: str
    summary: str
    load: str
    threshold: str
    amplification: str
    master: str
    papers: tuple[str, ...] = ()

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
    entries : tuple of Entry
        One for each of the builders, in their order.
    """

    title: str
    legend: str
    builders: Mapping[str, Callable[..., Any]]
    entries: tuple[Entry, ...]
