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
from typing import Any, NamedTuple

from ..._base._envelope import Envelope
from ..._base._importing import become_worker, loading
from ..._base._results import results_in
from .._cancellation import running_with
from .._future import pack_result
from .._loading import load
from .._pickling import Buffer, BufferedPickle
from .._references import with_values
from ..local._shared_memory import SegmentStore
from ._held import HeldValue
from ._message import Message, memory_in
from ._pace import Pace
from ._post import Post
from ._shelf import CLIENT, Shelf, spec_of

LISTENING = 0.001
"""Seconds between looks at messages while a task runs."""

LINGERING = 0.05
"""Seconds for which the listener stays awake after a task, as the next one may follow at once."""

END_SECONDS = 1.0
"""How long a task may run on after the program of the client has ended."""


class Order(NamedTuple):
    """A task, as the client sends it.

    Attributes
    ----------
    number : int
    stream : bytes
        Of the pickled function and arguments, whose buffers follow.
    residents : sequence of int
        Values that come before the arguments.
    needs : dict of int
        Values that stand for references among the arguments, by the keys of those.
    borrowed : sequence of int
        Those of them that are here for this task alone.
    keep : int
        What its result is held as; 0 where it is sent.
    """

    number: int
    stream: bytes
    residents: Sequence[int]
    needs: dict[str, int]
    borrowed: Sequence[int]
    keep: int


class ServingRank:
    """The state of one rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Of kofn's own.
    """

    def __init__(self, comm: Any) -> None:
        self.store = SegmentStore(lambda: None)
        self.post = Post(comm, [CLIENT], memory_in(self.store))
        self.shelf = Shelf(self.post, self.store)
        self.tasks: deque[Message] = deque()
        self.number, self.token = 0, threading.Event()
        self.stopped = 0, False
        self.running = self.ending = False
        self.ended_at = self.busy_at = 0.0
        self.awake, self.turn = threading.Event(), threading.RLock()
        self.pid, self.thread = os.getpid(), threading.get_ident()

    def serve(self) -> None:
        """Do what the client says, until its program ends."""
        load()
        become_worker()
        signal.signal(signal.SIGINT, self.on_interrupt)
        threading.Thread(target=self.listen, name="kofn-mpi", daemon=True).start()
        self.post.send(CLIENT, ("hello", self.pid, gethostname(), version("kofn")))
        while (message := self.next_task()) is not None:
            self.perform(Order(*message.head[1:]), message.buffers)
            del message  # nothing of a task stays alive while this waits for the next
        self.leave()

    def leave(self) -> None:
        """Say that nothing more will come from here."""
        parcel = self.post.send(CLIENT, ("bye",))
        self.look_while(lambda: parcel.left > 0)

    # -- what comes -----------------------------------------------------------------------------------

    def next_task(self) -> Message | None:
        """Wait for a task; None once the client's program has ended."""
        self.look_while(lambda: not self.tasks and not self.ending)
        return self.tasks.popleft() if self.tasks else None

    def look_while(self, condition: Callable[[], bool]) -> None:
        """Take what comes until the condition does not hold any more."""
        pace = Pace()
        while condition():
            self.look(pace)

    def look(self, pace: Pace) -> None:
        """Take what has come; rest if nothing has moved."""
        steps = self.post.steps
        with self.turn:  # both threads may look, and what is said is done in that order
            for message in self.post.look():
                self.take(message)
        if self.post.steps == steps:
            pace.rest(self.post.is_moving)
        else:
            pace.restart()

    def take(self, message: Message) -> None:
        """Do what is said, or remember what the main thread has to do."""
        kind, *rest = message.head or ("lost",)
        if kind == "task":
            self.tasks.append(message)
        elif kind == "stop":
            self.stop(*rest)
        elif kind == "end":
            self.ending, self.ended_at = True, time.monotonic()
            self.stop(self.number, interrupt=True)
        elif kind == "lost":
            if message.source == CLIENT:  # and nobody will say any more
                os._exit(1)
            self.shelf.lose(message.source)
        else:
            self.shelf.obey(message)

    def stop(self, number: int, interrupt: bool) -> None:
        """Nobody waits for a task any more; raise KeyboardInterrupt in it, if that is asked for."""
        self.stopped = number, interrupt  # which may not have begun
        if self.running and self.number == number:
            self.token.set()
            if interrupt:
                signal.pthread_kill(self.thread, signal.SIGINT)

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

    def perform(self, order: Order, buffers: Sequence[Buffer]) -> None:
        """Run one task, send or keep its result, and undo its writes."""
        self.number, self.token = order.number, threading.Event()
        used = self.values_of(order)
        if used is None:
            self.post.send(CLIENT, ("answer", order.number, None))
        else:
            residents, needs = used
            reads_only = self.run_order(order, buffers, residents, needs)
            if not reads_only:  # to look for what was written takes as long as to read it
                for held in (*residents, *needs.values()):
                    held.restore()
        self.shelf.forget(order.borrowed)

    def values_of(self, order: Order) -> tuple[list[HeldValue], dict[str, HeldValue]] | None:
        """The values that a task needs, once they are there; None where some will never be."""
        awaited, held = self.shelf.awaited, self.shelf.held
        if order.borrowed:
            here = order.borrowed
            self.look_while(lambda: any(one in awaited for one in here) and not self.ending and not self.is_stopped)
        try:
            needs = {key: held[identity] for key, identity in order.needs.items()}
            return [held[identity] for identity in order.residents], needs
        except KeyError:
            return None

    @property
    def is_stopped(self) -> bool:
        """Whether nobody waits for the task."""
        return self.stopped[0] == self.number

    def run_order(
        self, order: Order, buffers: Sequence[Buffer], residents: Sequence[HeldValue], needs: dict[str, HeldValue]
    ) -> bool:
        """Run a task and answer; tell whether it has only read what it was given."""
        function: Any = None
        try:
            with loading():
                function, arguments = BufferedPickle(order.stream, buffers).open()
                values = [held.value for held in residents]
                if needs:
                    arguments = with_values(arguments, lambda ref: needs[ref.key].for_task())
            value = self.run(function, *values, *arguments)
            payload, spec = pack_result(value, BufferedPickle.of), spec_of(value)
        except BaseException as error:
            self.reply(("answer", order.number, False, pickle.dumps(Envelope(error))), [])
        else:
            self.give(order, payload, spec)
        return bool(getattr(function, "reads_only", False))

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function`` with interrupts let through, and somebody listening."""
        self.running = True
        try:
            if not self.awake.is_set():
                self.awake.set()
            with running_with(self.token), results_in(self.store.empty):
                if self.is_stopped:
                    self.stop(*self.stopped)
                return function(*arguments)
        finally:
            self.running = False
            self.busy_at = time.monotonic()

    def give(self, order: Order, payload: BufferedPickle, spec: Any) -> None:
        """Keep a result, or send it."""
        stream, buffers = payload.plain()
        if order.keep:
            self.shelf.put(order.keep, stream, buffers)
            self.reply(("answer", order.number, True, spec, payload.size), [])
        elif self.is_stopped:  # nobody wants it
            self.reply(("answer", order.number, True, b""), [])
        else:
            self.reply(("answer", order.number, True, stream), buffers)

    def reply(self, head: tuple[Any, ...], buffers: Sequence[Buffer]) -> None:
        """Answer, and wait until it is gone, as the next task may write where it lies; what was printed comes first."""
        if os.getpid() != self.pid:
            os._exit(0)  # the task has forked, and this is its child, which nobody asked
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # a task may have closed it, or put something else in its place
                file.flush()
        parcel = self.post.send(CLIENT, head, buffers)
        self.look_while(lambda: parcel.left > 0)
