"""Any list of `concurrent.futures.Executor`, one per worker, behind kofn's seam."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import threading
import uuid
from collections.abc import Callable, Hashable, Sequence
from concurrent import futures
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any, TypeGuard

from .._base._envelope import ESCAPES, Envelope, error_line
from .._base._pickles import dumps
from ..checks import refusal
from ..errors import PoolClosed, WorkerLost
from ._future import Promise, run_here, run_pickled
from ._protocol import Capabilities, Stop, WorkerState
from ._slots import Call, PoolSlot, SlotPool, close_slots
from ._validation import pack_argument

Outcome = tuple[Any, Any]
Taker = Callable[[Promise, Outcome], None]

_ids = itertools.count(1)
_held: dict[str, dict[int, bytes]] = {}
"""In a worker process: what was placed there, by slot and value."""


class ExecutorPool(SlotPool["_ExecutorSlot"]):
    """Executors as workers: one-process pools, one-thread pools, loky, mpi4py, anything with that interface.

    What an executor cannot do, the pool does not pretend: a running task cannot be stopped, so its worker is
    left out until it ends, and a broken executor stays dead. Functions and values travel by cloudpickle; a
    resident value is sent once to each process and again to a process that turns out not to have it. In a
    `ThreadPoolExecutor` everything is handed over by reference.

    Parameters
    ----------
    executors : sequence of concurrent.futures.Executor
        One per worker, each with one thread or process. They stay yours: `close` leaves them running.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
    ...     ExecutorPool([one, two]).submit(1, sum, [1, 2, 3]).result()
    6
    """

    def __init__(self, executors: Sequence[Executor]) -> None:
        if not is_executors(executors):
            must, remedy = "be a list of executors, one per worker", "give at least one"
            raise refusal("kofn.ExecutorPool", "executors", must, repr(executors), remedy)
        if not all(map(_is_of_this_process, executors)):
            raise PoolClosed("kofn.ExecutorPool: the executors belong to another process; make others in this one")
        kinds = [_ExecutorSlot if isinstance(each, ThreadPoolExecutor) else _RemoteSlot for each in executors]
        super().__init__([kind(*place) for kind, place in zip(kinds, enumerate(executors), strict=True)])

    @property
    def capabilities(self) -> Capabilities:
        """By reference where all executors are threads of this process."""
        return Capabilities(by_reference=not any(isinstance(slot, _RemoteSlot) for slot in self._slots))

    def close(self) -> None:
        """Let the executors go, still running; what was placed in them is forgotten. Safe to call twice."""
        closed, self._closed = self._closed, True
        if not closed and self._home.is_here:
            close_slots(self._slots)


def is_executors(workers: object) -> TypeGuard[Sequence[Executor]]:
    """Tell whether ``workers`` is a list of executors."""
    return (
        isinstance(workers, Sequence) and len(workers) > 0 and all(isinstance(worker, Executor) for worker in workers)
    )


def _is_of_this_process(executor: Executor) -> bool:
    """Whether what serves an executor survived: threads do not, when a process forks."""
    served = [*getattr(executor, "_threads", ()), getattr(executor, "_executor_manager_thread", None)]
    ended = getattr(executor, "_broken", False) or getattr(executor, "_shutdown", False)
    return bool(ended) or all(thread.is_alive() for thread in served if isinstance(thread, threading.Thread))


class _ExecutorSlot(PoolSlot):
    """An executor of threads."""

    def __init__(self, index: int, executor: Executor) -> None:
        super().__init__(index)
        self.executor = executor
        self.dead = False
        self.running: Future[Any] | None = None

    @property
    def state(self) -> WorkerState:
        """What the worker does: a broken executor does not come back."""
        return WorkerState.DEAD if self.dead else super().state

    def start(self, call: Call, values: list[Any]) -> Promise:
        """Hand a task to the executor and return its promise."""
        function, arguments = call
        task = self.task = Promise()
        self.hand(task, self.on_outcome, run_here, function, (*values, *arguments))
        return task

    def hand(self, task: Promise, take: Taker, function: Callable[..., Any], *arguments: Any) -> None:
        """Submit to the executor, which may turn out to be broken or shut down."""
        try:
            running = self.running = self.executor.submit(function, *arguments)
        except ESCAPES as error:
            self.lose(task, error)
            return
        running.add_done_callback(lambda done: self.on_end(task, take, done))

    def stop(self, task: Promise, how: Stop = Stop.ABANDON) -> Stop:
        """Take back what has not begun. The task does not hold the executor's future, or each would keep the other."""
        running = self.running
        if running is not None and self.task is task:
            running.cancel()
        return Stop.ABANDON

    def on_end(self, task: Promise, take: Taker, done: Future[Any]) -> None:
        """Take what the executor says; one that says what no executor would is broken, and nobody waits for it."""
        try:
            if done.cancelled():
                self.free()
                task.cancel()
            elif (error := done.exception()) is None:
                take(task, done.result())
            elif isinstance(error, BrokenExecutor):
                self.lose(task, error)
            else:
                self.on_outcome(task, (False, Envelope(error)))
        except BaseException as error:
            self.lose(task, error)

    def on_outcome(self, task: Promise, outcome: Outcome) -> None:
        """Be idle, and let the task end."""
        ok, value = outcome
        self.free()
        task.take(ok, lambda: value)

    def free(self) -> None:
        self.task = self.running = None

    def lose(self, task: Promise, error: BaseException) -> None:
        """Be dead for good: a broken executor does not come back."""
        self.dead = True
        self.free()
        text = f"worker {self.index}: its executor broke ({error_line(error)}){_hint(self.executor)}"
        lost = WorkerLost(text, self.index)
        lost.__cause__ = error
        task.fail(lost)


class _RemoteSlot(_ExecutorSlot):
    """An executor whose tasks run elsewhere, and what its process is thought to hold."""

    def __init__(self, index: int, executor: Executor) -> None:
        super().__init__(index, executor)
        self.token = uuid.uuid4().hex
        self.sent: set[int] = set()
        self.forget: list[int] = []

    def put(self, key: Hashable, value: object) -> None:
        blob = pack_argument("put", "value", value, dumps)
        with self.lock:
            self.drop(key)
            self.residents[key] = next(_ids), blob

    def drop(self, key: Hashable) -> None:
        with self.lock:  # a thread of the executor may be sending values again
            identity, _ = self.residents.pop(key, (0, b""))
            if identity in self.sent:
                self.sent.discard(identity)
                self.forget.append(identity)

    def start(self, call: Call, values: list[Any]) -> Promise:
        """Send a task and return its promise."""
        packed = pack_argument("submit", "function and arguments", call, dumps)
        task = self.task = Promise()
        self.ship(task, packed, values, {identity for identity, _ in values} - self.sent)
        return task

    def ship(self, task: Promise, call: bytes, residents: list[tuple[int, bytes]], lacking: set[int]) -> None:
        """Send a task with those resident values that its process lacks."""

        def take(task: Promise, outcome: Outcome) -> None:
            ok, answer = outcome
            if ok is None and not task.future.done():
                self.ship(task, call, residents, answer)
                if task.future.done():  # cancelled in between, when there was nothing to take back
                    self.stop(task)
            else:  # nobody waits for what was cancelled and lacked values: it ends here
                self.free()
                task.take(ok, lambda: pickle.loads(answer))

        order = [identity for identity, _ in residents]
        values = {identity: blob for identity, blob in residents if identity in lacking}
        with self.lock:
            forget, self.forget = self.forget, []
            placed = {identity for identity, _ in self.residents.values()}
            self.sent |= lacking & placed
            self.forget.extend(lacking - placed)  # dropped since the task began, which needs them all the same
            self.hand(task, take, _perform, self.token, call, order, values, forget)

    def close(self) -> None:
        """Have the process forget what is resident as well."""
        super().close()
        if self.sent and not self.dead:
            with contextlib.suppress(RuntimeError):
                self.executor.submit(_forget_slot, self.token)


def _perform(token: str, call: bytes, order: list[int], values: dict[int, bytes], forget: list[int]) -> Outcome:
    """Run a task in a worker process, unless it lacks resident values; then tell which, and neither yes nor no."""
    held = _held.setdefault(token, {})
    for identity in forget:
        held.pop(identity, None)
    held.update(values)
    missing = {identity for identity in order if identity not in held}
    if missing:
        return None, missing
    return run_pickled(call, [held[identity] for identity in order])


def _forget_slot(token: str) -> None:
    _held.pop(token, None)


def _hint(executor: Executor) -> str:
    if not isinstance(executor, futures.ProcessPoolExecutor):  # named here: it imports multiprocessing
        return ""
    return '; a script whose processes are spawned must do its work under `if __name__ == "__main__":`'
