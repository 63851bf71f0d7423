"""Lets a task ask whether anybody still waits for it, where its engine cannot end what runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_here = threading.local()


@contextmanager
def running_with(token: threading.Event) -> Iterator[None]:
    """Run a task; ``token`` is set once nobody waits for it."""
    _here.token = token
    try:
        yield
    finally:
        _here.token = None


def current_token() -> threading.Event | None:
    """Return the event that is set once nobody waits for the task that runs here, if the engine has one.

    Examples
    --------
    >>> with running_with(threading.Event()):
    ...     current_token().is_set()
    False
    """
    token: threading.Event | None = getattr(_here, "token", None)
    return token
