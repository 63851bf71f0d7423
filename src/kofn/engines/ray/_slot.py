"""One worker: an actor, another one in its place when it dies or must be stopped, and what is resident there."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import threading
import uuid
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from importlib.metadata import version
from typing import Any

from ..._base._envelope import error_line
from ..._base._pickles import NOTHING, Code
from ...errors import KofnError, PoolClosed, ReferenceLost, WorkerError, WorkerLost
from .._future import Promise
from .._pickling import BufferedPickle
from .._protocol import Stop, WorkerState
from .._references import Ref
from .._slots import PoolSlot
from .._validation import pack_argument
from .._warming import TRIES
from ._clerk import Clerk
from ._kept import KeptObject, RayCall
from ._session import is_connected

INLINE = 100_000
"""Bytes from which a resident value goes to Ray's object store; below, it travels with the first task that uses it."""

NEW_GRACE = 10.0
"""Seconds that a stopped task has at least whose code is new to its actor, which may have to import it first."""

SHUT_DOWN = "Ray was shut down, or is another one now; make another pool"

_identities = itertools.count(1)


class PlacedValue:
    """A value placed at workers, kept for actors to come: itself, or a reference to it in Ray's object store."""

    def __init__(self, value: object) -> None:
        self.identity = next(_identities)
        self.users = 0
        payload = pack_argument("put", "value", value, BufferedPickle.of)
        self.code = payload.code
        self.is_large = payload.size >= INLINE
        self.carried: Any = _stored(payload) if self.is_large else payload


class Shelf:
    """Values placed at several workers, of which Ray gets one: it has one copy for all workers of a machine.

    And those that workers keep, as long as somebody refers to them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: weakref.WeakSet[KeptObject] = weakref.WeakSet()
        self._placed: dict[int, tuple[weakref.ref[Any], PlacedValue]] = {}

    def take(self, value: object) -> PlacedValue:
        """The placed value, a new one unless it lies at another worker now; it is given back with `drop`."""
        with self._lock:
            source, placed = self._placed.get(id(value), (None, None))
            if placed is None or source is None or source() is not value:
                placed = PlacedValue(value)
                with contextlib.suppress(TypeError):  # a list is no such object
                    if placed.is_large:
                        self._placed[id(value)] = weakref.ref(value), placed
            placed.users += 1
            return placed

    def drop(self, placed: PlacedValue) -> None:
        """Have one user less; what nobody uses may change, and is placed anew after that."""
        with self._lock:
            placed.users -= 1
            if not placed.users:
                self._placed = {key: pair for key, pair in self._placed.items() if pair[1] is not placed}

    def keep(self, reference: Any, home: str) -> KeptObject:
        """Have an object in Ray's store that lies at a machine."""
        kept = KeptObject(reference, home)
        self._kept.add(kept)
        return kept

    def clear(self) -> None:
        """Let go of all that is kept."""
        for kept in list(self._kept):
            kept.reference = None


class RaySlot(PoolSlot):
    """A place in the pool, served by one actor after the other.

    Parameters
    ----------
    index : int
    make : callable
        Makes an actor.
    clerk : Clerk
    shelf : Shelf
    grace : float
        Seconds that a stopped task may go on.
    """

    def __init__(self, index: int, make: Callable[[], Any], clerk: Clerk, shelf: Shelf, grace: float) -> None:
        super().__init__(index)
        self.make, self.clerk, self.shelf, self.grace = make, clerk, shelf, grace
        self.settled = threading.Event()
        self.actor: Any = None
        self.process: int | None = None
        self.node = ""
        self.why = ""
        self._is_up = self._is_dead = False
        self._tries = 0
        self._held: set[int] = set()
        self._forget: list[int] = []
        self._modules: frozenset[str] = frozenset()
        self._code: set[tuple[str, Hashable]] = set()  # it has run that once, so it is loaded there
        self._running: Code = NOTHING
        self.spawn(None)

    @property
    def state(self) -> WorkerState:
        """What the worker does, as long as Ray is there."""
        if self._is_dead:
            return WorkerState.DEAD
        return super().state if self._is_up else WorkerState.STARTING

    # -- an actor -------------------------------------------------------------------------------------

    def spawn(self, old: Any) -> None:
        """Make an actor, in place of another one that is ended."""
        if not is_connected():
            self.lose_ray()
            return
        kill(old)
        with self.lock:
            if self.closed:
                return
            try:
                actor = self.actor = self.make()
                said = actor.hello.remote().future()
            except Exception as error:
                self.give_up(error_line(error))
                return
        said.add_done_callback(partial(self.clerk.call, self._on_hello, actor))

    def _on_hello(self, actor: Any, said: Future[tuple[int, str, frozenset[str], str]]) -> None:
        with self.lock:
            if self.actor is not actor or self.closed:
                return
            if (error := said.exception()) is None:
                self.process, theirs, self._modules, self.node = said.result()
                if theirs == (ours := version("kofn")):
                    self._is_up, self._tries = True, 0
                    self.settled.set()
                else:
                    self.give_up(f"it has kofn {theirs}, and this process {ours}; install one version on all machines")
                return
            self._tries += 1
            if self._tries == TRIES:
                self.give_up(last_line(error))
                return
        self.spawn(actor)

    def give_up(self, why: str) -> None:
        """Be dead for good."""
        self.why, self._is_dead, self._is_up = why, True, False
        self.settled.set()

    def _replace(self) -> None:
        """Be without actor and task until there is another one; with the lock held."""
        old, self.actor, self.task, self.process, self.node = self.actor, None, None, None, ""
        self._is_up = False
        for known in (self._held, self._forget, self._code):
            known.clear()
        self.clerk.call(self.spawn, old)

    # -- what is resident -----------------------------------------------------------------------------

    def put(self, key: Hashable, value: object) -> None:
        """Make ``value`` resident."""
        placed = self.shelf.take(value)
        with self.lock:
            self.drop(key)
            self.residents[key] = placed

    def drop(self, key: Hashable) -> None:
        """Forget ``key``, if it is there."""
        with self.lock:
            placed = self.residents.pop(key, None)
            if placed is None:
                return
            if placed.identity in self._held and placed not in self.residents.values():
                self._held.discard(placed.identity)
                self._forget.append(placed.identity)
        self.shelf.drop(placed)

    # -- a task ---------------------------------------------------------------------------------------

    def start(self, call: RayCall, values: list[PlacedValue]) -> Promise:
        """Hand a call to the actor, with those values that it lacks."""
        actor, payload = self.actor, call.payload
        new = {placed.identity: placed.carried for placed in values if placed.identity not in self._held}
        order = [placed.identity for placed in values]
        message = *payload.plain(), order, list(self._forget), list(new)
        try:
            inputs = message, *new.values(), *call.references
            kept: Any = None
            if call.keeps:
                kept, said = actor.keep.options(num_returns=2).remote(*inputs)
            else:
                said = actor.perform.remote(*inputs)
            answer = said.future()
        except Exception as error:
            raise KofnError(f"submit: Ray takes no task: {last_line(error)}") from error
        self._held |= new.keys()
        self._forget.clear()
        self._running = payload.code.union(*(placed.code for placed in values))
        task = self.task = Promise()
        reads = bool(call.references)
        answer.add_done_callback(partial(self.clerk.call, self._on_answer, task, actor, kept, reads))
        return task

    def _on_answer(self, task: Promise, actor: Any, kept: Any, reads: bool, done: Future[tuple[bool, Any]]) -> None:
        error = done.exception()
        lacked = reads and error is not None and is_lost(error)
        with self.lock:
            if self.actor is not actor or self.task is not task:
                return  # it was stopped, and there is another one
            if error is None:
                self.task = None
                self._code |= self._running
            elif is_of_task(error) or lacked:
                self.task = None
                self._held.clear()  # nobody knows how far it came
            elif not self.closed:
                self._replace()
        if error is not None:
            hush(kept)
            task.fail(self._explain(error, lacked))
            return
        ok, answer = done.result()
        task.take(ok, partial(self._read, ok, answer, kept))

    def _read(self, ok: bool, answer: Any, kept: Any) -> Any:
        if not ok:
            return pickle.loads(answer)
        if kept is None:
            return BufferedPickle(*answer).open()
        return Ref(uuid.uuid4().hex, self.index, answer, self.shelf.keep(kept, self.node))

    def _explain(self, error: BaseException, lacked: bool) -> Exception:
        if lacked:
            return lost(f"worker {self.index} cannot have what its task needs", self.index, error)
        if is_of_task(error):
            remedy = "kofn and what the task needs must be installed, in one version, on all machines of the cluster"
            return WorkerError(f"worker {self.index} could not open its task: {last_line(error)}; {remedy}", self.index)
        if "owner has died" in str(error):  # this process owns the actor: Ray was shut down here
            return PoolClosed(SHUT_DOWN)
        return WorkerLost(f"worker {self.index} is lost: {last_line(error)}", self.index)

    def stop(self, task: Promise, how: Stop = Stop.ABANDON) -> Stop:
        """End the actor at once, or after the grace: Ray cannot interrupt what an actor runs."""
        with self.lock:
            if self.closed or self.task is not task:
                return Stop.ABANDON
            if how is Stop.KILL:
                self._replace()
                return Stop.KILL
            is_new = any(
                module not in self._modules and (module, name) not in self._code for module, name in self._running
            )
        grace = max(self.grace, NEW_GRACE) if is_new else self.grace
        if grace < threading.TIMEOUT_MAX:
            self.clerk.later(grace, self._on_grace_over, task)
        return Stop.ABANDON

    def _on_grace_over(self, task: Promise) -> None:
        with self.lock:
            if self.task is task and not self.closed:
                self._replace()

    def lose_ray(self) -> None:
        """Be dead, and fail what is under way, as nobody will hear of it."""
        with self.lock:
            task, self.task, self.actor = self.task, None, None
            self.give_up(SHUT_DOWN)
        if task is not None:
            task.fail(PoolClosed(SHUT_DOWN))

    def close(self) -> None:
        """End the actor as well."""
        with self.lock:  # from here on, no other actor is made
            self.closed = True
            placed = list(self.residents.values())
            actor, self.actor = self.actor, None
        super().close()
        kill(actor)
        for each in placed:
            self.shelf.drop(each)


def kill(actor: Any) -> None:
    """End an actor, whatever it does; it may have ended already."""
    if actor is not None and is_connected():
        import ray

        with contextlib.suppress(Exception):
            ray.kill(actor)


def is_of_task(error: BaseException) -> bool:
    """Whether Ray tells of what went wrong in an actor that goes on."""
    from ray.exceptions import RayTaskError

    return isinstance(error, RayTaskError)


def is_lost(error: BaseException) -> bool:
    """Whether Ray tells of an object that nobody has any more."""
    from ray.exceptions import ObjectLostError

    return isinstance(error, ObjectLostError) or isinstance(getattr(error, "cause", None), ObjectLostError)


def lost(what: str, worker: int, error: BaseException) -> ReferenceLost:
    """Build (not raise) the exception for an object that Ray cannot bring."""
    told = ReferenceLost(f"{what}: no machine of the cluster has it any more; make it again", worker)
    told.__cause__ = error
    return told


def hush(reference: Any) -> None:
    """Have Ray not print the error of an object, if there is one, that nobody will look at."""
    if reference is not None:
        with contextlib.suppress(Exception):
            reference.future().add_done_callback(lambda done: done.exception())


def last_line(error: BaseException) -> str:
    """What Ray says, without the traceback that it begins with.

    Examples
    --------
    >>> last_line(ValueError("a long story:\\nno room"))
    'no room'
    """
    lines = [line.strip() for line in error_line(error).splitlines() if line.strip()]
    return lines[-1]


def _stored(payload: BufferedPickle) -> Any:
    import ray

    try:
        return ray.put(payload)
    except Exception as error:
        raise KofnError(f"put: Ray's object store does not take {payload.size} bytes: {last_line(error)}") from error
