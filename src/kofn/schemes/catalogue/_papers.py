"""The publications that codes cite: each stands in `papers.bib` below what a table calls it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files


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
