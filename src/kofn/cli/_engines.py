"""``kofn engines``: what runs tasks, what it can do, and how it is asked for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import EntryPoint
from importlib.util import find_spec

from .._base._entries import load_entry
from ..engines import Capabilities, EngineEntry, engines
from ..errors import KofnError
from ._codes import columns
from ._command import Command

ABILITIES: dict[str, Callable[[Capabilities], str]] = {
    "a task that hangs": lambda can: "is ended" if can.kills else "is left out",
    "a worker that dies": lambda can: (
        "comes back" if can.revives else "takes all along" if can.by_reference else "is gone"
    ),
    "a value that is kept": lambda can: "stays at its worker" if can.references else "comes here",
}
"""What is told of each, under its heading."""

LEGEND = """
Write it as workers="…" in Python and as --workers … on the command line. A number is so many processes here.
A pool that was made, a distributed.Client and a list of executors are workers= in Python, too."""


def _list(arguments: Namespace) -> int:
    found = {name: _entry(name, point) for name, point in engines().items()}
    lines = columns([("name", "installed", *ABILITIES), *(_able(name, entry) for name, entry in found.items())])
    print(lines[0], "─" * max(map(len, lines)), *lines[1:], "", sep="\n")
    print(*columns([_told(name, entry) for name, entry in found.items()]), LEGEND, sep="\n")
    return 0


def _entry(name: str, point: EntryPoint) -> EngineEntry | None:
    """What is told of an engine; nothing where it is a plain function, or cannot be loaded."""
    try:
        entry = load_entry(point, name)
    except KofnError:
        return None
    return entry if isinstance(entry, EngineEntry) else None


def _able(name: str, entry: EngineEntry | None) -> tuple[str, ...]:
    if entry is None:
        return name, *["?"] * (1 + len(ABILITIES))
    there = not entry.package or find_spec(entry.package) is not None
    return name, "yes" if there else "no", *(say(entry.capabilities) for say in ABILITIES.values())


def _told(name: str, entry: EngineEntry | None) -> tuple[str, str]:
    return (name, "") if entry is None else (entry.start, entry.summary)


COMMAND = Command(
    "list the engines: what is installed, what each can do, and how to start it",
    "  kofn engines",
    lambda parser: None,
    _list,
)
