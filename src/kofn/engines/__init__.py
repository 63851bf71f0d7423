"""Engines: what runs tasks. `as_pool` turns what the user calls ``workers`` into a `Pool`."""

from __future__ import annotations

from typing import Any, cast

from .._base._machine import processors
from ..checks import integer, named, refusal
from ._cancellation import current_token
from ._engine import Engine
from ._executors import ExecutorPool, is_executors
from ._loading import load
from ._protocol import Pool, Stop, WorkerState
from ._threads import ThreadPool
from .dask._pool import DaskPool, is_client
from .local._pool import LocalPool

__all__ = [
    "DaskPool",
    "ExecutorPool",
    "LocalPool",
    "Pool",
    "Stop",
    "ThreadPool",
    "WorkerState",
    "as_pool",
    "current_token",
    "processes",
]


def as_pool(workers: object, call: str = "kofn.matmul") -> tuple[Pool, bool]:
    """Return the pool that ``workers`` means, and whether the caller has to close it.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or sequence of concurrent.futures.Executor, optional
        A number starts as many local processes; left out, one for each processor that this process may use. A
        pool, executors or a Dask client are used as they are and stay open.
    call : str
        The public function that asks, for the sentence that refuses anything else.

    Examples
    --------
    >>> with ThreadPool(2) as pool:
    ...     as_pool(pool) == (pool, False)
    True
    """
    count = processes(workers, call)
    load()
    if count is not None:
        with named(call):
            return LocalPool(count), True
    if isinstance(workers, type):
        got, remedy = f"the class {workers.__name__}", f"make one, as in {workers.__name__}(4)"
        raise refusal(call, "workers", "be a number, a pool, a Dask client, or a list of executors", got, remedy)
    if isinstance(workers, Engine):
        workers.require_open(call)
    if isinstance(workers, Pool):
        return workers, False
    if is_executors(workers):
        return ExecutorPool(workers), False
    if is_client(workers):
        return DaskPool(cast(Any, workers)), True  # closing it leaves the client open
    must = "be a number, a pool, a Dask client, or a list of executors, one per worker"
    remedy = next((advice for sign, advice in REMEDIES.items() if sign in _signs(workers)), REMEDIES[""])
    raise refusal(call, "workers", must, f"a {type(workers).__name__}", remedy)


REMEDIES = {
    "Executor": "use kofn.ThreadPool(n) or kofn.LocalPool(n), or one executor for each worker, in a list",
    "Cluster": "make a client of it: distributed.Client(cluster)",
    "tcp://": "make a client of it: distributed.Client(address)",
    "": "leave it out to use every core",
}
"""What to do with what is nearly a pool, by what gives it away."""


def _signs(workers: object) -> str:
    kinds = " ".join(kind.__name__ for kind in type(workers).__mro__)
    return f"{kinds} {workers}" if isinstance(workers, str) else kinds


def processes(workers: object, call: str) -> int | None:
    """How many local processes ``workers`` asks for; None where it is something that is there already.

    Examples
    --------
    >>> processes(8, "kofn.matmul")
    8
    """
    if workers is None:
        return processors()
    if hasattr(workers, "__index__"):
        return integer(call, "workers", workers, 1, "ask for at least one worker")
    return None
