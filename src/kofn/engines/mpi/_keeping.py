"""What a pool of ranks does with values that stay there."""

from __future__ import annotations

import pickle
from abc import ABC
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...arrays._spec import ArraySpec
from ...errors import ReferenceLost, WorkerLost
from .._future import Promise, failed
from .._pickling import Buffer, BufferedPickle
from .._references import Ref, RemoteMatrix
from .._slots import SlotPool
from .._validation import check_task, pack_argument
from ._kept import Handle, KeptRegister, RankCall, kept_value, new_ref, without_handles
from ._message import LARGE, memory_in
from ._session import Session
from ._slot import MPISlot


class MPIKeeping(SlotPool[MPISlot], ABC):
    """Base of `MPIPool`: tasks with references among their arguments, results that stay, and what is done with them."""

    def __init__(self, slots: Sequence[MPISlot], session: Session, register: KeptRegister) -> None:
        super().__init__(slots)
        self._session, self._register = session, register

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle ``worker``."""
        return self._begin("submit", worker, function, arguments, keys)

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Like `submit`, and what the function returns stays at the rank, until nobody refers to it."""
        return self._begin("keep", worker, function, arguments, keys)

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here; an array is a copy of one's own."""
        self.require_open("fetch")
        try:
            kept = kept_value(ref)
        except ReferenceLost as error:
            return failed(error)
        number, promise = next(self._session.numbers), self._register.travel()
        head = "fetch", kept.identity, number
        self._session.ask(kept.desk, number, partial(self._on_fetched, promise, ref), head)
        return promise.future

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to another rank, from rank to rank."""
        slot = self._slot("send", worker)
        try:
            kept = kept_value(ref)
        except ReferenceLost as error:
            return failed(error)
        if slot.desk.why:
            return failed(WorkerLost(f"worker {worker} is dead and cannot be sent anything", worker))
        promise = self._register.travel()
        copy = next(self._session.numbers)
        take = partial(self._on_sent, promise, ref, slot, copy)
        self._session.ship(kept.identity, kept.desk, slot.desk, copy, take)
        return promise.future

    def release(self, ref: Ref) -> None:
        """Let go of a value, which its rank forgets with the last reference to it."""
        if isinstance(ref.handle, Handle):
            ref.handle.kept = None
            self._session.sweep()

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """The blocks of a matrix that `export` gave, or of another pool of this program; None for all else."""
        self.require_open("adopt")
        if not (
            isinstance(value, RemoteMatrix) and all(isinstance(ref.handle, Handle) for ref in value.blocks.ravel())
        ):
            return None
        places = {slot.desk.rank: slot.index for slot in self._slots}
        blocks = np.empty(value.blocks.shape, object)
        for place, ref in np.ndenumerate(value.blocks):
            kept = kept_value(ref)
            blocks[place] = new_ref(kept, places[kept.desk.rank], ref.spec, ref.size)
        return RemoteMatrix(blocks, value.heights, value.widths, value.dtype)

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References of this program's pools, with the worker that each value's rank is here; None for all else."""
        self.require_open("refer")
        places = {slot.desk.rank: slot.index for slot in self._slots}
        return [
            replace(value, worker=places[kept_value(value).desk.rank]) if _is_own(value) else None for value in values
        ]

    def export(self, matrix: RemoteMatrix) -> RemoteMatrix:
        """The matrix where it lies, with references of its own: it stays until nobody holds it, or the program ends."""
        blocks = matrix.blocks.copy()
        for (i, j), ref in np.ndenumerate(matrix.blocks):
            if ref is None:
                blocks[i, j] = self._zeros((i + j) % self.n, (matrix.heights[i], matrix.widths[j]), matrix.dtype)
        exported = self.adopt(RemoteMatrix(blocks, matrix.heights, matrix.widths, matrix.dtype))
        assert exported is not None
        return exported

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that went from rank to rank."""
        return dict(self._register.moved)

    # -- inside ---------------------------------------------------------------------------------------

    def _begin(
        self,
        call: str,
        worker: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keys: tuple[Hashable, ...],
    ) -> Future[Any]:
        slot = self._slot(call, worker)
        check_task(function, keys)
        try:
            plain, needs = without_handles(arguments)
        except ReferenceLost as error:
            return failed(error)
        payload = pack_argument(call, "function and arguments", (function, plain), BufferedPickle.of)
        stream, buffers = payload.plain()
        return self._give(
            slot, RankCall(stream, [self._own(buffer) for buffer in buffers], needs, call == "keep"), keys
        )

    def _zeros(self, worker: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> Ref:
        """Zeros at a rank, whatever it does: it is told how to make them."""
        slot, identity = self._slots[worker], next(self._session.numbers)
        self._session.tell(slot.desk, ("put", identity, pickle.dumps(Zeros(shape, dtype))), [])
        return self._register.refer(slot.desk, identity, worker, ArraySpec(shape, dtype), 0)

    def _own(self, buffer: Buffer) -> Buffer:
        """The bytes where nobody changes them: a copy, unless they are those of `empty`, or sent at once."""
        store = self._session.store
        if len(buffer) < LARGE or store.find(buffer.data) is not None:
            return buffer
        copy = memory_in(store)(len(buffer))
        copy[:] = buffer
        return copy

    def _on_fetched(
        self, promise: Promise, ref: Ref, answer: tuple[Any, ...] | None, buffers: Sequence[Buffer]
    ) -> None:
        self._register.arrive(promise)
        if answer is None or not answer[0]:
            promise.fail(_lost(ref))
        else:
            promise.take(True, lambda: BufferedPickle(answer[1], buffers).open())

    def _on_sent(
        self, promise: Promise, ref: Ref, slot: MPISlot, copy: int, answer: Any, buffers: Sequence[Buffer]
    ) -> None:
        self._register.arrive(promise)
        if answer is None:
            promise.fail(WorkerLost(f"worker {slot.index} is lost: {slot.desk.why}", slot.index))
        elif not answer[0]:
            promise.fail(_lost(ref))
        else:
            if ref.worker != slot.index:
                self._register.count(ref.worker, slot.index, answer[1])
            promise.settle(self._register.refer(slot.desk, copy, slot.index, ref.spec, ref.size))


class Zeros:
    """An array of zeros by the time it arrives.

    Examples
    --------
    >>> pickle.loads(pickle.dumps(Zeros((1, 2), np.dtype(float))))
    array([[0., 0.]])
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._made_of = shape, dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return np.zeros, self._made_of


def _is_own(value: Any) -> bool:
    return isinstance(value, Ref) and isinstance(value.handle, Handle)


def _lost(ref: Ref) -> ReferenceLost:
    return ReferenceLost(f"what {ref.key} refers to is gone; make it again", ref.worker)
