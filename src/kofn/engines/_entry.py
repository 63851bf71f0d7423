"""An engine by its name: what ``workers="name"`` or ``workers="name:where"`` makes, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..checks import refusal
from ._protocol import Capabilities, Pool


@dataclass(frozen=True)
class EngineEntry:
    """What an entry point of the group ``kofn.engines`` names: a function that makes a pool, and words about it.

    A plain function (workers, call) → `Pool` does as well; of it ``kofn engines`` can only tell the name.

    Parameters
    ----------
    make : callable
        (workers, call) → `Pool`: ``workers`` is what the user gave, as ``"name:where"`` or an object of the package;
        ``call`` begins a sentence that refuses it. kofn closes the pool when the job is done.
    summary : str
        What its workers are.
    start : str
        What to write for ``workers=``, and what has to run before.
    capabilities : Capabilities
        What its pools can do as they are made by name.
    package : str, optional
        The module that must be installed, if there is one.

    Examples
    --------
    >>> from kofn import ThreadPool
    >>> one = EngineEntry(lambda workers, call: ThreadPool(1), "one thread", "one", ThreadPool.capabilities)
    >>> with one("one", "kofn.map") as pool:
    ...     pool.n
    1
    """

    make: Callable[[Any, str], Pool]
    summary: str
    start: str
    capabilities: Capabilities
    package: str = ""

    def __call__(self, workers: Any, call: str) -> Pool:
        """Make the pool."""
        return self.make(workers, call)


def count_in(workers: str, call: str) -> int | None:
    """How many workers ``"name:8"`` asks for; None where it is the name alone.

    Examples
    --------
    >>> count_in("threads:8", "kofn.map"), count_in("threads", "kofn.map")
    (8, None)
    """
    name, colon, count = workers.partition(":")
    if not colon:
        return None
    if not (count.isascii() and count.isdigit() and int(count) > 0):
        must = f"name how many workers after {name}:, at least 1"
        raise refusal(call, "workers", must, repr(workers), f"write '{name}:8', or '{name}' for as many as processors")
    return int(count)
