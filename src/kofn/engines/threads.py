"""Workers that are threads of this process: nothing is copied, nothing can be stopped."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks import integer
from ..closing import Closing
from ..envelope import Envelope
from ..errors import PoolClosed, WorkerError
from .manners import check_keys, check_stop, check_worker
from .pool import State, Stop, Stopped
from .promise import Promise

_Call = tuple[Callable[..., Any], tuple[Any, ...], Promise]


class ThreadPool(Closing):
    """``n`` workers on threads of this process.

    Good for functions that release the interpreter lock, as most of NumPy does, and where processes cannot be
    had. Arrays are handed over by reference: a task that writes into its argument changes yours. A running
    task cannot be stopped, so its worker stays busy until it ends. The threads are daemons: they do not hold
    up `close` or the end of the program, which ends them wherever they are; one that is inside C++ code then, as
    PyTorch's, can abort the program at its very end. Use `LocalPool` where stragglers run such code.

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
        self._n = integer("kofn.ThreadPool", "n", n, 1, "ask for at least one worker")
        self._lanes = [_Lane() for _ in range(self._n)]
        self._closed = False
        self._finalizer = weakref.finalize(self, _end, self._lanes)
        for index, lane in enumerate(self._lanes):
            threading.Thread(target=_serve, args=(lane,), name=f"kofn-worker-{index}", daemon=True).start()

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return self._n

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Allocate an array; every array reaches the workers without a copy."""
        return np.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Remember ``value`` under ``key`` for tasks of ``worker``."""
        self._lane("put", worker).residents[key] = value

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker; unknown keys are ignored."""
        for lane in self._lanes:
            lane.residents.pop(key, None)

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle ``worker``."""
        lane = self._lane("submit", worker)
        check_keys(worker, keys, lane.residents)
        with lane.lock:
            if lane.task is not None:
                raise WorkerError(f"worker {worker} is busy; it takes one task at a time", worker)
            task = lane.task = Promise()
            lane.inbox.put((function, (*(lane.residents[key] for key in keys), *arguments), task))
        task.when_cancelled(lambda _: None)
        return task.future

    def stop(self, worker: int, how: Stop) -> Stopped:
        """Cancel the future of what ``worker`` runs; the task itself runs on."""
        check_stop(how)
        task = self._lanes[check_worker("stop", worker, self._n)].task
        if task is None or self._closed:
            return "nothing"
        task.cancel()
        return "abandon"

    def state(self, worker: int) -> State:
        """Tell what ``worker`` is doing."""
        if self._closed:
            return "dead"
        return "idle" if self._lane("state", worker).task is None else "busy"

    def close(self) -> None:
        """Let every thread go; one that runs a task ends after it. Safe to call twice and from any state."""
        self._closed = True
        self._finalizer()

    def _lane(self, call: str, worker: int) -> _Lane:
        check_worker(call, worker, self._n)
        if self._closed:
            raise PoolClosed(f"{call}: the pool is closed")
        return self._lanes[worker]


class _Lane:
    """One thread, the task that it runs, and the values placed at it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self.task: Promise | None = None
        self.residents: dict[Hashable, object] = {}


def _serve(lane: _Lane) -> None:
    while (call := lane.inbox.get()) is not None:
        _run(lane, *call)
        del call  # nothing of a task stays alive in a thread that waits for the next


def _run(lane: _Lane, function: Callable[..., Any], arguments: tuple[Any, ...], task: Promise) -> None:
    try:
        value = function(*arguments)
    except BaseException as error:
        lane.task = None
        task.fail(Envelope(error).open())
    else:
        lane.task = None
        task.settle(value)


def _end(lanes: list[_Lane]) -> None:
    for lane in lanes:
        lane.inbox.put(None)
        if lane.task is not None:
            lane.task.fail(PoolClosed("the pool was closed while the task ran"))
        lane.residents.clear()
