"""The client's end of a program of MPI: one thread takes what all ranks say."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..._base._closeable import Home
from ...errors import WorkerError, WorkerLost
from .._pickling import Buffer
from .._protocol import WorkerState
from ..local._shared_memory import SegmentStore
from ._desk import Desk, Take
from ._message import Message, memory_in
from ._pace import Pace
from ._post import Post
from ._shelf import CLIENT

IDLE_SECONDS = 0.2
"""Between looks at MPI while nothing is expected of it."""

END_SECONDS = 5.0
"""How long ranks have to end when the program does, before they are made to."""

SURVIVES = os.environ.get("OMPI_MCA_mpi_ft_enable", "0") not in ("", "0", "false")  # noqa: SIM112
"""Whether this MPI goes on without a rank that has died: ``mpirun --with-ft ulfm`` says so to every rank."""


class Session:
    """What the client shares between its pools.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Of kofn's own.
    """

    def __init__(self, comm: Any) -> None:
        self.home = Home()
        self._comm = comm
        self.desks = {rank: Desk(rank) for rank in range(comm.Get_size()) if rank != CLIENT}
        self.store = SegmentStore(lambda: None)
        self.post = Post(comm, self.desks, memory_in(self.store))
        self.numbers = itertools.count(1)
        self.garbage: deque[tuple[Desk, int]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pace = Pace(self._wait)
        self._is_over = False
        self._thread = threading.Thread(target=self._watch, name="kofn-mpi", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def claim(self, desk: Desk) -> int:
        """Have an idle rank be busy with a task to come; return the task's number."""
        with self._lock:
            if (state := desk.state) is not WorkerState.IDLE:
                text = f"rank {desk.rank} is {state}" + " with a task of another pool" * (state is WorkerState.BUSY)
                raise (WorkerLost if state is WorkerState.DEAD else WorkerError)(text, desk.rank)
            desk.number = next(self.numbers)
            return desk.number

    def ask(self, desk: Desk, number: int, take: Take, head: tuple[Any, ...], buffers: Sequence[Buffer] = ()) -> None:
        """Send what will be answered under a number; nobody but ``take`` hears of a rank that is gone."""
        desk.tickets[number] = take
        self.tell(desk, head, buffers)
        if desk.why and (take_now := desk.tickets.pop(number, None)) is not None:  # it was lost meanwhile
            take_now(None, ())

    def tell(self, desk: Desk, head: tuple[Any, ...], buffers: Sequence[Buffer] = ()) -> None:
        """Send what nobody answers; a rank that is gone hears nothing."""
        self.post.send(desk.rank, head, buffers)
        self._pace.restart()
        self._wake.set()

    def ship(self, identity: int, source: Desk, target: Desk, copy: int, take: Take) -> None:
        """Copy a value from rank to rank, under a number of its own."""
        if source is target:
            self.ask(target, copy, take, ("copy", identity, copy))
        else:
            self.ask(target, copy, take, ("await", copy, source.rank))
            self.tell(source, ("ship", identity, target.rank, copy))

    def sweep(self) -> None:
        """Have ranks forget what nobody refers to any more."""
        with contextlib.suppress(IndexError):  # nothing is left, or another thread was faster
            while True:
                desk, identity = self.garbage.popleft()
                self.tell(desk, ("forget", [identity]))

    def end(self) -> None:
        """Let all ranks end, and make those end that do not, so that the program can."""
        if not self.home.is_here or self._is_over:
            return
        for desk in self.desks.values():
            self.tell(desk, ("end",))
        missing = self._await_ends()
        if missing and SURVIVES:
            for desk in missing:
                desk.kill()
            missing = self._await_ends()
        self._is_over = True
        self._wake.set()
        self._thread.join()
        if missing:
            ranks = [desk.rank for desk in missing]
            logging.getLogger("kofn").warning("ranks %s of MPI did not end; MPI ends them, and all others", ranks)
            self._comm.Abort(0)

    def _await_ends(self) -> list[Desk]:
        """Wait for all ranks to end; return those that have not."""
        until = time.monotonic() + END_SECONDS
        while missing := [desk for desk in self.desks.values() if not (desk.why or desk.has_left)]:
            if time.monotonic() > until:
                break
            time.sleep(0.001)
        return missing

    # -- the thread -----------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._is_over:
            steps = self.post.steps
            _guarded(self._look)
            if self.post.steps != steps:
                self._pace.restart()
            elif self.post.is_moving or any(desk.tickets or desk.process is None for desk in self.desks.values()):
                self._pace.rest(self.post.is_moving)
            else:
                self._wait(IDLE_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _look(self) -> None:
        for message in self.post.look():
            _guarded(self._take, message)
        self.sweep()

    def _take(self, message: Message) -> None:
        desk = self.desks[message.source]
        kind, *rest = message.head or ("lost",)
        if kind == "answer":
            desk.answer(rest[0], tuple(rest[1:]), message.buffers)
        elif kind == "hello":
            desk.greet(*rest)
        elif kind == "bye":
            desk.has_left = True
        else:
            desk.lose()


def _guarded(function: Callable[..., object], *arguments: Any) -> None:
    try:
        function(*arguments)
    except Exception:
        logging.getLogger("kofn").exception("what was to be done for a rank of MPI has failed")
