"""Ranks of an MPI program behind kofn's seam."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..._base._closeable import at_end
from ...checks import refusal
from ...errors import WorkerLost, require_installed
from .._entry import EngineEntry
from .._protocol import Capabilities, Pool, WorkerState
from .._slots import close_slots
from ._join import join
from ._keeping import MPIKeeping
from ._kept import KeptRegister
from ._session import SURVIVES
from ._slot import MPISlot

CALL = "kofn.MPIPool"

MORTAL = (
    "This MPI ends the whole program with any rank that dies; mpirun --with-ft ulfm of Open MPI 5 goes on without it."
)

START_SECONDS = 60.0
"""How long the constructor waits for the first rank."""


class MPIPool(MPIKeeping):
    """The other ranks of this program, which was started with ``mpirun``.

    The program runs at every rank as far as the first pool. Rank 0 goes on; the others serve it there, and end when its
    program ends. So make the pool first, before anything is read, printed or written.

    Arrays travel without being pickled, and what is resident lies at its rank. MPI cannot replace a rank: a task that
    nobody waits for runs on, and its worker is left out until it ends. ``"interrupt"`` and ``"kill"`` raise
    KeyboardInterrupt in it. A rank that dies ends the program, unless it was started with ``mpirun --with-ft ulfm``
    of Open MPI 5; then its worker is dead for good.

    Raises
    ------
    MissingPackage
        mpi4py is not installed.
    ArgumentError
        The program was started without ``mpirun``.
    SystemExit
        At every rank but 0, when the program of rank 0 has ended.
    """

    capabilities = Capabilities(references=True)

    remark = "" if SURVIVES else MORTAL
    """What each report says of this MPI."""

    def __init__(self) -> None:
        session = join(CALL)
        desks = [desk for desk in session.desks.values() if not desk.why]
        register = KeptRegister(session)
        slots = [MPISlot(index, desk, session, register) for index, desk in enumerate(desks)]
        self._finalizer = at_end(self, _end, slots, register)
        super().__init__(slots, session, register)
        self._await_start()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """Allocate an array that is sent from where it lies."""
        return self._session.store.empty(shape, dtype)

    def pids(self) -> list[int | None]:
        """Return the process id of each worker on its machine, None while it has none."""
        return [slot.desk.process for slot in self._slots]

    def close(self) -> None:
        """Have ranks forget what was placed there; they go on to serve other pools. Safe to call twice."""
        super().close()
        self._finalizer()

    def _await_start(self) -> None:
        until = time.monotonic() + START_SECONDS
        while any(slot.state is WorkerState.STARTING for slot in self._slots) and time.monotonic() < until:
            time.sleep(0.001)
        if all(slot.state in (WorkerState.STARTING, WorkerState.DEAD) for slot in self._slots):
            why = next((slot.desk.why for slot in self._slots if slot.desk.why), "no rank has come as far as this")
            raise WorkerLost(f"{CALL}: no rank serves: {why}", 0)


def _end(slots: Sequence[MPISlot], register: KeptRegister) -> None:
    register.end()
    close_slots(slots)


def _make(workers: Any, call: str) -> Pool:
    require_installed(f"{call}: workers={workers!r}" if isinstance(workers, str) else f"{call}: MPI", "mpi4py")
    if workers != "mpi":
        must = "be 'mpi' or a kofn.MPIPool, where it is of MPI"
        got = repr(workers) if isinstance(workers, str) else f"a {type(workers).__name__}"
        raise refusal(call, "workers", must, got, "mpirun says how many ranks there are; write 'mpi'")
    return MPIPool()


ENTRY = EngineEntry(
    _make,
    "the other ranks of this program, which mpirun started",
    "mpi, in a program that mpirun -n 9 started",
    MPIPool.capabilities,
    "mpi4py",
)
