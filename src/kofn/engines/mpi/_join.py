"""Where a program of MPI parts: one rank goes on, the others serve until the program of that one has ended."""

from __future__ import annotations

import os
import threading
from typing import Any

from ...checks import refusal
from ...errors import KofnError, require
from ._rank import ServingRank
from ._session import SURVIVES, Session
from ._shelf import CLIENT


class _Here:
    """What this process is."""

    session: Session | None = None
    serving: ServingRank | None = None
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
        _Here.serving = ServingRank(comm)
    _Here.serving.serve()
    raise SystemExit(0)


def held_here() -> int:
    """How many bytes of values this rank holds.

    Examples
    --------
    >>> held_here()
    0
    """
    serving = _Here.serving
    return sum(held.size for held in list(serving.shelf.held.values())) if serving else 0


def _communicator(call: str) -> Any:
    """One for kofn alone, so that its messages are mixed up with nobody's."""
    if _Here.serving is not None:
        raise KofnError(f"{call}: a task that runs at a rank of MPI cannot use MPI for more tasks")
    if SURVIVES:  # the barrier at the end of Open MPI waits for the dead now and then; all have said goodbye before it
        os.environ.setdefault("OMPI_MCA_async_mpi_finalize", "1")
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
