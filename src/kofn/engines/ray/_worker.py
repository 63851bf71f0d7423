"""The actor: runs one task after the other, and keeps what was placed at it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._base._envelope import Envelope
from ...arrays._spec import ArraySpec
from .._future import pack_result
from .._loading import load
from .._pickling import Buffer, BufferedPickle
from .._references import with_values
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

    def hello(self) -> tuple[int, str, frozenset[str], str]:
        """Process, version of kofn, what is imported already, and Ray's name for the machine."""
        from importlib.metadata import version

        import ray

        return os.getpid(), version("kofn"), frozenset(sys.modules), str(ray.get_runtime_context().get_node_id())

    def perform(self, message: Message, *values: Any) -> tuple[bool, Any]:
        """Run a task, with some of what is held before its arguments.

        Parameters
        ----------
        message : tuple
            As one argument, and not an object of a class of ours: Ray would take longer.
        *values : object
            As many `BufferedPickle` as are new, which are held from now on; then what references among the arguments
            refer to.

        Returns
        -------
        bool
            Whether it came to its end.
        object
            The parts of a `BufferedPickle` of the result, or a pickled `Envelope`.
        """
        try:
            return True, pack_result(self._run(message, values), BufferedPickle.of).plain()
        except BaseException as error:
            return False, pickle.dumps(Envelope(error))

    def keep(self, message: Message, *values: Any) -> tuple[Any, tuple[bool, Any]]:
        """Run a task as `perform` does, and return its result apart, which Ray leaves in the store.

        Returns
        -------
        object
            The result.
        (bool, object)
            Whether it came to its end, and shape and type where it is an array; or a pickled `Envelope`.
        """
        try:
            value = self._run(message, values)
            if isinstance(value, np.ndarray):
                return value, (True, ArraySpec.of(value))
            pack_result(value, BufferedPickle.of)
            return value, (True, None)
        except BaseException as error:
            return None, (False, pickle.dumps(Envelope(error)))

    def _run(self, message: Message, values: tuple[Any, ...]) -> Any:
        stream, buffers, order, forget, new = message
        for identity in forget:
            self._held.pop(identity, None)
        self._held.update(zip(new, map(HeldValue, values), strict=False))
        function, arguments = BufferedPickle(stream, buffers).open()
        if kept := values[len(new) :]:
            arguments = with_values(arguments, lambda ref: kept[int(ref.key)])
        return function(*(self._held[identity].view() for identity in order), *arguments)
