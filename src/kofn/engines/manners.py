"""What every pool refuses, in the same words."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import cast

from ..checks import choice, integer, refusal
from ..envelope import told
from ..errors import ArgumentError
from .pool import Stop

_KINDS = ("abandon", "interrupt", "kill")


def check_worker(call: str, worker: int, n: int) -> int:
    """Return ``worker`` if the pool has it or refuse it.

    Examples
    --------
    >>> check_worker("submit", 1, 4)
    1
    """
    if integer(call, "worker", worker, 0, "workers are counted from 0") >= n:
        raise refusal(call, "worker", f"be less than {n}", worker, "workers are counted from 0")
    return worker


def check_keys(worker: int, keys: tuple[Hashable, ...], held: Collection[Hashable]) -> None:
    """Refuse a task that needs what was never put at its worker."""
    for key in keys:
        if key not in held:
            must = f"be resident at worker {worker}"
            raise refusal("submit", "keys", must, f"{key!r}, which it does not have", "put it there first")


def check_stop(how: str) -> Stop:
    """Return a known way to stop or refuse it."""
    return cast(Stop, choice("stop", "how", how, _KINDS, "use 'kill' to be sure"))


def unpicklable(call: str, argument: str, error: BaseException) -> ArgumentError:
    """Build (not raise) the exception for what cannot travel to a worker."""
    return refusal(call, argument, "be picklable", told(error), "leave out locks, files and generators")
