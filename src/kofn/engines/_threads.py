"""Workers that are threads of this process: nothing is copied, nothing can be stopped."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._base._closeable import at_end
from .._base._envelope import Envelope
from ..checks import integer
from ..errors import PoolClosed, WorkerError
from ._engine import CLOSED, Engine
from ._future import Promise
from ._protocol import Capabilities, Stop, WorkerState
from ._validation import check_key, check_stop, check_task, check_worker, resident_values

_Call = tuple[Callable[..., Any], tuple[Any, ...], Promise]


class ThreadPool(Engine):
    """``n`` workers on threads of this process.

    Good for functions that release the interpreter lock, as most of NumPy does, and where processes cannot be
    had. Functions are your own, with what they hold; arguments are handed over by reference, where jobs see to it
    that no task writes into them (`kofn._base._snapshots`). A running task cannot be stopped, so its worker stays busy
    until it ends. The threads are daemons: they do not hold up `close` or the end of the program, which ends them
    wherever they are; one that is inside C++ code then, as PyTorch's, can abort the program at its very end. Use
    `LocalPool` where stragglers run such code.

    Parameters
    ----------
    n : int
        How many workers.

    Examples
    --------
    >>> with ThreadPool(2) as pool:
    ...     pool.submit(0, sum, [1, 2, 3]).result()
    6
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = integer("kofn.ThreadPool", "n", n, 1, "ask for at least one worker")
        self._slots = [_ThreadSlot() for _ in range(self._n)]
        self._finalizer = at_end(self, _end, self._slots)
        for index, slot in enumerate(self._slots):
            threading.Thread(target=_serve, args=(slot,), name=f"kofn-worker-{index}", daemon=True).start()

    capabilities = Capabilities(by_reference=True)

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return self._n

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Allocate an array; every array reaches the workers without a copy."""
        return np.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Remember ``value`` under ``key`` for tasks of ``worker``."""
        self._slot("put", worker).residents[check_key("put", key)] = value

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker; unknown keys are ignored."""
        check_key("drop", key)
        for slot in self._slots:
            slot.residents.pop(key, None)

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle ``worker``."""
        slot = self._slot("submit", worker)
        check_task(function, keys)
        with slot.lock:
            self.require_open("submit")
            values = resident_values(worker, keys, slot.residents)
            if slot.task is not None:
                raise WorkerError(f"worker {worker} is busy; it takes one task at a time", worker)
            task = slot.task = Promise()
            slot.inbox.put((function, (*values, *arguments), task))
        task.when_cancelled(lambda _: None)
        if slot.closed:  # by what interrupted this thread just now
            task.fail(PoolClosed(CLOSED))
        return task.future

    def stop(self, worker: int, how: str) -> Stop:
        """Cancel the future of what ``worker`` runs; the task itself runs on."""
        check_stop(how)
        task = self._slots[check_worker("stop", worker, self._n)].task
        if task is None or not self.is_open:
            return Stop.NOTHING
        task.cancel()
        return Stop.ABANDON

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""
        slot = self._slots[check_worker("state", worker, self._n)]
        if not self.is_open:
            return WorkerState.DEAD
        return WorkerState.IDLE if slot.task is None else WorkerState.BUSY

    def close(self) -> None:
        """Let every thread go; one that runs a task ends after it. Safe to call twice and from any state."""
        super().close()
        self._finalizer()

    def _slot(self, call: str, worker: int) -> _ThreadSlot:
        check_worker(call, worker, self._n)
        self.require_open(call)
        return self._slots[worker]


class _ThreadSlot:
    """One thread, the task that it runs, and the values placed at it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closed = False
        self.inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self.task: Promise | None = None
        self.residents: dict[Hashable, object] = {}


def _serve(slot: _ThreadSlot) -> None:
    while (call := slot.inbox.get()) is not None:
        _run(slot, *call)
        del call  # nothing of a task stays alive in a thread that waits for the next


def _run(slot: _ThreadSlot, function: Callable[..., Any], arguments: tuple[Any, ...], task: Promise) -> None:
    process = os.getpid()
    try:
        value = function(*arguments)
    except BaseException as error:
        _end_if_forked(process)
        slot.task = None
        task.fail(Envelope(error).open())
    else:
        _end_if_forked(process)
        slot.task = None
        task.settle(value)


def _end_if_forked(process: int) -> None:
    """End the child of a task that has forked: nobody is there to give it another task."""
    if os.getpid() != process:
        os._exit(0)


def _end(slots: list[_ThreadSlot]) -> None:
    for slot in slots:
        with slot.lock:  # a task was put before this, or never will be
            slot.closed = True
            slot.inbox.put(None)
            slot.residents.clear()
            task = slot.task
        if task is not None:
            task.fail(PoolClosed(CLOSED))
