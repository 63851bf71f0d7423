"""Warm-up: every worker does what only its first task pays for, before a deadline counts."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from typing import Any

from .. import checks
from ..errors import PoolClosed, WorkerError, WorkerLost
from ._loading import load
from ._protocol import POLL_SECONDS, Pool, WorkerState

TRIES = 3
"""Deaths of a worker, one after the other, after which it is given up."""


def warm_up(pool: Pool, function: Callable[[], object] | None = None, modules: Sequence[str] = ()) -> None:
    """Wait until every worker is up, has imported some modules, and has called a function; for any pool.

    Parameters
    ----------
    pool : Pool
    function : callable, optional
        Called once at each worker, without arguments.
    modules : sequence of str, optional
        Names, as for ``import``.

    Raises
    ------
    WorkerLost
        No worker is left, or one died of it again and again.
    PoolClosed
    Exception
        What the function, or an import, raised.

    Examples
    --------
    >>> from kofn.engines import ThreadPool
    >>> with ThreadPool(2) as pool:
    ...     warm_up(pool, modules=["json"])
    """
    call = "warm"
    if function is not None:
        checks.function(call, "function", function, "pass a function of no arguments")
    if isinstance(modules, str) or not all(isinstance(name, str) for name in modules):
        raise checks.refusal(call, "modules", "be a list of names", repr(modules), "write ['sklearn'], for example")
    load()
    left, running = dict.fromkeys(range(pool.n), TRIES), dict[Future[Any], int]()
    warm = 0
    while left or running:
        for worker in [worker for worker in left if worker not in running.values()]:
            if pool.state(worker) == WorkerState.DEAD:
                del left[worker]
            elif (future := _give(pool, worker, tuple(modules), function)) is not None:
                running[future] = worker
        for future in wait(running, POLL_SECONDS).done:
            worker = running.pop(future)
            left[worker] -= 1
            if _has_ended(future, last=not left[worker]):
                del left[worker]
                warm += 1
        if not running:
            time.sleep(POLL_SECONDS if left else 0.0)
    if not warm:
        if not getattr(pool, "is_open", True):
            raise PoolClosed(f"{call}: the pool was closed meanwhile")
        raise WorkerLost(f"{call}: all {pool.n} workers are gone", 0)


def _give(pool: Pool, worker: int, modules: tuple[str, ...], function: Callable[[], object] | None) -> Any:
    """The future of a task that an idle worker has been given; None where it took none."""
    if pool.state(worker) != WorkerState.IDLE:
        return None
    try:
        return pool.submit(worker, _import_and_call, modules, function)
    except WorkerError:  # another one was faster, or it died
        return None


def _has_ended(future: Future[Any], last: bool) -> bool:
    """Whether a task came to its end; it is tried again where its worker died or was stopped."""
    try:
        future.result()
    except (WorkerLost, CancelledError):
        if last:
            raise
        return False
    return True


def _import_and_call(modules: tuple[str, ...], function: Callable[[], object] | None) -> None:
    """Do at a worker what it is warmed with."""
    for name in modules:
        importlib.import_module(name)
    if function is not None:
        function()
