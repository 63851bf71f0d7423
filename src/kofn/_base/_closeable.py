"""What ends with a ``with`` block, pools and all that keeps something at their workers, and whose it is.

Threads do not survive a fork, and processes and connections belong to whoever started them. So what uses them knows the
process that made it, and in another one says so instead of waiting for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, Self

from ..errors import PoolClosed
from ._travel import Staying


class Closeable(Staying):
    """Base of what is closed at the end of a ``with`` block.

    Examples
    --------
    >>> class Door(Closeable):
    ...     def close(self):
    ...         print("closed")
    >>> with Door():
    ...     print("open")
    open
    closed
    """

    def close(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Home:
    """The process that made something.

    Examples
    --------
    >>> home = Home()
    >>> home.is_here
    True
    >>> home.require("f: the pool")
    """

    def __init__(self) -> None:
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and no fork of it."""
        return os.getpid() == self._process

    def require(self, what: str) -> None:
        """Raise `PoolClosed` in any other process."""
        if not self.is_here:
            raise PoolClosed(f"{what} belongs to the process that it was made in; make another one in this process")


class Owned(Protocol):
    """What belongs to the process that made it."""

    def detach_after_fork(self) -> None:
        """Be without it, in a forked child."""


def detach_in_forks(thing: Owned) -> None:
    """Call ``thing.detach_after_fork()`` in every fork of this process, as long as somebody holds it."""
    _owned.add(thing)


def _detach_all() -> None:
    for thing in list(_owned):
        thing.detach_after_fork()


_owned: weakref.WeakSet[Owned] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_all)


SOON = 1.0
"""Seconds that a thread has to end what the garbage collector has found, before whoever collects goes on."""


class Ending(weakref.finalize):  # type: ignore[type-arg]  # not so when it runs
    """A finalizer that is never run by the thread that collects: that may hold a lock that the end needs."""

    __slots__ = ()

    def __call__(self, collected: object = None) -> Any:
        """End it: in this thread where that is asked for, or at the end of the program."""
        if collected is None:
            return super().__call__()
        return end_elsewhere(super().__call__)


def at_end(thing: object, end: Callable[..., Any], *arguments: Any) -> Ending:
    """Call ``end`` when ``thing`` is gone or the program ends, in this process and in no fork of it.

    Examples
    --------
    >>> class Thing: ...
    >>> thing = Thing()
    >>> end = at_end(thing, print, "gone")
    >>> del thing
    gone
    """
    return Ending(thing, _end_at_home, Home(), end, arguments)


def end_elsewhere(end: Callable[[], object], seconds: float | None = None) -> None:
    """Have something ended by a thread of its own, and wait for that a little: this one may hold what it needs.

    Where there is no thread to be had, it is left to the end of the program, which may have come.
    """
    if sys.is_finalizing():  # a thread that is started now waits for ever in Python 3.11, and this one for it
        return
    thread = threading.Thread(target=end, name="kofn-end", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # as any is refused in Python 3.12, once the program ends
        return
    thread.join(SOON if seconds is None else seconds)


def _end_at_home(home: Home, end: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return end(*arguments) if home.is_here else None
