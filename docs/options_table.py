"""The page of options: one table of what every call takes, from signatures and docstrings, so that it cannot be old."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from numpydoc.docscrape import ClassDoc, FunctionDoc

import kofn

FACES: Mapping[str, Any] = {
    name: getattr(kofn, name)
    for name in (
        *("matmul", "operator", "sum", "CodedSum", "map", "CodedMap", "imap", "prepare", "run", "start"),
        *("remote_product", "design", "fit"),
    )
}
"""What computes, or prepares it."""

OTHERS = {"sklearn.CodedEnsemble": ("kofn.sklearn", "CodedEnsemble"), "torch.convert": ("kofn.torch", "convert")}
"""Faces that need an extra."""

HEADER = """\
Options
=======

Everything that can be said to a call, in one table. The options of :class:`kofn.Options` stand first: {all} take all
of them, as keywords or together as ``options=``, and refuse in a sentence what they cannot do. What follows is a call's
own. Each call's page in this reference says more.

"""

TOGETHER = "The options of `kofn.Options`, together; keywords beside it change some."


@dataclass
class Row:
    """One option: what it is, and what takes it."""

    name: str
    default: str
    about: str
    faces: list[str] = field(default_factory=list)


def faces() -> dict[str, Any]:
    """Every call that takes options, by its name in kofn."""
    from importlib import import_module

    return {**FACES, **{name: getattr(import_module(module), inner) for name, (module, inner) in OTHERS.items()}}


def own_options(face: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """What a call takes by keyword, or leaves a default."""
    for parameter in inspect.signature(face).parameters.values():
        is_option = parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
        if is_option and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield parameter


def takes_all(face: Callable[..., Any]) -> bool:
    """Whether a call takes every option of `kofn.Options`."""
    return "OptionKeywords" in str(inspect.signature(face).parameters.get("keywords", ""))


def described(face: Any) -> dict[str, str]:
    """What a docstring says of each parameter, in its first sentence; parameters that share a line share it."""
    parsed = ClassDoc(face) if inspect.isclass(face) else FunctionDoc(face)
    return {
        name.strip().lstrip("*"): first_sentence(" ".join(parameter.desc))
        for parameter in parsed["Parameters"]
        for name in parameter.name.split(",")
    }


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"(?<=[.;])\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]


def rows() -> list[Row]:
    """The whole table."""
    there = faces()
    of_all = [name for name, face in there.items() if takes_all(face)]
    told = described(kofn.Options)
    found = [Row(one.name, repr(one.default), told[one.name], list(of_all)) for one in fields(kofn.Options)]
    own: dict[tuple[str, str], Row] = {}
    for name, face in there.items():
        about = described(face)
        for parameter in own_options(face):
            default = "" if parameter.default is parameter.empty else shown(parameter.default)
            row = own.setdefault((parameter.name, default), Row(parameter.name, default, ""))
            here = about.get(parameter.name, "")
            if not row.about or row.about.startswith("As "):  # as for another call, which may say more
                row.about = here or row.about
            row.faces.append(name)
    own["options", "None"].about = TOGETHER
    return [*found, *own.values()]


def shown(default: Any) -> str:
    """A default as a reader would write it."""
    return default.__name__ if callable(default) else repr(default)


def page() -> str:
    """The page, as reStructuredText."""
    of_all = ", ".join(f"``{name}``" for name, face in faces().items() if takes_all(face))
    lines = [HEADER.format(all=of_all) + ".. list-table::\n   :header-rows: 1\n   :widths: 14 10 46 30\n"]
    for cells in [("option", "default", "what it is", "taken by"), *map(_cells, rows())]:
        lines += [f"   {'*' if number == 0 else ' '} - {cell}".rstrip() for number, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, str, str, str]:
    of_all = [name for name, face in faces().items() if takes_all(face)]
    taken = "all" if row.faces == of_all else ", ".join(f"``{name}``" for name in row.faces)
    return f"``{row.name}``", f"``{row.default}``" if row.default else "needed", row.about, taken
