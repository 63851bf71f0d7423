"""The Ray that this process is connected to: joined where one runs, started and shut down where none does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..._base._envelope import error_line
from ..._base._machine import processors
from ...errors import KofnError

_lock = threading.RLock()
_open: dict[tuple[str, str], int] = {}
"""How many pools use a Ray that was started here."""


class Session:
    """A connection to Ray; useless once somebody has shut it down, also if there is another one after it.

    Parameters
    ----------
    identity : (str, str)
        Address of the cluster and number of this program there.
    is_ours : bool
        Whether it was started here, and is shut down with the last pool that uses it.
    """

    def __init__(self, identity: tuple[str, str], is_ours: bool) -> None:
        self.identity = identity
        self.is_ours = is_ours

    @property
    def is_reachable(self) -> bool:
        """Whether this process is connected to it."""
        return _identity() == self.identity

    def leave(self) -> None:
        """Have one pool less; with the last one shut Ray down, if it was started here."""
        import ray

        with _lock:
            if not self.is_ours:
                return
            _open[self.identity] -= 1
            if not _open[self.identity]:
                del _open[self.identity]
                if self.is_reachable:
                    ray.shutdown()


def is_connected() -> bool:
    """Whether this process is connected to Ray at all, which would start another one for what it is asked otherwise."""
    import ray

    return bool(ray.is_initialized())


def join(call: str, least: int) -> Session:
    """Use the Ray that this process is connected to, else one that runs (``RAY_ADDRESS``, or here), else start one.

    Parameters
    ----------
    call : str
        Who asks, for the sentence that says what went wrong.
    least : int
        How many processors a Ray that is started here has at least; workers may be more than processors.
    """
    with _lock:
        if _identity() is None:
            _connect(call, least)
        identity = _identity()
        assert identity is not None
        ours = identity in _open
        if ours:
            _open[identity] += 1
        return Session(identity, ours)


def _connect(call: str, least: int) -> None:
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}  # kofn says what went wrong
    try:
        with _keeping_sigterm():
            if _join_running(quiet):
                return
            ray.init(address="local", num_cpus=max(least, processors()), include_dashboard=False, **quiet)
    except Exception as error:
        raise KofnError(f"{call}: Ray can be neither joined nor started: {error_line(error)}") from error
    identity = _identity()
    assert identity is not None
    _open[identity] = 0


def _join_running(quiet: dict[str, Any]) -> bool:
    import ray

    if os.environ.get("RAY_ADDRESS") == "local":  # Ray's own word for "start one"
        return False
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        return False
    return True


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Leave what this program does at SIGTERM as it is, which Ray would change; where it does nothing, Ray may."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _identity() -> tuple[str, str] | None:
    import ray

    if not is_connected():
        return None
    context = ray.get_runtime_context()
    return str(context.gcs_address), str(context.get_job_id())
