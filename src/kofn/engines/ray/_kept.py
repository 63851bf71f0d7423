"""Values in Ray's object store, and what goes to an actor in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from ..._base._travel import Staying
from ...errors import PoolClosed, ReferenceLost
from .._future import Promise
from .._pickling import BufferedPickle
from .._references import Ref, refs_in, with_values

STORED = 100 * 1024
"""Bytes above which Ray leaves what a task returns where it is; below, it comes to the owner, and goes from there."""


class KeptObject(Staying):
    """What a `Ref` of a `RayPool` has for its handle: an ObjectRef, and the machines that have got its value.

    The process that runs the job owns the object, not the actor that made it. So the value outlives the actor, and is
    lost with its machine alone.

    Parameters
    ----------
    reference : ray.ObjectRef
        None once it was released.
    home : str
        The machine where Ray keeps it until it is released; empty where the owner has it, as it is small.
    """

    def __init__(self, reference: Any, home: str) -> None:
        self.reference = reference
        self.home = home
        self.seen_at = {home}


def kept_object(ref: Ref) -> tuple[KeptObject, Any]:
    """The handle of a reference, and its ObjectRef."""
    reference = ref.handle.reference if isinstance(ref.handle, KeptObject) else None
    if reference is None:
        text = f"what {ref.key} refers to is not in Ray's store, or not any more; make it again"
        raise ReferenceLost(text, ref.worker)
    return ref.handle, reference


class RayCall(NamedTuple):
    """A call ready for an actor.

    Attributes
    ----------
    payload : BufferedPickle
        Function and arguments, with numbers in the places of references.
    references : list of ray.ObjectRef
        What these numbers count. Ray gives the actor the values.
    keeps : bool
        Whether the result stays in Ray's store.
    """

    payload: BufferedPickle
    references: list[Any]
    keeps: bool


def numbered(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
    """Arguments with numbers in the places of references, and the ObjectRefs that these count."""
    references = [kept_object(ref)[1] for ref in refs_in(arguments)]
    if not references:
        return arguments, references
    numbers = count()
    return with_values(arguments, lambda _: Ref(str(next(numbers)), 0)), references


class Travels:
    """Futures of values on their way, which nobody would end once the pool is closed or Ray is gone."""

    def __init__(self) -> None:
        self._promises: set[Promise] = set()
        self._end: PoolClosed | None = None

    def begin(self) -> Promise:
        """A promise that fails when the pool ends."""
        promise = Promise()
        self._promises.add(promise)
        if self._end is not None:
            promise.fail(self._end)
        return promise

    def take(self, promise: Promise, ok: bool, load: Callable[[], Any]) -> None:
        """End one of them."""
        self._promises.discard(promise)
        promise.take(ok, load)

    def end(self, error: PoolClosed) -> None:
        """Fail all of them, and those to come."""
        self._end = error
        while self._promises:
            with contextlib.suppress(KeyError):
                self._promises.pop().fail(error)
