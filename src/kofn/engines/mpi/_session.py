"""The ranks of this program: at all but one of them it serves until the program of that one ends."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from socket import gethostname
from typing import Any

from ..._base._closeable import Home
from ...checks import refusal
from ...errors import KofnError, WorkerError, require
from .._pickling import Buffer
from .._protocol import WorkerState
from ..local._shared_memory import SegmentStore
from ._pace import Pace
from ._post import Message, Post, room_in
from ._rank import CLIENT, ServingRank

IDLE_SECONDS = 0.2
"""Between looks at MPI while nothing is expected of it."""

END_SECONDS = 5.0
"""How long ranks have to end when the program does, before MPI is told to end them."""

SURVIVES = os.environ.get("OMPI_MCA_mpi_ft_enable", "0") not in ("", "0", "false")  # noqa: SIM112
"""Whether this MPI goes on without a rank that has died: ``mpirun --with-ft ulfm`` says so to every rank."""

Answer = Callable[[bool, bytes, "list[Buffer]"], object]
"""Takes whether a task came to its end, and what it sent."""


class Desk:
    """What the client knows of a rank, whichever pools use it.

    Parameters
    ----------
    rank : int
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.process: int | None = None
        self.host = ""
        self.why = ""
        self.number = 0
        self.answer: Answer | None = None
        self.lose: Callable[[], object] | None = None

    def kill(self) -> None:
        """End its process, if that is on this machine."""
        if self.process is not None and self.host == gethostname():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)

    @property
    def state(self) -> WorkerState:
        """What the rank does."""
        if self.why:
            return WorkerState.DEAD
        if self.process is None:
            return WorkerState.STARTING
        return WorkerState.IDLE if self.answer is None else WorkerState.BUSY


class Session:
    """The client's end: one thread takes what all ranks say.

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
        self.post = Post(comm, self.desks, room_in(self.store))
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pace = Pace(self._wait)
        self._left: set[int] = set()
        self._is_over = False
        self._thread = threading.Thread(target=self._watch, name="kofn-mpi", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def give(self, desk: Desk, head: tuple[Any, ...], buffers: list[Buffer], answer: Answer, lose: Any) -> int:
        """Have an idle rank run a task; return the number that it can be stopped by."""
        with self._lock:
            if desk.state is not WorkerState.IDLE:
                raise WorkerError(f"rank {desk.rank} is {desk.state} with a task of another pool", desk.rank)
            desk.number, desk.answer, desk.lose = next(self._numbers), answer, lose
        self.tell(desk, ("task", desk.number, *head), buffers)
        return desk.number

    def tell(self, desk: Desk, head: tuple[Any, ...], buffers: list[Buffer] | None = None) -> None:
        """Send something to a rank; one that is lost hears nothing."""
        self.post.send(desk.rank, head, buffers or [])
        self._pace.restart()
        self._wake.set()

    def end(self) -> None:
        """Let all ranks end, and make MPI end those that do not, so that the program can."""
        if not self.home.is_here or self._is_over:
            return
        for desk in self.desks.values():
            self.tell(desk, ("end",))
        missing = self._await_ends(END_SECONDS)
        if missing and SURVIVES:
            for rank in missing:
                self.desks[rank].kill()
            missing = self._await_ends(END_SECONDS)
        self._is_over = True
        self._wake.set()
        self._thread.join()
        if missing:
            logging.getLogger("kofn").warning("ranks %s of MPI did not end; MPI ends them, and all others", missing)
            self._comm.Abort(0)

    def _await_ends(self, seconds: float) -> list[int]:
        """Wait for all ranks to end; return those that have not."""
        until = time.monotonic() + seconds
        while (missing := self._missing()) and time.monotonic() < until:
            time.sleep(0.001)
        return missing

    def _missing(self) -> list[int]:
        return [rank for rank, desk in self.desks.items() if not desk.why and rank not in self._left]

    # -- the thread -----------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._is_over:
            steps = self.post.steps
            for message in self.post.look():
                _guarded(self._take, message)
                del message  # nothing of a task stays alive in a thread that waits for the next
            if self.post.steps != steps:
                self._pace.restart()
            elif self._is_expecting():
                self._pace.rest(self.post.is_moving)
            else:
                self._wait(IDLE_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _is_expecting(self) -> bool:
        return self.post.is_moving or any(desk.answer or desk.process is None for desk in self.desks.values())

    def _take(self, message: Message) -> None:
        desk = self.desks[message.source]
        if not message.head:
            desk.why, lose = "its rank of MPI has ended", desk.lose
            desk.answer = desk.lose = None
            if lose is not None:
                lose()
            return
        kind, *rest = message.head
        if kind == "hello":
            desk.process, desk.host, theirs = rest
            if theirs != (ours := version("kofn")):
                desk.why = f"it has kofn {theirs}, and this process {ours}; install one version on all machines"
        elif kind == "bye":
            self._left.add(message.source)
        elif kind == "done" and (answer := desk.answer) is not None:
            _, ok, stream = rest
            desk.answer = desk.lose = None
            answer(ok, stream, message.buffers)


def _guarded(function: Callable[..., object], *arguments: Any) -> None:
    try:
        function(*arguments)
    except Exception:
        logging.getLogger("kofn").exception("what was to be done for a rank of MPI has failed")


class _Here:
    session: Session | None = None
    serves = False
    lock = threading.Lock()


def join(call: str) -> Session:
    """The session of this program; at any rank but the client's this serves, and ends the process.

    Parameters
    ----------
    call : str
        Who asks, for the sentence that says what is wrong.

    Raises
    ------
    MissingPackage
        mpi4py is not installed.
    ArgumentError
        The program was started alone.
    SystemExit
        At every rank but the client's, when the client's program has ended.
    """
    with _Here.lock:
        if _Here.session is not None:
            _Here.session.home.require(f"{call}: MPI")
            return _Here.session
        comm = _communicator(call)
        if comm.Get_rank() == CLIENT:
            _Here.session = Session(comm)
            return _Here.session
        _Here.serves = True
    ServingRank(comm).serve()
    raise SystemExit(0)


def _communicator(call: str) -> Any:
    """One for kofn alone, so that its messages are mixed up with nobody's."""
    if _Here.serves:
        raise KofnError(f"{call}: a task that runs at a rank of MPI cannot use MPI for more tasks")
    with require(call, "mpi4py"):
        from mpi4py import MPI
    if MPI.COMM_WORLD.Get_size() == 1:
        must, got = "be ranks of MPI, at least two", "a program that was started alone"
        raise refusal(call, "workers", must, got, "start it with mpirun -n 9 python job.py, for eight workers")
    if MPI.Query_thread() < MPI.THREAD_SERIALIZED:
        must, got = "be ranks of an MPI that threads can use", f"thread level {MPI.Query_thread()}"
        raise refusal(call, "workers", must, got, "leave mpi4py.rc.threads and thread_level as they are")
    comm = MPI.COMM_WORLD.Dup()
    comm.Set_errhandler(MPI.ERRORS_RETURN)  # which mpi4py raises
    return comm
