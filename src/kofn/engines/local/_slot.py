"""The client's books on one place in the pool: where it stands, what its process holds and must still be told."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Hashable
from typing import TypeAlias

from ..._base._pickles import Code
from ..._base._place import Place
from .._protocol import Stop, WorkerState
from .._slots import PoolSlot
from ._call import LocalCall, PlacedValue
from ._connection import MOST_DESCRIPTORS, Connection
from ._results import MappedResults
from ._shared_memory import Segment, SegmentStore, SharedPickle
from ._states import Slot
from ._worker import Order

Submit: TypeAlias = "Callable[[WorkerSlot, LocalCall], object]"
StopCall: TypeAlias = "Callable[[WorkerSlot, LocalCall, Stop], Stop]"


class WorkerSlot(PoolSlot):
    """A place in the pool, served by one process after another."""

    takes = (WorkerState.IDLE, WorkerState.STARTING)

    def __init__(
        self, index: int, lock: threading.RLock, submit: Submit, stop_call: StopCall, store: SegmentStore
    ) -> None:
        super().__init__(index)
        self.lock = lock
        self._submit = submit
        self._stop_call = stop_call
        self._store = store
        self.now = Slot()
        self.connection: Connection | None = None
        self.begin()

    def begin(self) -> None:
        """Start the books of a new process, which holds nothing yet."""
        self.code: set[tuple[str, Hashable]] = set()  # it has run that once, so it is loaded there
        self.pid: int | None = None
        self.place: Place | None = None
        self.segments: set[int] = set()
        self.held: set[int] = set()
        self.forget_segments: list[int] = []
        self.forget_residents: list[int] = []
        self.in_use: list[Segment] = []
        self.results = MappedResults(self._store)

    def knows(self, code: Code, modules: frozenset[str]) -> bool:
        """Whether none of it is new to the process, which began with these modules."""
        return all(module in modules or (module, name) in self.code for module, name in code)

    @property
    def must_forget(self) -> bool:
        """Whether there is anything that the process has not been told to forget."""
        return bool(self.forget_segments or self.forget_residents)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal, if it is there."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def segment_gone(self, identity: int) -> None:
        """Note that the client freed a segment."""
        if identity in self.segments:
            self.segments.discard(identity)
            self.forget_segments.append(identity)

    @property
    def state(self) -> WorkerState:
        """What the worker does."""
        return self.now.seen

    def start(self, call: SharedPickle, values: list[PlacedValue]) -> LocalCall:
        """Have the process run a call, now or when it is ready."""
        task = LocalCall(call, values)
        self._submit(self, task)
        return task

    def stop(self, task: LocalCall, how: Stop = Stop.ABANDON) -> Stop:
        """Stop a call; one that is abandoned may run on for a while."""
        return self._stop_call(self, task, how)

    def put(self, key: Hashable, value: object) -> None:
        """Make a `PlacedValue` resident, in place of what is there."""
        self.drop(key)
        super().put(key, value)

    def drop(self, key: Hashable) -> None:
        """Forget ``key``, here and in the process."""
        resident: PlacedValue | None = self.residents.pop(key, None)
        if resident is not None and resident.id in self.held:
            self.held.discard(resident.id)
            self.forget_residents.append(resident.id)
            if resident.payload.fresh is not None:
                self.segment_gone(resident.payload.fresh.id)

    def flush(self, call: LocalCall | None, patience: float) -> int:
        """Send the process a call, what it lacks for it and what it must forget; return the bytes sent."""
        lacking: list[PlacedValue] = []
        sent, place, task = 0, None, None
        if call is not None:
            lacking = [resident for resident in call.residents if resident.id not in self.held]
            payloads = [*(resident.payload for resident in lacking), call.payload]
            sent = self._send_segments(payloads, call.payload.fresh, patience)
            place = None if call.place == self.place else call.place
            task = call.number, call.payload.frames, [resident.id for resident in call.residents]
        arriving = [(resident.id, resident.payload.frames) for resident in lacking]
        back = self.results.returned
        returned = [back.popleft() for _ in range(len(back))]
        order: Order = (self.forget_segments, self.forget_residents, [], arriving, place, task, returned)
        sent += self._send(order, [], patience)
        self.held.update(resident.id for resident in lacking)
        self.forget_segments, self.forget_residents = [], []
        self.place = place or self.place
        return sent

    def _send_segments(self, payloads: list[SharedPickle], once: Segment | None, patience: float) -> int:
        """Send the descriptors that the process lacks; a call's own copies are mapped ``once``, for that call."""
        segments = {segment.id: segment for payload in payloads for segment in payload.segments}
        missing = [segment for segment in segments.values() if segment.id not in self.segments]
        sent = 0
        for start in range(0, len(missing), MOST_DESCRIPTORS):
            part = missing[start : start + MOST_DESCRIPTORS]
            arriving = [(segment.id, segment.size, segment is not once) for segment in part]
            fds = [segment.fd for segment in part]
            sent += self._send(([], [], arriving, [], None, None, []), fds, patience)
        self.segments.update(segment.id for segment in missing if segment is not once)
        return sent

    def _send(self, order: Order, fds: list[int], patience: float) -> int:
        if self.connection is None:
            raise BrokenPipeError("the worker has no connection")
        return self.connection.send(order, fds, patience)
