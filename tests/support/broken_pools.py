"""Small engines that are each wrong in one way, for a machine to find."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import numpy as np

from kofn.engines import Capabilities, Engine, Stop, WorkerState, check_key, check_stop, check_worker, resident_values
from kofn.errors import PoolClosed, WorkerError, WorkerLost


class SmallPool(Engine):
    """Three workers, with a thread for each task, that may be killed and replaced, and that leave and join.

    A task of a worker that was killed runs on in its thread, and nobody hears of it. ``fault`` says what is wrong.
    """

    capabilities = Capabilities(by_reference=True, revives=True)

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.n, self.empty, self.fault = 3, np.empty, fault
        self.lock = threading.RLock()
        self.values: dict[int, dict[Any, Any]] = {0: {}, 1: {}, 2: {}}
        self.futures: dict[int, Future[Any] | None] = dict.fromkeys(range(3))
        self.runs: dict[int, object | None] = dict.fromkeys(range(3))  # a token for what a thread really does
        self.gone: set[int] = set()
        self.stale: dict[int, Any] = {}
        self.count = 0

    # -- the seam -------------------------------------------------------------------------------------

    def put(self, worker: int, key: Any, value: Any) -> None:
        self.require_open("put")
        self.values[check_worker("put", worker, 3)][check_key("put", key)] = value

    def drop(self, key: Any) -> None:
        for values in list(self.values.values()):
            values.pop(key, None)

    def submit(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Future[Any]:
        with self.lock:
            self.require_open("submit")
            values = resident_values(worker, keys, self.values[worker])
            if self.state(worker) != WorkerState.IDLE and self.fault != "takes two tasks":
                raise WorkerError(f"worker {worker} is {self.state(worker)}", worker)
            self.count += 1
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel = lambda: True  # type: ignore[method-assign]
            token = object()
            self.futures[worker], self.runs[worker] = future, token
        work = (worker, token, future, self.count, function, (*values, *arguments))
        threading.Thread(target=self._run, args=work, daemon=True).start()
        return future

    def stop(self, worker: int, how: str) -> Stop:
        check_stop(how)
        with self.lock:
            future = self.futures[worker]
            if future is None or not self.is_open or future.done():
                return Stop.NOTHING
            if self.fault == "says that it stopped what runs on":
                return Stop.ABANDON
            self.futures[worker] = None
            if self.fault == "says that it killed what runs on":
                future.cancel()
                return Stop.KILL
            if how == Stop.KILL:
                self._replace(worker)
            future.cancel()
            if self.fault == "says that it stopped nothing":
                return Stop.NOTHING
            return Stop.KILL if how == Stop.KILL else Stop.ABANDON

    def state(self, worker: int) -> WorkerState:
        with self.lock:
            if not self.is_open:
                return WorkerState.DEAD
            if worker in self.gone:
                return WorkerState.IDLE if self.fault == "calls who left idle" else WorkerState.STARTING
            return WorkerState.IDLE if self.runs[worker] is None else WorkerState.BUSY

    def close(self) -> None:
        if self.fault == "a close that hangs" and not self.is_open:
            HANGING.wait(60)
        with self.lock:
            super().close()
            futures, self.futures = self.futures, dict.fromkeys(range(3))
        for future in futures.values():
            if future is not None and not future.done() and self.fault != "tasks outlive it":
                future.set_exception(PoolClosed("it was closed"))

    # -- what befalls it ------------------------------------------------------------------------------

    def kill(self, worker: int) -> None:
        with self.lock:
            future, self.futures[worker] = self.futures[worker], None
            self._replace(worker)
            if self.fault == "forgets values with a death":
                self.values[worker].clear()
        if future is not None and not future.done():
            future.set_exception(WorkerLost("it was killed", worker))

    def leave(self, worker: int) -> None:
        self.gone.add(worker)
        self.kill(worker)

    def join(self) -> None:
        worker = self.gone.pop()
        if self.fault == "who joins has no values":
            self.values[worker].clear()

    def _replace(self, worker: int) -> None:
        if self.fault != "is never idle after a death":
            self.runs[worker] = None

    def _run(self, worker: int, token: object, future: Future[Any], number: int, function: Any, given: Any) -> None:
        try:
            result, error = function(*given), None
        except BaseException as raised:
            result, error = None, raised
        with self.lock:
            if self.runs[worker] is token:
                idle_later = self.fault == "is never idle after a failure" and error is not None
                self.runs[worker] = token if idle_later else None
            lost = self.fault == "loses a result" and number % 5 == 0
            if self.fault == "gives a result to the next task":
                self.stale[worker], result = result, self.stale.get(worker, result)
            if self.futures[worker] is not future or future.done() or lost:
                return
            self.futures[worker] = None
        if error is not None:
            future.set_exception(error)
            return
        with self.lock:  # and so before anybody closes it
            future.set_result(result)
            if self.fault == "delivers a result twice":
                future._state = "RUNNING"
                future.set_result(result)


HANGING = threading.Event()
