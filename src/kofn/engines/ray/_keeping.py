"""What a pool of actors does with values that stay in Ray's object store."""

from __future__ import annotations

import uuid
from abc import ABC
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np

from ...errors import ReferenceLost, WorkerLost
from .._future import Promise, failed
from .._pickling import BufferedPickle
from .._protocol import WorkerState
from .._references import Ref, RemoteMatrix, refs_in
from .._slots import SlotPool
from .._validation import check_task, pack_argument
from ._blocks import matrix_of
from ._clerk import Clerk
from ._kept import STORED, KeptObject, RayCall, Travels, kept_object, numbered
from ._slot import RaySlot, Shelf, hush, lost
from ._values import copied, referred, zeros


class RayKeeping(SlotPool[RaySlot], ABC):
    """Base of `RayPool`: tasks with references among their arguments, results that stay, and what is done with them."""

    def __init__(self, slots: Sequence[RaySlot], clerk: Clerk, shelf: Shelf, travels: Travels) -> None:
        super().__init__(slots)
        self._clerk, self._shelf, self._travels = clerk, shelf, travels
        self._moved: Counter[tuple[int, int]] = Counter()

    def submit(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Any]:
        """Run ``function(*(resident values of keys), *arguments)`` at an idle ``worker``."""
        return self._begin("submit", worker, function, arguments, keys)

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Like `submit`, and what the function returns stays in the object store of the worker's machine.

        This process owns it: it outlives the actor, and other tasks of the machine read it where it is. Arrays are
        read-only.
        """
        return self._begin("keep", worker, function, arguments, keys)

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here; an array is a copy of one's own."""
        self._slot("fetch", 0)
        try:
            _, reference = kept_object(ref)
        except ReferenceLost as error:
            return failed(error)
        return self._travel(ref, reference, _own)

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to the machine of another worker; where that is the same one, the value serves both.

        So does what is too small for Ray's store: it lies here, and goes with every task that reads it.
        """
        slot = self._slot("send", worker)
        try:
            kept, reference = kept_object(ref)
            node = _place(slot)
        except (ReferenceLost, WorkerLost) as error:
            return failed(error)
        if kept.home in (node, ""):
            promise = Promise()
            promise.settle(self._refer(ref, worker, reference, node))
            return promise.future
        copy, said = copied(reference, node)
        self._count(ref, slot)
        return self._travel(ref, said, lambda _: self._refer(ref, worker, copy, node), copy)

    def release(self, ref: Ref) -> None:
        """Let go of a value, which Ray deletes with the last reference to it."""
        if isinstance(ref.handle, KeptObject):
            ref.handle.reference = None

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """A list of lists of ObjectRefs, the blocks of a matrix; their shapes are looked at where they lie."""
        self._slot("adopt", 0)
        nodes = [slot.node for slot in self._slots]
        return matrix_of(value, nodes, self._shelf.keep)

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References to the values of ObjectRefs, and to what was kept; None for all else."""
        self._slot("refer", 0)
        return referred(values, [slot.node for slot in self._slots], self._shelf.keep)

    def export(self, matrix: RemoteMatrix) -> list[list[Any]]:
        """A list of lists of ObjectRefs, which this process owns: they outlive the pool, and end with Ray here."""
        self._slot("export", 0)
        found: list[list[Any]] = matrix.blocks.tolist()
        for (i, j), ref in np.ndenumerate(matrix.blocks):
            shape = matrix.heights[i], matrix.widths[j]
            found[i][j] = zeros(shape, matrix.dtype) if ref is None else kept_object(ref)[1]
        return found

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that went from machine to machine for a worker that had not got them.

        What Ray fetches again after it let go of its own copy is not counted.
        """
        return dict(self._moved)

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
            numbers, references = numbered(arguments)
        except ReferenceLost as error:
            return failed(error)
        payload = pack_argument(call, "function and arguments", (function, numbers), BufferedPickle.of)
        future = self._give(slot, RayCall(payload, references, call == "keep"), keys)
        for ref in refs_in(arguments) if references else ():
            self._count(ref, slot)
        return future

    def _count(self, ref: Ref, slot: RaySlot) -> None:
        """Note that the machine of a worker gets a value, if it has not got it."""
        if ref.size > STORED and slot.node not in ref.handle.seen_at:
            ref.handle.seen_at.add(slot.node)
            self._moved[ref.worker, slot.index] += ref.size

    def _refer(self, ref: Ref, worker: int, reference: Any, node: str) -> Ref:
        return Ref(uuid.uuid4().hex, worker, ref.spec, self._shelf.keep(reference, node), ref.size)

    def _travel(self, ref: Ref, said: Any, read: Callable[[Any], Any], copy: Any = None) -> Future[Any]:
        """A future of what Ray answers with, once it is there."""
        promise = self._travels.begin()
        arrived = partial(_on_arrival, self._travels, promise, ref, read, copy)
        said.future().add_done_callback(partial(self._clerk.call, arrived))
        return promise.future


def _on_arrival(
    travels: Travels, promise: Promise, ref: Ref, read: Callable[[Any], Any], copy: Any, done: Future[Any]
) -> None:
    error = done.exception()
    if error is None:
        travels.take(promise, True, lambda: read(done.result()))
    else:
        hush(copy)
        travels.take(promise, False, lambda: lost(f"what {ref.key} refers to cannot be had", ref.worker, error))


def _place(slot: RaySlot) -> str:
    """The machine of a worker."""
    if (state := slot.state) is WorkerState.DEAD or not (node := slot.node):
        raise WorkerLost(f"worker {slot.index} is {state} and cannot be sent anything", slot.index)
    return node


def _own(value: Any) -> Any:
    """What Ray gives lies in its store, which is kept full by whoever looks at it."""
    return value.copy(order="K") if isinstance(value, np.ndarray) else BufferedPickle.of(value).open()
