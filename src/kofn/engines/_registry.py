"""From what the user calls ``workers`` to a `Pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base._machine import processors
from ..checks import integer, named, refusal
from ._engine import Engine
from ._executors import ExecutorPool, is_executors
from ._loading import load
from ._protocol import Pool

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "kofn.engines"
"""Entry points that add engines: each the name of a function (workers, call) → `Pool`, loaded when it is called.

An entry is named as the package is whose objects it takes for ``workers``; it is also called for that name itself.
"""

OWN = {"distributed": "dask._pool:engine"}
"""The library's own engines, found in the same way."""

MUST = "be a number, a pool, a Dask client, or a list of executors, one per worker"

REMEDIES = {
    "Executor": "use kofn.ThreadPool(n) or kofn.LocalPool(n), or one executor for each worker, in a list",
    "Cluster": "make a client of it: distributed.Client(cluster)",  # one that Dask can use and is not of its package
    "tcp://": "make a client of it: distributed.Client(address)",
    "": "leave it out to use every core",
}
"""What to do with what is nearly a pool, by what gives it away."""


def as_pool(workers: object, call: str = "kofn.matmul") -> tuple[Pool, bool]:
    """Return the pool that ``workers`` means, and whether the caller has to close it.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or sequence of concurrent.futures.Executor, optional
        A number starts as many local processes; left out, one for each processor that this process may use. A
        pool, executors or a Dask client are used as they are and stay open. Packages can add to that with an entry
        point in the group ``kofn.engines``.
    call : str
        The public function that asks, for the sentence that refuses anything else.

    Examples
    --------
    >>> from kofn import ThreadPool
    >>> with ThreadPool(2) as pool:
    ...     as_pool(pool) == (pool, False)
    True
    """
    count = processes(workers, call)
    load()
    if count is not None:
        from .local._pool import LocalPool  # which nobody waits for who brings workers

        with named(call):
            return LocalPool(count), True
    if isinstance(workers, type):
        got, remedy = f"the class {workers.__name__}", f"make one, as in {workers.__name__}(4)"
        raise refusal(call, "workers", MUST, got, remedy)
    if isinstance(workers, Engine):
        workers.require_open(call)
    if isinstance(workers, Pool):
        return workers, False
    if is_executors(workers):
        return ExecutorPool(workers), False
    if (point := _entry_point(workers)) is not None:
        return _made(point, workers, call), True  # closing it leaves open what was given
    signs = " ".join([*(kind.__name__ for kind in type(workers).__mro__), workers if isinstance(workers, str) else ""])
    remedy = next(advice for sign, advice in REMEDIES.items() if sign in signs)
    raise refusal(call, "workers", MUST, f"a {type(workers).__name__}", remedy)


def _made(point: EntryPoint, workers: object, call: str) -> Pool:
    from .._base._entries import load_entry

    make = load_entry(point, f"the engine {point.name!r}")
    pool = make(workers, call) if callable(make) else make
    if not isinstance(pool, Pool):
        must, given = "name an engine that makes a pool", f"{point.name!r}, with {pool!r} from {point.value}"
        raise refusal(call, "workers", must, given, "see docs/own-engine.md")
    return pool


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


def _entry_point(workers: object) -> EntryPoint | None:
    """Where the engine is that takes ``workers``, by its name or by the package of its class or of a base of that."""
    from .._base._entries import entries  # which reads what is installed

    points = entries(GROUP, str(__package__), OWN)
    packages = [kind.__module__.partition(".")[0] for kind in type(workers).__mro__]
    names = [workers] if isinstance(workers, str) else packages
    return next((points[name] for name in names if name in points), None)
