"""What there is: every code with load, threshold, costs and papers. `kofn codes` and `kofn cite` print it."""

from __future__ import annotations

from ... import checks
from .. import FUNCTIONS, PRODUCTS, SUMS
from ._entry import HEADINGS, PAPERS, Entry, Family, Paper

FAMILIES = (
    Family.read("products.toml", PRODUCTS),
    Family.read("sums.toml", SUMS),
    Family.read("functions.toml", FUNCTIONS),
)

OTHERS = {"aicc": ("agrawal2022",), "kofn": ("kofn",)}
"""What can be cited and is no name of a code: `kofn.tuning.learned`, and kofn itself."""


def names() -> list[str]:
    """Everything that can be cited.

    Examples
    --------
    >>> names()[:2], names()[-1]
    (['uncoded', 'repetition'], 'kofn')
    """
    return list(dict.fromkeys([*(entry.name for family in FAMILIES for entry in family.entries), *OTHERS]))


def bibtex(name: str) -> str:
    """The BibTeX entries to cite for a code, or for kofn itself.

    Examples
    --------
    >>> print(bibtex("kofn").splitlines()[0])
    @software{kofn,
    """
    checks.choice("kofn cite", "NAME", name, names(), "see `kofn codes`")
    entries = [entry for family in FAMILIES for entry in family.entries if entry.name == name]
    keys = dict.fromkeys([key for entry in entries for key in entry.papers] + list(OTHERS.get(name, ())))
    return "\n\n".join(PAPERS[key].bibtex for key in keys or ("kofn",))


__all__ = ["FAMILIES", "HEADINGS", "OTHERS", "PAPERS", "Entry", "Family", "Paper", "bibtex", "names"]
