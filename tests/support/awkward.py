"""Exceptions that do not travel as they are, for tests of what comes back from workers."""

from __future__ import annotations

import sys
import types
from typing import Any


class KeywordsError(Exception):
    """Pickles, but cannot be rebuilt: pickle calls it with what is in ``args`` alone."""

    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"code {code} at {where}")


class SpeechlessError(Exception):
    """Raises what it was made of when it is asked for its text."""

    def __str__(self) -> str:
        raise self.args[0]


class ReducesToExitError(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit(3)


class LoadsToExitError(Exception):
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit(4)",)


def of_a_library_of_the_workers(name: str) -> Any:
    """A class of a module that is made now, where this is called: as if it were installed at the workers only."""
    library = types.ModuleType("library_of_the_workers")
    found = type(name, (Exception,) if name.endswith("Error") else (), {"__module__": library.__name__})
    setattr(library, name, found)
    sys.modules[library.__name__] = library
    return found


def holding(what: object) -> ValueError:
    """An exception with an attribute."""
    error = ValueError("this one")
    error.held = what  # type: ignore[attr-defined]
    return error


def caused(cause: BaseException) -> ValueError:
    """An exception with a cause."""
    error = ValueError("this one")
    error.__cause__ = cause
    return error
