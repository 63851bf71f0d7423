"""Workers that are threads of this process: nothing is copied, nothing can be stopped."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from .._base._closeable import at_end
from .._base._machine import processors
from ..checks import integer
from ._entry import EngineEntry, count_in
from ._future import Promise, run_here
from ._protocol import Capabilities
from ._slots import Call, PoolSlot, SlotPool, close_slots


class ThreadPool(SlotPool["_ThreadSlot"]):
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

    capabilities = Capabilities(by_reference=True)

    def __init__(self, n: int) -> None:
        count = integer("kofn.ThreadPool", "n", n, 1, "ask for at least one worker")
        super().__init__([_ThreadSlot(index) for index in range(count)])
        self._finalizer = at_end(self, close_slots, self._slots)
        for slot in self._slots:
            threading.Thread(target=_serve, args=(slot,), name=f"kofn-worker-{slot.index}", daemon=True).start()

    def close(self) -> None:
        """Let every thread go; one that runs a task ends after it. Safe to call twice and from any state."""
        super().close()
        self._finalizer()


class _ThreadSlot(PoolSlot):
    """One thread."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.inbox: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...], Promise] | None] = queue.SimpleQueue()

    def start(self, call: Call, values: list[Any]) -> Promise:
        """Hand a call to the thread."""
        function, arguments = call
        task = self.task = Promise()
        self.inbox.put((function, (*values, *arguments), task))
        return task

    def close(self) -> None:
        """Let the thread go as well."""
        self.inbox.put(None)
        super().close()


def _serve(slot: _ThreadSlot) -> None:
    while (call := slot.inbox.get()) is not None:
        _run(slot, *call)
        del call  # nothing of a task stays alive in a thread that waits for the next


def _run(slot: _ThreadSlot, function: Callable[..., Any], arguments: tuple[Any, ...], task: Promise) -> None:
    process = os.getpid()
    ok, value = run_here(function, arguments)
    if os.getpid() != process:
        os._exit(0)  # the task has forked, and this is its child: nobody is there to give it another one
    slot.task = None
    task.take(ok, lambda: value)


def _make(workers: Any, call: str) -> ThreadPool:
    return ThreadPool(count_in(workers, call) or processors())


ENTRY = EngineEntry(_make, "threads of this process", "threads:4", ThreadPool.capabilities)
