"""The side of a Dask pool that keeps values at workers and hands out references to them."""

from __future__ import annotations

import asyncio
from abc import ABC
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...errors import PoolClosed, WorkerLost
from .._engine import CLOSED
from .._future import Promise
from .._pickling import BufferedPickle
from .._references import Ref, RemoteMatrix, refs_in, with_values
from .._slots import SlotPool
from .._validation import check_task, pack_argument
from ._arrays import adopted, exported, is_array
from ._call import Call
from ._cluster import unreachable
from ._hold import Hold
from ._room import rooms
from ._slot import DaskSlot, DaskSlots
from ._values import referred


class Journey(Promise):
    """A value on its way, which whoever waits for it may give up."""

    task: asyncio.Task[Any] | None = None


class DaskReferences(SlotPool[DaskSlot], ABC):
    """Base of a Dask pool: what it does with values that lie at its workers.

    Parameters
    ----------
    slots : DaskSlots
    """

    def __init__(self, slots: DaskSlots) -> None:
        super().__init__(slots.all)
        self._travel = slots.travel
        self._loop = slots.travel.client.loop.asyncio_loop

    def keep(
        self, worker: int, function: Callable[..., Any], *arguments: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[Ref]:
        """Like `submit`, and what the function returns stays at the worker."""
        slot = self._slot("keep", worker)
        check_task(function, keys)
        return self._give(slot, self._pack_call(function, arguments, is_kept=True), keys)

    def fetch(self, ref: Ref) -> Future[Any]:
        """Bring a value here; its worker may be busy."""
        self._require_reachable("fetch")
        return self._begin(lambda: self._travel.fetch(hold_of(ref)), _writable)

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        """Copy a value to another worker, from worker to worker; both may be busy.

        What comes from a worker that has stopped never arrives. It holds up nothing else, and can be cancelled.
        """
        slot = self._slot("send", worker)

        async def copy() -> Hold:
            if (address := slot.address) is None:
                raise WorkerLost(f"worker {worker} is {slot.state} and can be sent nothing", worker)
            return await self._travel.copy(hold_of(ref), address)

        return self._begin(copy, lambda held: replace(ref, key=held.key, worker=worker, handle=held))

    def ping(self, worker: int) -> Future[None]:
        """Ask a worker whether it is there; it answers beside what it computes, or never, if it has stopped."""
        slot = self._slot("ping", worker)
        if (address := slot.address) is None:
            raise WorkerLost(f"worker {worker} is {slot.state} and cannot be asked", worker)
        return self._begin(lambda: self._travel.ping(address), lambda answer: answer)

    def room(self) -> list[tuple[float, float, float]]:
        """Bytes that each worker keeps in memory before it spills, those that it held a moment ago, and its limit."""
        self._require_reachable("room")
        client, addresses = self._travel.client, [slot.address for slot in self._slots]
        found: list[tuple[float, float, float]] = client.sync(self._travel.watched, lambda: rooms(client, addresses))
        return found

    def release(self, ref: Ref) -> None:
        """Let go of a value; an adopted one stays as long as its array lives."""
        if isinstance(ref.handle, Hold):
            ref.handle.release()

    def adopt(self, value: Any) -> RemoteMatrix | None:
        """The chunks of a dask.array where they lie; None for all else."""
        self._require_reachable("adopt")
        return adopted(value, self._travel.client, self._travel) if is_array(value) else None

    def refer(self, values: Sequence[Any]) -> list[Ref | None]:
        """References to futures, to delayed objects, which are computed, and to what was kept; None for all else."""
        self._require_reachable("refer")
        return referred(values, self._travel.client, self._travel)

    def export(self, matrix: RemoteMatrix) -> Any:
        """The matrix as a dask.array of futures: it lives as long as its client, whatever becomes of the pool."""
        self._require_reachable("export")
        return exported(matrix, np.vectorize(lambda ref: ref and hold_of(ref), otypes=[object])(matrix.blocks))

    def moved(self) -> dict[tuple[int, int], int]:
        """Bytes that travelled from worker to worker so far, as the workers counted them."""
        found: Counter[tuple[int, int]] = Counter()
        for (source, target), size in list(self._travel.moved.items()):
            found[self._travel.index[source], self._travel.index[target]] += size
        return dict(found)

    def _pack_call(self, function: Callable[..., Any], arguments: tuple[Any, ...], is_kept: bool = False) -> Call:
        pack = partial(BufferedPickle.of, copy=True)
        name = getattr(function, "__name__", "task").strip("<>")
        holds = {ref.key: hold_of(ref) for ref in refs_in(arguments)}
        if holds:
            arguments = with_values(arguments, lambda ref: Ref(ref.key, ref.worker, ref.spec))  # a handle stays here
        call = "keep" if is_kept else "submit"
        return Call(name, pack_argument(call, "function and arguments", (function, arguments), pack), holds, is_kept)

    def _require_reachable(self, call: str) -> None:
        self.require_open(call)
        if not self._travel.cluster.is_reachable:
            raise PoolClosed(f"{call}: {unreachable(self._travel.cluster)}")

    def _slot(self, call: str, worker: int) -> DaskSlot:
        slot = super()._slot(call, worker)
        self._require_reachable(call)
        return slot

    def _begin(self, work: Callable[[], Coroutine[Any, Any, Any]], change: Callable[[Any], Any]) -> Future[Any]:
        """Start a journey on the client's event loop."""
        journey = Journey()
        try:
            self._loop.call_soon_threadsafe(self._set_out, journey, work, change)
        except RuntimeError as error:  # the client was closed, and its loop with it
            raise PoolClosed(CLOSED) from error
        journey.when_cancelled(lambda mine: self._loop.call_soon_threadsafe(_call_back, mine))
        return journey.future

    def _set_out(
        self, journey: Journey, work: Callable[[], Coroutine[Any, Any, Any]], change: Callable[[Any], Any]
    ) -> None:
        if not journey.is_claimed:
            journey.task = self._travel.start(work)
            journey.task.add_done_callback(lambda done: _arrive(journey, done, change))


def hold_of(ref: Ref) -> Hold:
    """The handle of a reference; one of another engine refers to nothing here."""
    return ref.handle if isinstance(ref.handle, Hold) else Hold(ref.key, None, "")


def _writable(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) and not value.flags.writeable else value


def _call_back(journey: Journey) -> None:
    if journey.task is not None:
        journey.task.cancel()


def _arrive(journey: Journey, done: asyncio.Task[Any], change: Callable[[Any], Any]) -> None:
    if done.cancelled():
        journey.fail(PoolClosed(CLOSED))
    elif (error := done.exception()) is not None:
        journey.fail(error)
    else:
        journey.take(True, lambda: change(done.result()))
