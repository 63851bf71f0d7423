"""What the client has of values that lie at ranks: a value is forgotten there with the last reference to it."""

from __future__ import annotations

import uuid
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..._base._travel import Staying
from ...arrays._spec import ArraySpec
from ...errors import PoolClosed, ReferenceLost
from .._engine import CLOSED
from .._future import Promise
from .._pickling import Buffer
from .._references import Ref, refs_in, with_values
from ._desk import Desk
from ._session import Session


class KeptValue:
    """A value at a rank.

    Parameters
    ----------
    session : Session
    desk : Desk
        Of the rank.
    identity : int
        Its number there.
    """

    def __init__(self, session: Session, desk: Desk, identity: int) -> None:
        self.desk, self.identity = desk, identity
        weakref.finalize(self, session.garbage.append, (desk, identity)).atexit = False


class Handle(Staying):
    """What a `Ref` of an `MPIPool` has for its handle; several may refer to one value.

    Parameters
    ----------
    kept : KeptValue or None
        None once it was released.
    """

    def __init__(self, kept: KeptValue | None) -> None:
        self.kept = kept


def kept_value(ref: Ref) -> KeptValue:
    """What a reference refers to, unless it is gone."""
    kept = ref.handle.kept if isinstance(ref.handle, Handle) else None
    if kept is None or kept.desk.why:
        why = "is not at a rank, or not any more" if kept is None else f"was at worker {ref.worker}, which is lost"
        raise ReferenceLost(f"what {ref.key} refers to {why}; make it again", ref.worker)
    return kept


def new_ref(kept: KeptValue, worker: int, spec: ArraySpec | None, size: int) -> Ref:
    """One more reference to a value."""
    return Ref(uuid.uuid4().hex, worker, spec, Handle(kept), 0 if spec else size)


class KeptRegister:
    """Handles, travels and their bytes of one pool, which ends them.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    moved : Counter
        Bytes, by the workers that they went from and to.
    """

    def __init__(self, session: Session) -> None:
        self.moved: Counter[tuple[int, int]] = Counter()
        self._session = session
        self._handles: weakref.WeakSet[Handle] = weakref.WeakSet()
        self._travels: set[Promise] = set()
        self._is_over = False

    def refer(self, desk: Desk, identity: int, worker: int, spec: ArraySpec | None, size: int) -> Ref:
        """Refer to what lies at a rank, as long as the pool is open."""
        ref = new_ref(KeptValue(self._session, desk, identity), worker, spec, size)
        self._handles.add(ref.handle)
        if self._is_over:
            ref.handle.kept = None
        return ref

    def travel(self) -> Promise:
        """The promise of a value on its way."""
        promise = Promise()
        self._travels.add(promise)
        if self._is_over:
            promise.fail(PoolClosed(CLOSED))
        return promise

    def arrive(self, promise: Promise) -> None:
        """It is on its way no longer."""
        self._travels.discard(promise)

    def count(self, source: int, target: int, size: int) -> None:
        """Note what has travelled."""
        self.moved[source, target] += size

    def end(self) -> None:
        """Let go of everything."""
        self._is_over = True
        for handle in list(self._handles):
            handle.kept = None
        for promise in list(self._travels):
            promise.fail(PoolClosed(CLOSED))


class RankCall(NamedTuple):
    """A call ready for a rank.

    Attributes
    ----------
    stream : bytes
        Of the pickled function and arguments.
    buffers : sequence of uint8 arrays
        What is large of them, where nobody changes it.
    needs : dict
        Values that references among the arguments stand for, by their keys, and the workers where they lie.
    keeps : bool
        Whether the result stays at the rank.
    """

    stream: bytes
    buffers: Sequence[Buffer]
    needs: dict[str, tuple[KeptValue, int]]
    keeps: bool


def without_handles(arguments: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, tuple[KeptValue, int]]]:
    """Arguments with references that can travel, and what these refer to."""
    needs = {ref.key: (kept_value(ref), ref.worker) for ref in refs_in(arguments)}
    return (with_values(arguments, lambda ref: Ref(ref.key, ref.worker)) if needs else arguments), needs
