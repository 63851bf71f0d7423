"""A battery of checks for engines whose workers keep values, beside that for all engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._battery import MakePool, run_battery
from ._reference_checks import REFERENCE_CHECKS, SHARED, ReferenceSettings


def check_references(
    make_pool: MakePool,
    *,
    lacks: Mapping[str, str] | None = None,
    held_bytes: Callable[[Any], int] | None = None,
    payload_bytes: int = 20_000_000,
    straggler_seconds: float = 1.0,
    patience_seconds: float = 20.0,
) -> dict[str, str]:
    """Assert that an engine whose workers keep values does what `kofn.engines.ReferencePool` promises.

    Run `check_engine` over it as well.

    Parameters
    ----------
    make_pool : callable
        Returns a context manager that yields a fresh pool of at least three workers; most pools are one themselves.
    lacks : mapping of check to reason, optional
        What the engine cannot do, by the names of `REFERENCE_CHECKS`.
    held_bytes : callable, optional
        Says of a pool how many bytes of kept values there are, by the count of the workers, or of whatever holds them,
        rather than by the pool's own books; none in a fresh pool. Without it nobody looks whether what is released is
        really gone.
    payload_bytes : int
        Size of the large array that is kept, sent and released.
    straggler_seconds : float
        How long a straggler sleeps; what must not wait for it has to be quicker.
    patience_seconds : float
        How long to wait for what has to happen some time.

    Returns
    -------
    dict
        For each check ``"held"``, or ``"lacks: "`` and your reason.

    Raises
    ------
    AssertionError
        With the name of the check and a sentence that says what does not hold.

    Examples
    --------
    >>> from kofn import ThreadPool
    >>> from kofn.engines import ClientReferences
    >>> by_reference = "arguments are handed over by reference"
    >>> lacks = {"private": by_reference, "unpicklable": by_reference, "loss": "threads cannot be killed"}
    >>> make = lambda: ClientReferences(ThreadPool(3))
    >>> check_references(make, lacks=lacks, payload_bytes=1000, straggler_seconds=0.2)["loss"]
    'lacks: threads cannot be killed'
    """
    settings = ReferenceSettings(make_pool, payload_bytes, straggler_seconds, patience_seconds, held_bytes)
    return run_battery("check_references", REFERENCE_CHECKS, SHARED, settings, lacks)
