"""A future whose end is decided once: by its result, by a stop, by a death, by the end of the pool."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from .._base._envelope import Envelope, error_line
from .._base._pickles import dumps
from ..errors import PoolClosed

Packed = TypeVar("Packed")

LOCK_SECONDS = 1.0
"""After this long, a future whose lock cannot be had is left to its fate."""


_promises: set[weakref.ref[Promise]] = set()  # a WeakSet costs three times as much, with every task


class Promise:
    """The giving side of a future; whoever claims it first decides how it ends, later results are dropped.

    Examples
    --------
    >>> promise = Promise()
    >>> promise.cancel()
    >>> promise.settle("too late")
    >>> promise.future.cancelled()
    True
    """

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        self._claim = threading.Lock()
        _promises.add(weakref.ref(self, _promises.discard))

    @property
    def is_claimed(self) -> bool:
        """Whether it is decided how the future ends."""
        return self._claim.locked()

    def claim(self) -> bool:
        """Return True to the first caller only."""
        return self._claim.acquire(blocking=False)

    def settle(self, value: object) -> None:
        """End the future with a result."""
        self.take(True, lambda: value)

    def fail(self, error: BaseException) -> None:
        """End the future with an exception."""
        self.take(False, lambda: error)

    def take(self, ok: bool, load: Callable[[], Any]) -> None:
        """End the future with what a worker sent and ``load`` rebuilds: a result, or an error or its `Envelope`."""
        if not self.claim():
            return
        try:
            value = load()
        except BaseException as error:
            text = f"the task's result could not be rebuilt in this process: {error_line(error)}"
            ok, value = False, RuntimeError(text)
            value.__cause__ = error if isinstance(error, Exception) else None
        with _guard:
            self._end(lambda: self._tell(ok, value))

    def cancel(self) -> None:
        """Cancel the future and tell those who wait for it."""
        with _guard:
            if self.claim():
                self._end(self.future.cancel)

    def _tell(self, ok: bool, value: Any) -> None:
        future = self.future
        if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
            if ok:
                future.set_result(value)
            else:
                future.set_exception(value.open() if isinstance(value, Envelope) else value)

    def _end(self, end: Callable[[], object]) -> None:
        """End the future if it can be had; a Ctrl-C in between is raised once it has ended."""
        condition: Any = self.future._condition
        owned = condition._is_owned()
        try:
            self._end_once(end)
        except KeyboardInterrupt:
            while not owned and condition._is_owned():  # left locked, nobody who waits would ever go on
                condition.release()
            self._end_once(end)
            raise

    def _end_once(self, end: Callable[[], object]) -> None:
        if self._reachable():
            end()
            if self.future._state == "CANCELLED":
                self.future.set_running_or_notify_cancel()

    def _reachable(self) -> bool:
        """Whether the future's lock is free or soon will be.

        A Ctrl-C at the wrong instant of ``future.result()`` leaves it locked for ever, because the standard
        library's Condition is Python code. That must not take the thread that serves all workers with it.
        """
        condition = self.future._condition
        free = condition.acquire(timeout=LOCK_SECONDS)
        if free:
            condition.release()
        return free

    def end_like(self, inner: Future[Any], change: Callable[[Any], Any] = lambda value: value) -> None:
        """End the future as one that has ended did, with its result changed."""
        if inner.cancelled():
            self.cancel()
        elif (error := inner.exception()) is not None:
            self.fail(error)
        else:
            self.take(True, lambda: change(inner.result()))

    def orphan(self) -> None:
        """End the future in a forked child, where nobody is left to do it, or to hear of it."""
        self._claim = threading.Lock()
        self._claim.acquire()
        self.future._condition = threading.Condition()  # a thread of the parent may have held the other one
        if not self.future.done():
            vars(self.future)["_done_callbacks"].clear()
            self.future.set_exception(PoolClosed("the task runs in the process that this one was forked from"))

    def when_cancelled(self, then: Callable[[Self], object]) -> None:
        """Call ``then`` with this promise if the user cancels the future himself."""
        # A future keeps its callbacks: holding the promise, they would keep both, and the result, until the
        # garbage collector comes by.
        mine = weakref.ref(self)

        def on_done(future: Future[Any]) -> None:
            promise = mine()
            if promise is not None and future.cancelled() and promise.claim():
                future.set_running_or_notify_cancel()
                then(promise)

        self.future.add_done_callback(on_done)


def failed(error: BaseException) -> Future[Any]:
    """A future that has ended with an error."""
    promise = Promise()
    promise.fail(error)
    return promise.future


def following(inner: Future[Any], change: Callable[[Any], Any]) -> Future[Any]:
    """A future that ends as ``inner`` does, with its result changed; to cancel it is to cancel the other.

    Examples
    --------
    >>> first = Promise()
    >>> second = following(first.future, abs)
    >>> first.settle(-3)
    >>> second.result()
    3
    """
    promise = Promise()
    inner.add_done_callback(lambda inner: promise.end_like(inner, change))
    cancel = weakref.WeakMethod(inner.cancel)  # or each future would keep the other
    promise.when_cancelled(lambda _: call_alive(cancel))
    return promise.future


def call_alive(method: weakref.WeakMethod[Any], *arguments: Any) -> None:
    """Call a method of what is still there."""
    if (alive := method()) is not None:
        alive(*arguments)


def _orphan_all() -> None:
    for reference in list(_promises):
        if (promise := reference()) is not None:
            promise.orphan()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_orphan_all)


class _Guard:
    """Lets nothing that others hang on a future end the thread that ends it, which serves all workers."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> bool:
        if error is None or (
            isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
        ):
            return False  # Ctrl-C
        logging.getLogger("kofn").error("what was to be done at the end of a task has failed", exc_info=error)
        return True


_guard = _Guard()


def pack_result(value: object, pack: Callable[[object], Packed]) -> Packed:
    """Pack a task's result, or say which type cannot be packed."""
    try:
        return pack(value)
    except BaseException as error:  # a user's own __reduce__ may raise anything
        result = _culprit(value, pack)
        name = f"{type(result).__module__}.{type(result).__qualname__}"
        message = f"the task's result, a {name}, cannot be sent back from its worker: {error_line(error)}"
        raise pickle.PicklingError(message) from error


def _culprit(value: object, pack: Callable[[object], object]) -> object:
    """Which of several results cannot be packed, if they are several; what kofn itself wraps around them is none."""
    for part in value if isinstance(value, list | tuple) else ():
        try:
            pack(part)
        except BaseException:
            return _culprit(part, pack)
    return value


def run_here(function: Callable[..., Any], arguments: Iterable[Any]) -> tuple[bool, Any]:
    """Run a task in this process, and return what `Promise.take` takes.

    Examples
    --------
    >>> run_here(pow, (2, 3))
    (True, 8)
    """
    try:
        return True, function(*arguments)
    except BaseException as error:
        return False, Envelope(error)


def run_pickled(call: bytes, residents: Iterable[bytes] = ()) -> tuple[bool, bytes]:
    """Run a pickled (function, arguments) at a worker, with resident values before the arguments.

    Returns
    -------
    bool
        Whether it came to its end.
    bytes
        The pickled result, or an `Envelope` of what was raised: what `Promise.take` takes.

    Examples
    --------
    >>> ok, answer = run_pickled(pickle.dumps((pow, (3,))), [pickle.dumps(2)])
    >>> promise = Promise()
    >>> promise.take(ok, lambda: pickle.loads(answer))
    >>> promise.future.result()
    8
    """
    try:
        function, arguments = pickle.loads(call)
        return True, pack_result(function(*map(pickle.loads, residents), *arguments), dumps)
    except BaseException as error:
        return False, dumps(Envelope(error))
