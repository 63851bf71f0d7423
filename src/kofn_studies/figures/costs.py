"""How long figures take and how much memory, as measured; `costs.toml` is written by benchmarks/figure_costs.py."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ..study.progress import told

HOW = ("full", "quick")


@cache
def costs() -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Under "full" and "quick", by figure: processor ``seconds`` and ``megabytes`` of the largest process."""
    text = files(__package__).joinpath("costs.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def cost(figure: str) -> str:
    """What a figure costs, in words, in full and quick.

    Examples
    --------
    >>> cost("nothing")
    ''
    """
    known = [(how, costs().get(how, {}).get(figure)) for how in HOW]
    return ", ".join(f"{how} {told(of['seconds'])} {of['megabytes']} MB" for how, of in known if of is not None)
