"""A rank that serves: its main thread runs one task after the other, and another one listens meanwhile."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib.metadata import version
from socket import gethostname
from typing import Any

from ..._base._envelope import Envelope
from ..._base._importing import become_worker, loading
from ..._base._results import results_in
from .._cancellation import running_with
from .._future import pack_result
from .._loading import load
from .._pickling import BufferedPickle
from ..local._shared_memory import SegmentStore
from ._held import HeldValue, segment_room
from ._pace import Pace
from ._post import Message, Post, Room, room_in

CLIENT = 0
"""The rank whose program goes on."""

LISTENING = 0.001
"""Seconds between looks at messages while a task runs."""

LINGERING = 0.05
"""Seconds for which the listener stays awake after a task, as the next one may follow at once."""

END_SECONDS = 1.0
"""How long a task may run on after the program of the client has ended."""


class ServingRank:
    """The state of one rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Of kofn's own.
    """

    def __init__(self, comm: Any) -> None:
        self.store = SegmentStore(lambda: None)
        self.room = room_in(self.store)
        self.post = Post(comm, [CLIENT], self.allocate)
        self.tasks: deque[Message] = deque()
        self.held: dict[int, HeldValue] = {}
        self.number, self.token = 0, threading.Event()
        self.stopped = 0, False
        self.running = self.ending = False
        self.ended_at = 0.0
        self.busy_at = 0.0
        self.awake = threading.Event()
        self.pid, self.thread = os.getpid(), threading.get_ident()
        self.orders: dict[str, Callable[..., None]] = {"forget": self.forget, "stop": self.stop, "end": self.end}

    def serve(self) -> None:
        """Do what the client says, until its program ends."""
        load()
        become_worker()
        signal.signal(signal.SIGINT, self.on_interrupt)
        threading.Thread(target=self.listen, name="kofn-mpi", daemon=True).start()
        self.post.send(CLIENT, ("hello", self.pid, gethostname(), version("kofn")))
        while (order := self.next_task()) is not None:
            _, number, stream, held = order.head
            self.perform(number, stream, held, order.buffers)
            del order, stream  # nothing of a task stays alive while this waits for the next
        self.leave()

    def leave(self) -> None:
        """Say that nothing more will come from here."""
        self.post.send(CLIENT, ("bye",))
        self.flush()

    def allocate(self, head: tuple[Any, ...], lengths: Sequence[int]) -> Room:
        """Memory for what comes: what stays lies in a segment of its own."""
        return segment_room(lengths) if head[0] == "put" else self.room(head, lengths)

    # -- what comes -----------------------------------------------------------------------------------

    def next_task(self) -> Message | None:
        """Wait for a task; None once the client's program has ended."""
        pace = Pace()
        while not self.tasks:
            if self.ending:
                return None
            self.look(pace)
        return self.tasks.popleft()

    def look(self, pace: Pace) -> None:
        """Take what has come; rest if nothing has moved."""
        steps = self.post.steps
        for message in self.post.look():
            self.take(message)
        if self.post.steps == steps:
            pace.rest(self.post.is_moving)
        else:
            pace.restart()

    def take(self, message: Message) -> None:
        """Do what is said, or remember what the main thread has to do."""
        if not message.head:  # the client is gone, and nobody will say any more
            os._exit(1)
        kind, *rest = message.head
        if kind == "task":
            self.tasks.append(message)
        elif kind == "put":
            identity, stream = rest
            self.held[identity] = HeldValue(stream, message.buffers, message.owner)
        else:
            self.orders[kind](*rest)

    def forget(self, identities: Sequence[int]) -> None:
        """Hold some values no longer."""
        for identity in identities:
            self.held.pop(identity, None)

    def stop(self, number: int, interrupt: bool) -> None:
        """Nobody waits for a task any more; raise KeyboardInterrupt in it, if that is asked for."""
        self.stopped = number, interrupt  # which may not have begun
        if self.running and self.number == number:
            self.token.set()
            if interrupt:
                signal.pthread_kill(self.thread, signal.SIGINT)

    def end(self) -> None:
        """The client's program has ended."""
        self.ending, self.ended_at = True, time.monotonic()
        self.stop(self.number, interrupt=True)

    # -- while a task runs ----------------------------------------------------------------------------

    def listen(self) -> None:
        """Look for messages while the main thread runs a task."""
        while True:
            self.awake.wait()
            pace = Pace()
            while self.running or time.monotonic() < self.busy_at + LINGERING:
                time.sleep(0.0 if self.post.is_moving else LISTENING)
                if self.running:
                    self.look(pace)
                    if self.ending and time.monotonic() > self.ended_at + END_SECONDS:
                        self.give_up()
            self.awake.clear()
            if self.running:
                self.awake.set()

    def give_up(self) -> None:
        """End this process though its task does not end."""
        from mpi4py import MPI

        self.leave()
        MPI.Finalize()
        os._exit(0)

    def on_interrupt(self, *_: object) -> None:
        """Raise in the task; an interrupt that comes late, when no task runs, is ignored."""
        if self.running:
            raise KeyboardInterrupt("the task was stopped")

    # -- a task ---------------------------------------------------------------------------------------

    def perform(self, number: int, stream: bytes, order: Sequence[int], buffers: Any) -> None:
        """Run one task, send its result, and undo its writes."""
        function: Any = None
        arguments: Any = ()
        value: Any = None
        self.number, self.token = number, threading.Event()
        try:
            with loading():
                function, arguments = BufferedPickle(stream, buffers).open()
                values = [self.held[identity].value for identity in order]
            value = self.run(function, *values, *arguments)
            payload, ok = pack_result(value, BufferedPickle.of), True
        except BaseException as error:
            payload, ok = BufferedPickle(pickle.dumps(Envelope(error)), []), False
        self.reply(number, ok, payload)
        reads_only = getattr(function, "reads_only", False)
        del function, arguments, value, payload
        if not reads_only:  # to look for what was written takes as long as to read it
            for identity in order:
                if identity in self.held:
                    self.held[identity].restore()

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function`` with interrupts let through, and somebody listening."""
        self.running = True
        try:
            if not self.awake.is_set():
                self.awake.set()
            with running_with(self.token), results_in(self.store.empty):
                if self.stopped[0] == self.number:
                    self.stop(*self.stopped)
                return function(*arguments)
        finally:
            self.running = False
            self.busy_at = time.monotonic()

    def reply(self, number: int, ok: bool, payload: BufferedPickle) -> None:
        """Send a result; what the task printed comes first."""
        if os.getpid() != self.pid:
            os._exit(0)  # the task has forked, and this is its child, which nobody asked
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have closed it, or put something else in its place
                file.flush()
        if self.token.is_set():  # nobody wants it
            payload = BufferedPickle(b"", [])
        stream, buffers = payload.plain()
        self.post.send(CLIENT, ("done", number, ok, stream), buffers)
        self.flush()

    def flush(self) -> None:
        """Wait until all is sent; the next task may write where a result lies."""
        pace = Pace()
        while self.post.is_sending:
            self.look(pace)
