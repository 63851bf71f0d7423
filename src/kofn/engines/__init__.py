"""Engines: what runs tasks, and what an engine of one's own is made of."""

from __future__ import annotations

from ._cancellation import current_token
from ._executors import ExecutorPool
from ._protocol import Capabilities, Pool, Stop, WorkerState
from ._registry import as_pool, processes
from ._threads import ThreadPool
from .dask._pool import DaskPool
from .local._pool import LocalPool

__all__ = [
    "Capabilities",
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
