"""The actor: runs one task after the other, and keeps what was placed at it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any

from ..._base._envelope import Envelope
from .._future import pack_result
from .._loading import load
from .._pickling import Buffer, BufferedPickle
from ._held import HeldValue

Message = tuple[bytes, Sequence[Buffer], Sequence[int], Sequence[int], Sequence[int]]
"""Stream and buffers of a function and its arguments; the held values that it takes, what is not needed any more, and
what is new, each by its number."""


class RayWorker:
    """What Ray makes an actor of.

    Examples
    --------
    >>> worker = RayWorker()
    >>> ok, answer = worker.perform((*BufferedPickle.of((sum, (1,))).plain(), [7], [], [7]), BufferedPickle.of([1, 2]))
    >>> ok, BufferedPickle(*answer).open()
    (True, 4)
    """

    def __init__(self) -> None:
        load()  # what jobs need, before anybody waits for it
        self._held: dict[int, HeldValue] = {}

    def hello(self) -> tuple[int, str, frozenset[str]]:
        """Process, version of kofn, and what is imported already."""
        from importlib.metadata import version

        return os.getpid(), version("kofn"), frozenset(sys.modules)

    def perform(self, message: Message, *values: BufferedPickle) -> tuple[bool, Any]:
        """Run a task, with some of what is held before its arguments.

        Parameters
        ----------
        message : tuple
            As one argument, and not an object of a class of ours: Ray would take longer.
        *values : BufferedPickle
            What is held from now on.

        Returns
        -------
        bool
            Whether it came to its end.
        object
            The parts of a `BufferedPickle` of the result, or a pickled `Envelope`.
        """
        stream, buffers, order, forget, new = message
        for identity in forget:
            self._held.pop(identity, None)
        self._held.update(zip(new, map(HeldValue, values), strict=True))
        try:
            function, arguments = BufferedPickle(stream, buffers).open()
            value = function(*(self._held[identity].view() for identity in order), *arguments)
            return True, pack_result(value, BufferedPickle.of).plain()
        except BaseException as error:
            return False, pickle.dumps(Envelope(error))
