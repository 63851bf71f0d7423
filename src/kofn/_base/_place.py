"""Where code runs from: import path and working directory. They travel with every order to a local process."""

from __future__ import annotations

import importlib
import os
import sys
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass

_held: ContextVar[Place] = ContextVar("kofn_place")


@dataclass(frozen=True)
class Place:
    """Import path and working directory of a process.

    Parameters
    ----------
    path : tuple of str
    directory : str
        Empty where there is none: it was removed.
    """

    path: tuple[str, ...]
    directory: str

    @classmethod
    def here(cls) -> Place:
        """The place of this process, or that where the job of this thread was started.

        Examples
        --------
        >>> Place.here().directory == os.getcwd()
        True
        """
        return _held.get(None) or cls(tuple(sys.path), _directory())

    def enter(self) -> None:
        """Make it that of this process."""
        if sys.path != list(self.path):
            sys.path[:] = self.path
            importlib.invalidate_caches()
        if self.directory != _directory() and os.path.isdir(self.directory):  # noqa: PTH112
            os.chdir(self.directory)


def staying() -> Context:
    """A context in which `Place.here` stays what it is now, for the thread of a job.

    Examples
    --------
    >>> context = staying()
    >>> sys.path.append("/somewhere")
    >>> "/somewhere" in context.run(Place.here).path, "/somewhere" in Place.here().path, sys.path.pop()
    (False, True, '/somewhere')
    """
    context = copy_context()
    context.run(_held.set, Place.here())
    return context


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  a path object costs five times as much, with every task
    except FileNotFoundError:
        return ""
