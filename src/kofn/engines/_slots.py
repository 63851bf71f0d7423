"""Pools whose workers are slots: the client's books on each worker, and what every such pool does with them."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import PoolClosed, WorkerError, WorkerLost
from ._engine import CLOSED, Engine
from ._future import Promise
from ._protocol import Stop, WorkerState
from ._validation import check_key, check_stop, check_task, check_worker, resident_values


class PoolSlot:
    """One worker, the task that it runs, and the values placed at it."""

    takes: tuple[WorkerState, ...] = (WorkerState.IDLE,)
    """States in which it may be given a task."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.lock = threading.RLock()
        self.closed = False
        self.task: Promise | None = None
        self.residents: dict[Hashable, Any] = {}

    @property
    def state(self) -> WorkerState:
        """What the worker does, as long as the pool is open."""
        return WorkerState.IDLE if self.task is None else WorkerState.BUSY

    def require_free(self) -> None:
        """Refuse a task for a worker that has one, or is not there."""
        if (state := self.state) in self.takes:
            return
        if state is WorkerState.BUSY:
            raise WorkerError(f"worker {self.index} is busy; it takes one task at a time", self.index)
        raise WorkerLost(f"worker {self.index} is {state} and cannot take a task", self.index)

    @abstractmethod
    def start(self, call: Any, values: list[Any]) -> Promise:
        """Run a call, with resident values before its arguments."""

    def stop(self, task: Any, how: Stop = Stop.ABANDON) -> Stop:
        """Do what can be done about a task that nobody waits for any more, and tell what that was."""
        return Stop.ABANDON

    def put(self, key: Hashable, value: object) -> None:
        """Make ``value`` resident."""
        self.residents[key] = value

    def drop(self, key: Hashable) -> None:
        """Forget ``key``, if it is there."""
        self.residents.pop(key, None)

    def close(self) -> None:
        """Take no task any more, forget what is resident, and fail what is under way."""
        with self.lock:  # a task was handed over before this, or never will be
            self.closed = True
            self.residents.clear()
            task = self.task
        if task is not None:
            task.fail(PoolClosed(CLOSED))
            self.stop(task)


def close_slots(slots: Sequence[PoolSlot]) -> None:
    """Close each slot, for whoever does not hold their pool."""
    for slot in slots:
        slot.close()


AnySlot = TypeVar("AnySlot", bound=PoolSlot)
Call = tuple[Callable[..., Any], tuple[Any, ...]]


class SlotPool(Engine, Generic[AnySlot]):
    """Base of pools that keep their books in slots."""

    def __init__(self, slots: Sequence[AnySlot]) -> None:
        super().__init__()
        self._slots = slots

    @property
    def n(self) -> int:
        """How many workers the pool has."""
        return len(self._slots)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Allocate an array, an ordinary one: it goes to workers by reference, or is sent from where it is."""
        return np.empty(shape, dtype)

    def put(self, worker: int, key: Hashable, value: object) -> None:
        """Make ``value`` resident at ``worker``; where it has to travel, it does with the first task that uses it."""
        self._slot("put", worker).put(check_key("put", key), value)

    def drop(self, key: Hashable) -> None:
        """Forget ``key`` at every worker; unknown keys are ignored. Processes hear of it with their next task."""
        check_key("drop", key)
        for slot in self._slots:
            slot.drop(key)

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle ``worker``."""
        slot = self._slot("submit", worker)
        check_task(function, keys)
        return self._give(slot, self._pack_call(function, arguments), keys)

    def _give(self, slot: AnySlot, call: Any, keys: Sequence[Hashable]) -> Future[Any]:
        """Have a slot start a call that is ready for it."""
        with slot.lock:
            self.require_open("submit")
            values = resident_values(slot.index, keys, slot.residents)
            slot.require_free()
            task = slot.start(call, values)
            task.when_cancelled(slot.stop)
        if slot.closed:  # by what interrupted this thread just now
            task.fail(PoolClosed(CLOSED))
        return task.future

    def stop(self, worker: int, how: str) -> Stop:
        """Cancel the future of what ``worker`` runs; the task itself runs on if it has begun."""
        kind = check_stop(how)
        slot = self._slots[check_worker("stop", worker, self.n)]
        task = slot.task
        if task is None or self.state(worker) is WorkerState.DEAD:  # nothing can be asked of who is out of reach
            return Stop.NOTHING
        task.cancel()
        return slot.stop(task, kind)

    def state(self, worker: int) -> WorkerState:
        """Tell what ``worker`` is doing."""
        slot = self._slots[check_worker("state", worker, self.n)]
        return slot.state if self.is_open else WorkerState.DEAD

    def _slot(self, call: str, worker: int) -> AnySlot:
        check_worker(call, worker, len(self._slots))
        self.require_open(call)
        return self._slots[worker]

    def _pack_call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Make a call ready for `PoolSlot.start`, before anything is locked."""
        return function, arguments
