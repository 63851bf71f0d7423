"""What a worker process does: take an order, run its task, send the result back, undo what the task wrote."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..._base._envelope import Envelope
from ..._base._importing import become_worker, is_loading, loading
from ..._base._place import Place
from ..._base._results import results_in
from .._future import pack_result
from ._connection import Connection
from ._mmap import MappedBytes, map_private, restore
from ._results import ResultMemory
from ._shared_memory import Frame, SharedPickle, map_received, pack, unpack

Order = tuple[
    list[int],  # segments to forget
    list[int],  # residents to forget
    list[tuple[int, int, bool]],  # segments that come with this order: id, size, whether to keep it after a task
    list[tuple[int, list[Frame]]],  # residents: id, payload
    Place | None,  # import path and working directory of the task, where they changed
    tuple[int, list[Frame], list[int]] | None,  # task: number, payload of (function, arguments), residents
    list[int],  # memory of results that the client has no use for any more
]

QUESTION = signal.SIGURG
"""Asks a worker whether it loads something; a process that has set no handler ignores it."""


class ResidentValue:
    """A value that stays at the worker, rebuilt once; `restore` undoes what a task wrote into its arrays."""

    def __init__(self, frames: Sequence[Frame], segments: dict[int, MappedBytes]) -> None:
        self._pristine = [frame for frame in frames[1:] if isinstance(frame, bytes)]
        self._shared = [(segments[frame[0]], *frame[1:]) for frame in frames if isinstance(frame, tuple)]
        copies = [bytearray(f) if isinstance(f, bytes) else f for f in frames[1:]]
        self._copies = [copy for copy in copies if isinstance(copy, bytearray)]
        self.value = unpack([frames[0], *copies], segments)

    def restore(self) -> None:
        """Make the arrays what they were when they were placed."""
        for copy, pristine in zip(self._copies, self._pristine, strict=True):
            copy[:] = pristine
        for mapping, start, size in self._shared:  # others may have values in the same memory
            restore(mapping, start, size)


class Worker:
    """The state of one worker process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.segments: dict[int, MappedBytes] = {}
        self.payloads: dict[int, list[Frame]] = {}
        self.residents: dict[int, ResidentValue] = {}
        self.once: list[int] = []
        self.results = ResultMemory()
        self.running = False
        self.number = 0
        self.pid = os.getpid()

    def serve(self) -> None:
        """Take orders until the client closes the other end of the connection."""
        become_worker()
        signal.signal(signal.SIGINT, self.on_interrupt)
        signal.signal(QUESTION, self.on_question)
        self.connection.send(("hello", self.pid))
        while True:
            order, fds = self.connection.wait()
            self.obey(order, fds)

    def obey(self, order: Order, fds: list[int]) -> None:
        """Do everything that one order says."""
        forget_segments, forget_residents, arriving, residents, place, task, returned = order
        self.results.come_back(returned)
        for identity in forget_residents:
            self.payloads.pop(identity, None)
            self.residents.pop(identity, None)
        for identity in forget_segments:
            self.segments.pop(identity, None)
        for (identity, size, keep), fd in zip(arriving, fds, strict=True):
            self.segments[identity] = map_received(map_private, fd, size)
            if not keep:
                self.once.append(identity)
        self.payloads.update(residents)
        if place is not None:
            place.enter()
        if task is not None:
            self.perform(*task)
            while self.once:
                del self.segments[self.once.pop()]

    def perform(self, number: int, frames: list[Frame], residents: list[int]) -> None:
        """Run one task, send its result, and undo its writes."""
        function: Any = None
        arguments: Any = ()
        value: Any = None
        self.number = number
        try:
            with loading():
                function, arguments = unpack(frames, self.segments)
                resident = [self.resident(identity).value for identity in residents]
            value = self.run(function, *resident, *arguments)
            payload, ok = pack_result(value, self.pack), True
        except BaseException as error:
            payload, ok = pack(Envelope(error)), False
        self.reply(number, ok, payload)
        reads_only = getattr(function, "reads_only", False)  # to look for what was written takes as long as to read it
        del function, arguments, value
        if not reads_only:
            self.clean(frames, residents)

    def pack(self, value: object) -> SharedPickle:
        """Pickle a result; what is large lies in memory that may have held one before."""
        return pack(value, self.results, self.results.new)

    def resident(self, identity: int) -> ResidentValue:
        """Return a resident value, rebuilt from its payload the first time."""
        if identity not in self.residents:
            self.residents[identity] = ResidentValue(self.payloads[identity], self.segments)
        return self.residents[identity]

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function`` with interrupts let through."""
        self.running = True
        try:
            with results_in(self.results.empty):
                return function(*arguments)
        finally:
            self.running = False

    def on_interrupt(self, *_: object) -> None:
        """Raise in the task; an interrupt that comes late, when no task runs, is ignored."""
        if self.running:
            raise KeyboardInterrupt("the task was stopped")

    def on_question(self, *_: object) -> None:
        """Tell whether the task loads something, in the midst of it."""
        if os.getpid() == self.pid and (self.running or is_loading()):
            self.connection.send(("loads", self.number, is_loading()))

    def reply(self, number: int, ok: bool, payload: SharedPickle) -> None:
        """Send a result; what the task printed comes first."""
        if os.getpid() != self.pid:
            os._exit(0)  # the task has forked, and this is its child, which nobody asked
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have closed it, or put something else in its place
                stream.flush()
        arriving, fds, gone = self.results.lend(payload.segments)
        self.connection.send(("reply", number, ok, payload.frames, arriving, gone), fds)

    def clean(self, frames: list[Frame], residents: list[int]) -> None:
        """Undo what the task wrote into memory that later tasks will see."""
        used = [frame for frame in frames if isinstance(frame, tuple) and frame[0] not in self.once]
        for identity in residents:
            if identity in self.residents:
                self.residents[identity].restore()
        for identity, start, size in used:
            restore(self.segments[identity], start, size)
