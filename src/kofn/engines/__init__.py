"""Engines: what runs tasks, and what an engine of one's own is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base._envelope import Envelope
from .._base._extras import loader
from .._base._machine import processors
from .._base._pickles import dumps
from .._base._results import result_empty
from ._cancellation import current_token
from ._client_references import ClientReferences, references_of
from ._delays import Delays
from ._engine import Engine
from ._entry import EngineEntry, count_in
from ._executors import ExecutorPool
from ._future import Promise, run_pickled
from ._protocol import Capabilities, Pool, Stop, WorkerState, capabilities_of
from ._references import Ref, ReferencePool, RemoteMatrix, refs_in, with_values
from ._registry import as_pool, engines, processes
from ._threads import ThreadPool
from ._validation import check_key, check_stop, check_task, check_worker, pack_argument, resident_values
from ._wrapped import WrappedPool

if TYPE_CHECKING:
    from .dask._pool import DaskPool
    from .local._pool import LocalPool
    from .mpi._pool import MPIPool
    from .ray._pool import RayPool

__all__ = [
    "Capabilities", "ClientReferences", "DaskPool", "Delays", "Engine", "EngineEntry", "Envelope", "ExecutorPool",
    "LocalPool", "MPIPool", "Pool", "Promise", "RayPool", "Ref", "ReferencePool", "RemoteMatrix", "Stop", "ThreadPool",
    "WorkerState", "WrappedPool", "as_pool", "capabilities_of", "check_key", "check_stop", "check_task", "check_worker",
    "count_in", "current_token", "dumps", "engines", "pack_argument", "processes", "processors", "references_of",
    "refs_in", "resident_values", "result_empty", "run_pickled", "with_values",
]  # fmt: skip

__getattr__ = loader(
    __name__,
    {
        "DaskPool": ".dask._pool:DaskPool",
        "LocalPool": ".local._pool:LocalPool",
        "MPIPool": ".mpi._pool:MPIPool",
        "RayPool": ".ray._pool:RayPool",
    },
)
