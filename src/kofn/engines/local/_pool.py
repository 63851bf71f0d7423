"""Local worker processes of kofn's own: quick to start and replace, large arrays in shared memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..._base._closeable import at_end
from ..._base._envelope import error_line
from ..._base._importing import refuse_while_importing
from ..._base._machine import processors
from ...checks import integer, refusal
from ...errors import ArgumentError, KofnError, PoolClosed, WorkerLost
from .._entry import EngineEntry, count_in
from .._protocol import Capabilities, Stop
from .._slots import SlotPool
from .._validation import check_key, check_stop, check_worker, pack_argument
from ._call import PlacedValue
from ._shared_memory import SharedPickle, pack
from ._slot import WorkerSlot
from ._states import SlotState
from ._supervisor import Supervisor

START_SECONDS = 60.0
"""How long the constructor waits for the first workers."""


class LocalPool(SlotPool[WorkerSlot]):
    """``n`` worker processes on this machine.

    Functions and arguments travel by cloudpickle, so lambdas, closures and functions of a script work, and a
    script needs no ``if __name__ == "__main__"``. Arrays of 64 KiB and more travel through memory without a
    name; arrays from `empty` travel without a copy. Large memory that nobody looks at any more is kept for the next
    call, 256 MiB in all and 64 MiB a worker at most. A worker that dies is replaced, with its data. Every
    process ends with the pool, with this process, or with the garbage collection of the pool, whichever comes
    first. A worker that is still starting takes a task too, and runs it as soon as it can. Cancelling a task's
    future is the same as ``stop(worker, "abandon")``.

    Parameters
    ----------
    n : int
        How many workers.
    threads_per_worker : int, optional
        BLAS and OpenMP threads of each worker; by default the processors that this process may use are shared out,
        at least one each.
    grace_seconds : float
        How long an abandoned or interrupted task may run on before its worker is replaced; ``inf``: for ever. An
        abandoned task whose functions or classes are new to its worker has at least two seconds, and up to a minute
        while it imports modules or is unpickled, which would be lost with the process. `warm` gets workers through
        that, and through what takes longer, such as a large model, before the first call.

    Examples
    --------
    >>> with LocalPool(2) as pool:
    ...     pool.put(1, "matrix", np.eye(3))
    ...     pool.submit(1, lambda matrix, x: matrix @ x, np.arange(3.0), keys=("matrix",)).result()
    array([0., 1., 2.])
    """

    def __init__(self, n: int, *, threads_per_worker: int | None = None, grace_seconds: float = 0.05) -> None:
        call = "kofn.LocalPool"
        count = integer(call, "n", n, 1, "ask for at least one worker")
        refuse_while_importing(call)
        if threads_per_worker is None:
            threads_per_worker = max(1, processors() // count)
        threads = integer(call, "threads_per_worker", threads_per_worker, 1, "leave it out to share the cores")
        if not isinstance(grace_seconds, int | float) or not grace_seconds >= 0:
            remedy = "use math.inf to let abandoned tasks run on"
            raise refusal(call, "grace_seconds", "be a number of seconds >= 0", repr(grace_seconds), remedy)
        if not hasattr(os, "fork"):
            raise ArgumentError(f"{call}: this system cannot fork; use kofn.ThreadPool or a list of executors.")
        try:
            self._supervisor = supervisor = Supervisor(count, threads, float(grace_seconds))
        except (OSError, RuntimeError) as error:
            raise KofnError(f"{call}: the system lets no workers start: {error_line(error)}") from error
        self._finalizer = at_end(self, supervisor.close)
        try:
            super().__init__(supervisor.slots)  # loads what jobs need, while processes start
            if not supervisor.await_start(START_SECONDS):
                if supervisor.closed:
                    raise PoolClosed(f"{call}: the pool was closed while its workers started, as the program ended")
                raise WorkerLost(f"{call}: no worker could be started; what they said is on stderr.", 0)
        except BaseException:
            self.close()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """It ends what hangs, unless its grace is for ever, and shares memory."""
        return Capabilities(kills=math.isfinite(self._supervisor.grace), revives=True, shares=True)

    @property
    def bytes_sent(self) -> dict[str, int]:
        """Bytes that went through sockets, that were copied to shared memory, and that came back in it."""
        return dict(self._supervisor.bytes_sent)

    def pids(self) -> list[int | None]:
        """Return the process id of each worker, None while it has none."""
        slots = self._supervisor.slots
        return [None if s.now.state is SlotState.KILLED or s.connection is None else s.pid for s in slots]

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Allocate an array that reaches workers without a copy.

        Do not change it while a task that got it runs or while it is resident.
        """
        return self._supervisor.store.empty(shape, dtype)

    def share(self, array: NDArray[Any]) -> None:
        """Let a result travel on without a copy, as one from `empty` does; to be said as soon as it is there.

        Do not change it from then on.
        """
        self._supervisor.store.share(array)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``; it gets there with the first task that uses it.

        What a task writes into its arrays is undone after the task; what it changes in other objects is not.
        """
        slot = self._slot("put", worker)
        check_key("put", key)
        resident = PlacedValue(self._pack("put", "value", value))
        with slot.lock:
            self.require_open("put")
            slot.put(key, resident)
            if slot.must_forget:
                self._supervisor.tidy_soon()

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker; unknown keys are ignored."""
        with self._supervisor.lock:
            super().drop(key)
            if any(slot.must_forget for slot in self._slots):
                self._supervisor.tidy_soon()

    def stop(self, worker: int, how: str) -> Stop:
        """Stop what ``worker`` runs and tell what really happened; its future is cancelled at once.

        ``abandon`` leaves the task alone and ``interrupt`` raises KeyboardInterrupt in its Python code; if it
        has not ended after the grace, the worker is replaced. ``kill`` replaces the worker at once.
        """
        check_worker("stop", worker, self.n)
        return self._supervisor.stop(self._slots[worker], check_stop(how))

    def close(self) -> None:
        """End all workers and release everything; results stay valid. Safe to call twice, in any state."""
        super().close()
        self._supervisor.close()
        self._finalizer.detach()

    def __repr__(self) -> str:
        return f"<LocalPool of {self.n}: {', '.join(self._supervisor.states())}>"

    def _pack_call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> SharedPickle:
        return self._pack("submit", "function and arguments", (function, arguments))

    def _pack(self, call: str, what: str, value: object) -> SharedPickle:
        payload = pack_argument(call, what, value, lambda value: pack(value, self._supervisor.store))
        if payload.fresh is not None:
            self._supervisor.bytes_sent["shared"] += payload.fresh.size
        return payload


def _make(workers: Any, call: str) -> LocalPool:
    return LocalPool(count_in(workers, call) or processors())


ENTRY = EngineEntry(_make, "processes on this machine", "local:8, or 8", Capabilities(kills=True, revives=True))
