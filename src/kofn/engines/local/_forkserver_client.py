"""The client's hold on its fork server: start it, have it fork and kill, end it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import Any

from ..._base._place import Place
from . import _forkserver
from ._connection import Connection

PATIENCE = 5.0
"""Seconds that a process may leave its socket full before it counts as lost."""

CLOSING = 1.0
"""Seconds that the fork server gets to end its workers before it is killed, which ends them too."""


class ForkServerClient:
    """A fork server process and the connection to it.

    Parameters
    ----------
    threads : int
        BLAS threads of each worker.
    """

    def __init__(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            enter = f"from {_forkserver.__name__} import main; main({fd}, {threads})"
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {enter}"],
                stdin=subprocess.DEVNULL,
                pass_fds=(fd,),
                env={**os.environ, **dict.fromkeys(_forkserver.BLAS_VARIABLES, "1")},
                start_new_session=True,
            )
        self.connection = Connection(ours)

    def spawn(self, slot: int, process: int) -> Connection:
        """Ask for a process in a slot and return the connection to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._ask("spawn", (slot, process), Place.here(), fds=[theirs.fileno()])
        return Connection(ours)

    def kill(self, slot: int, process: int) -> None:
        """Ask for the death of that process."""
        self._ask("kill", (slot, process))

    def _ask(self, *message: Any, fds: list[int] | None = None) -> None:
        # When the fork server is gone its connection says so to whoever reads it.
        with contextlib.suppress(OSError):
            self.connection.send(message, fds or [], PATIENCE)

    def reap(self) -> int:
        """Kill the fork server and return its exit status."""
        self.connection.close()
        self.process.kill()
        return self.process.wait()

    def close(self) -> None:
        """Hang up, which ends the fork server and its workers, and make sure that it did."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(CLOSING)
        self.reap()

    def detach_after_fork(self) -> None:
        """Be without the fork server in a forked child; it belongs to the parent."""
        self.connection.close()
        self.process.returncode = 0  # or its finalizer would complain that it still runs
