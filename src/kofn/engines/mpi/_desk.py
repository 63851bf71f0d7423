"""What the client knows of a rank, whichever pools use it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from importlib.metadata import version
from socket import gethostname
from typing import Any

from .._pickling import Buffer
from .._protocol import WorkerState

Take = Callable[[tuple[Any, ...] | None, Sequence[Buffer]], object]
"""Is given an answer and its large buffers, or None where the rank is gone and there will be none."""

ENDED = "its rank of MPI has ended"


class Desk:
    """What the client knows of a rank.

    Parameters
    ----------
    rank : int

    Attributes
    ----------
    process : int or None
        Its process, once it has said so.
    why : str
        Why it is dead, where it is.
    number : int
        Of the task that it runs; 0 for none.
    tickets : dict
        What it is asked, by number, and who takes the answer.
    has_left : bool
        Whether it has said that nothing more will come.

    Examples
    --------
    >>> desk = Desk(1)
    >>> desk.state
    <WorkerState.STARTING: 'starting'>
    >>> desk.greet(123, "here", version("kofn"))
    >>> desk.state
    <WorkerState.IDLE: 'idle'>
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.process: int | None = None
        self.host = self.why = ""
        self.number = 0
        self.tickets: dict[int, Take] = {}
        self.has_left = False

    @property
    def state(self) -> WorkerState:
        """What the rank does."""
        if self.why:
            return WorkerState.DEAD
        if self.process is None:
            return WorkerState.STARTING
        return WorkerState.BUSY if self.number else WorkerState.IDLE

    def greet(self, process: int, host: str, theirs: str) -> None:
        """Take what a rank says first; one that has another kofn is of no use."""
        self.process, self.host = process, host
        if theirs != (ours := version("kofn")):
            self.why = f"it has kofn {theirs}, and this process {ours}; install one version on all machines"

    def answer(self, number: int, rest: tuple[Any, ...], buffers: Sequence[Buffer]) -> None:
        """Be idle if this was the task, and hand the answer on."""
        take = self.tickets.pop(number, None)
        if number == self.number:
            self.number = 0
        if take is not None:
            take(rest, buffers)

    def lose(self) -> None:
        """Be dead, and tell all who wait for an answer."""
        self.why = self.why or ENDED
        self.number = 0
        while self.tickets:
            with contextlib.suppress(KeyError):  # who asks just now looks himself
                self.tickets.popitem()[1](None, ())

    def kill(self) -> None:
        """End its process, if that is on this machine."""
        if self.process is not None and self.host == gethostname():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
