"""From what the user calls ``workers`` to a `Pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base._machine import processors
from ..checks import integer, named, refusal
from ..errors import ArgumentError
from ._engine import Engine
from ._entry import count_in
from ._executors import ExecutorPool, is_executors
from ._loading import load
from ._protocol import Pool

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "kofn.engines"
"""Entry points that add engines: each the name of an `EngineEntry`, or of a function (workers, call) → `Pool`.

An entry is named as the package is whose objects it takes for ``workers``; it is also called for ``"name"`` and for
``"name:where"``. It is loaded when it is called.
"""

OWN = {
    "local": "local._pool:ENTRY",
    "threads": "_threads:ENTRY",
    "dask": "dask._entry:ENTRY",
    "distributed": "dask._entry:ENTRY",
    "ray": "ray._pool:ENTRY",
    "mpi": "mpi._pool:ENTRY",
    "mpi4py": "mpi._pool:ENTRY",
}
"""The library's own engines, found in the same way; where several names are one engine, the first is its own."""

LOCAL = "local"

SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
"""How addresses of Dask's schedulers begin."""

MUST = "be a number, a pool, a Dask client, a list of executors, one per worker, or the name of an engine"

REMEDIES = {
    "Executor": "use kofn.ThreadPool(n) or kofn.LocalPool(n), or one executor for each worker, in a list",
    "Cluster": "make a client of it: distributed.Client(cluster)",  # one that Dask can use and is not of its package
    "": "leave it out to use every core",
}
"""What to do with what is nearly a pool, by what gives it away."""


def as_pool(workers: object, call: str = "kofn.matmul") -> tuple[Pool, bool]:
    """Return the pool that ``workers`` means, and whether the caller has to close it.

    Parameters
    ----------
    workers : int, str, Pool, distributed.Client or sequence of concurrent.futures.Executor, optional
        A number starts as many local processes; left out, one for each processor that this process may use. A
        pool, executors or a Dask client are used as they are and stay open. A name starts or finds an engine:
        ``"local:8"``, ``"threads:4"``, ``"dask:tcp://host:8786"``; ``kofn engines`` lists them. Packages can add to
        that with an entry point in the group ``kofn.engines``.
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
    raise _unknown(workers, call)


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
    if isinstance(workers, str) and workers.partition(":")[0] == LOCAL:
        return count_in(workers, call) or processors()
    if hasattr(workers, "__index__"):
        return integer(call, "workers", workers, 1, "ask for at least one worker")
    return None


def engines() -> dict[str, EntryPoint]:
    """Where every engine is, each under one name: the library's own, and those that entry points add.

    Examples
    --------
    >>> list(engines())[:3]
    ['local', 'threads', 'dask']
    """
    points = _points()
    unique: dict[str, EntryPoint] = {}
    for name in [*OWN, *sorted(points.keys() - OWN.keys())]:
        unique.setdefault(points[name].value, points[name])
    return {point.name: point for point in unique.values()}


def _own() -> dict[str, EntryPoint]:
    from importlib.metadata import EntryPoint

    return {name: EntryPoint(name, f"{__package__}.{place}", GROUP) for name, place in OWN.items()}


def _points() -> dict[str, EntryPoint]:
    from .._base._entries import entries  # which reads what is installed

    return entries(GROUP, str(__package__), OWN)


def _entry_point(workers: object) -> EntryPoint | None:
    """Where the engine is that takes ``workers``, by its name or by the package of its class or of a base of that."""
    packages = [kind.__module__.partition(".")[0] for kind in type(workers).__mro__]
    names = [workers.partition(":")[0]] if isinstance(workers, str) else packages
    if names[0] in OWN:  # which take precedence; what is installed takes long to read
        return _own()[names[0]]
    points = _points()
    return next((points[name] for name in names if name in points), None)


def _unknown(workers: object, call: str) -> ArgumentError:
    """Build (not raise) the refusal of what is no engine's."""
    if not isinstance(workers, str):
        signs = " ".join(kind.__name__ for kind in type(workers).__mro__)
        remedy = next(advice for sign, advice in REMEDIES.items() if sign in signs)
        return refusal(call, "workers", MUST, f"a {type(workers).__name__}", remedy)
    known = ", ".join(sorted(engines()))
    scheme = workers.partition("://")[0]
    remedy = f"write 'dask:{workers}'" if scheme in SCHEMES and "://" in workers else f"the engines here are {known}"
    return refusal(call, "workers", MUST, f"a str, {workers!r}", remedy)
