"""Whether anybody still waits for the task that this thread runs, told by engines that cannot end a task."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def watching(unwanted: threading.Event) -> Iterator[None]:
    """Run a task that ``unwanted`` tells of."""
    _here.unwanted = unwanted
    try:
        yield
    finally:
        _here.unwanted = None


def unwanted() -> threading.Event | None:
    """Return the event that is set once nobody waits for the task that runs here, if the engine has one.

    Examples
    --------
    >>> with watching(threading.Event()):
    ...     unwanted().is_set()
    False
    """
    event: threading.Event | None = getattr(_here, "unwanted", None)
    return event
