"""The client's books on one worker process: what it runs, what it holds, what it must still be told."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..._base._pickles import Code
from ..._base._place import Place
from .._future import Promise, rebuild
from .._protocol import State
from ._connection import MOST_DESCRIPTORS, Connection
from ._familiar import AGAIN_SECONDS, SILENT_SECONDS, Familiar
from ._mmap import MappedBytes, map_shared
from ._shared_memory import Frame, SharedPickle, map_received, unpack
from ._worker import QUESTION, Order

_numbers: Iterator[int] = count(1)


@dataclass
class PlacedValue:
    """A value placed at a worker, kept for replay."""

    payload: SharedPickle
    id: int = field(default_factory=lambda: next(_numbers))


class LocalCall(Promise):
    """One call at one worker."""

    def __init__(self, payload: SharedPickle, residents: list[PlacedValue]) -> None:
        super().__init__()
        self.payload = payload
        self.residents = residents
        self.place = Place.here()
        self.number = next(_numbers)

    @property
    def code(self) -> Code:
        """Functions and classes that it takes."""
        return self.payload.code.union(*(resident.payload.code for resident in self.residents))

    def end(self, ok: bool, frames: list[Frame], mapped: dict[int, MappedBytes] | OSError) -> None:
        """End the future with what the worker sent, by the one who has the claim."""

        def load() -> Any:
            if isinstance(mapped, OSError):
                raise mapped
            return unpack(frames, mapped)

        rebuilt, value = rebuild(load)
        if ok and rebuilt:
            self.settle_claimed(value)
        else:
            self.fail_claimed(value.open() if rebuilt else value)


def map_results(arriving: list[tuple[int, int]], fds: list[int]) -> dict[int, MappedBytes] | OSError:
    """Map the segments of a result, or tell why that cannot be: it concerns this result alone."""
    try:
        return {
            identity: map_received(map_shared, fd, size) for (identity, size), fd in zip(arriving, fds, strict=True)
        }
    except OSError as error:
        return error


class WorkerSlot:
    """A place in the pool, served by one process after another."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state: State = "starting"
        self.residents: dict[Hashable, PlacedValue] = {}
        self.task: LocalCall | None = None
        self.failures = 0
        self.connection: Connection | None = None
        self.begin(0)

    def begin(self, process: int) -> None:
        """Start the books of a new process, which holds nothing yet."""
        self.process = process
        self.familiar = Familiar()
        self.pid: int | None = None
        self.started = False
        self.doomed = False
        self.sent = False
        self.deadline: float | None = None
        self.loading_until = 0.0
        self.asked = False
        self.place: Place | None = None
        self.segments: set[int] = set()
        self.held: set[int] = set()
        self.forget_segments: list[int] = []
        self.forget_residents: list[int] = []

    def set_deadline(self, seconds: float, loading: float = 0.0) -> bool:
        """Let the task run for so long, or until an earlier deadline, or longer while it loads; tell of a change."""
        now = time.monotonic()
        if now + seconds >= (math.inf if self.deadline is None else self.deadline):
            return False
        self.deadline, self.loading_until, self.asked = now + seconds, now + loading, False
        return True

    def ask(self) -> bool:
        """Ask a worker at its deadline whether it loads something; tell whether that is worth waiting for."""
        now = time.monotonic()
        if self.asked or self.pid is None or now >= self.loading_until:
            return False
        self.asked, self.deadline = True, now + SILENT_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, QUESTION)
        return True

    def answered(self, number: int, loads: bool) -> None:
        """Take what the worker says: ask again later, or be at the deadline."""
        if self.asked and self.task is not None and self.task.number == number:
            self.asked = not loads
            self.deadline = time.monotonic() + (AGAIN_SECONDS if loads else 0.0)

    def take_task(self) -> LocalCall | None:
        """Return the task in flight, if any, and be without one."""
        task, self.task = self.task, None
        self.sent, self.deadline = False, None
        return task

    def segment_gone(self, identity: int) -> None:
        """Note that the client freed a segment."""
        if identity in self.segments:
            self.segments.discard(identity)
            self.forget_segments.append(identity)

    def value_gone(self, resident: PlacedValue) -> None:
        """Note that a value was dropped or replaced."""
        if resident.id in self.held:
            self.held.discard(resident.id)
            self.forget_residents.append(resident.id)
            if resident.payload.fresh is not None:
                self.segment_gone(resident.payload.fresh.id)

    @property
    def has_pending(self) -> bool:
        """Whether the process holds something that it should forget."""
        return bool(self.forget_segments or self.forget_residents)

    def flush(self, patience: float) -> int:
        """Send the process its task, what it lacks for it and what it must forget; return the bytes sent."""
        task = self.task
        residents = task.residents if task else []
        lacking = [resident for resident in residents if resident.id not in self.held]
        sent = self._send_segments([r.payload for r in lacking], task.payload if task else None, patience)
        place = None if task is None or task.place == self.place else task.place
        order: Order = (
            self.forget_segments,
            self.forget_residents,
            [],
            [(resident.id, resident.payload.frames) for resident in lacking],
            place,
            (task.number, task.payload.frames, [resident.id for resident in residents]) if task else None,
        )
        sent += self._send(order, [], patience)
        self.held.update(resident.id for resident in lacking)
        self.forget_segments, self.forget_residents = [], []
        self.place = place or self.place
        return sent

    def _send_segments(self, kept: list[SharedPickle], own: SharedPickle | None, patience: float) -> int:
        """Send the descriptors that the process lacks; a task's own copies are mapped for that task only."""
        wanted = {segment.id: segment for payload in kept for segment in payload.segments}
        if own is not None:
            wanted.update((segment.id, segment) for segment in own.segments)
        once = own.fresh if own else None
        missing = [segment for segment in wanted.values() if segment.id not in self.segments]
        sent = 0
        for start in range(0, len(missing), MOST_DESCRIPTORS):
            part = missing[start : start + MOST_DESCRIPTORS]
            arriving = [(segment.id, segment.size, segment is not once) for segment in part]
            fds = [segment.fd for segment in part]
            sent += self._send(([], [], arriving, [], None, None), fds, patience)
        self.segments.update(segment.id for segment in missing if segment is not once)
        return sent

    def _send(self, order: Order, fds: list[int], patience: float) -> int:
        if self.connection is None:
            raise BrokenPipeError("the worker has no connection")
        return self.connection.send(order, fds, patience)
