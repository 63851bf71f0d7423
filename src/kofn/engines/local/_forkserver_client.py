"""The master's hold on its nursery: start it, have it fork and kill, end it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import Any

from ..._base._place import Place
from . import _forkserver as nursery
from ._connection import Channel

PATIENCE = 5.0
"""Seconds that a process may leave its socket full before it counts as lost."""

CLOSING = 1.0
"""Seconds that the nursery gets to end its workers before it is killed, which ends them too."""


class Link:
    """A nursery process and the channel to it.

    Parameters
    ----------
    threads : int
        BLAS threads of each worker.
    """

    def __init__(self, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            enter = f"from {nursery.__name__} import main; main({fd}, {threads})"
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {enter}"],
                stdin=subprocess.DEVNULL,
                pass_fds=(fd,),
                env={**os.environ, **dict.fromkeys(nursery.BLAS_VARIABLES, "1")},
                start_new_session=True,
            )
        self.channel = Channel(ours)

    def spawn(self, number: int) -> Channel:
        """Ask for worker ``number`` and return the channel to it."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._ask("spawn", number, Place.here(), fds=[theirs.fileno()])
        return Channel(ours)

    def kill(self, number: int) -> None:
        """Ask for the death of worker ``number``."""
        self._ask("kill", number)

    def _ask(self, *message: Any, fds: list[int] | None = None) -> None:
        # When the nursery is gone its channel says so to whoever reads it.
        with contextlib.suppress(OSError):
            self.channel.send(message, fds or [], PATIENCE)

    def bury(self) -> int:
        """Take leave of a nursery that has hung up, and return its exit status."""
        self.channel.close()
        self.process.kill()
        return self.process.wait()

    def close(self) -> None:
        """Hang up, which ends the nursery and its workers, and make sure that it did."""
        self.channel.close()
        try:
            self.process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def disown(self) -> None:
        """Be without the nursery in a forked child; it belongs to the parent."""
        self.channel.close()
        self.process.returncode = 0  # or its finalizer would complain that it still runs
