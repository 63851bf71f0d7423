"""Calls whose results are futures: which wait, which run, and how each comes to its end."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any

from ..._base._closeable import at_end
from .._lease import PoolLease
from ._crew import Crew
from ._loop import CallLoop, Result


class CallFuture(Future[Any]):
    """The future of a call. It is running once a worker was sent the call, and can be cancelled before.

    It keeps what will end it, so that whoever holds it may wait for it.
    """

    def __init__(self, number: int, calls: Calls) -> None:
        super().__init__()
        self._number, self._calls = number, calls

    def cancel(self) -> bool:
        """Have the call not made, unless a worker has it; whether it will not be."""
        if not self._calls.withdraw(self._number):
            return self.cancelled()
        super().cancel()
        self.set_running_or_notify_cancel()  # which tells those who wait for it
        self._calls.hear()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """What the call returned; waits for it."""
        self._refuse_to_wait()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raised, if it did; waits for it."""
        self._refuse_to_wait()
        return super().exception(timeout)

    def _refuse_to_wait(self) -> None:
        if not self.done() and self._calls.is_own_thread:
            raise RuntimeError(
                f"call {self._number} has not ended, and a callback of another call must not wait for it: futures end "
                "one after another; add a callback to this one too, or wait in a thread of your own"
            )


class Calls:
    """Calls of any functions on a pool, each with a future.

    Parameters
    ----------
    lease : PoolLease
        Is closed in the end: with `close`, or when nobody holds this, or a future that has not ended.
    failure : callable
        The exception for a `Result` without a value.

    Examples
    --------
    >>> import kofn
    >>> from kofn.jobs._lease import PoolLease
    >>> with kofn.ThreadPool(2) as pool:
    ...     calls = Calls(PoolLease(pool, "f"), lambda result: KeyError(result.number))
    ...     calls.submit(pow, (2, 5), {"mod": 7}).result()
    ...     calls.close()
    4
    """

    def __init__(self, lease: PoolLease, failure: Callable[[Result], BaseException]) -> None:
        self._numbers = count()
        self._table = _Table(failure)
        try:
            loop = CallLoop(lease.pool, lease.placement, make_call)
            loop.begins = self._table.begin
            self._crew = Crew(loop, self._table.settle)
        except BaseException:
            lease.close()
            raise
        self._finalizer = at_end(self, self._crew.let_go, lease.close)
        _open.add(self)

    @property
    def is_here(self) -> bool:
        """Whether this is the process that made it."""
        return self._crew.loop.is_here

    @property
    def is_own_thread(self) -> bool:
        """Whether this thread is the one that ends futures, and so calls their callbacks."""
        return self._crew.is_own_thread

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> CallFuture:
        """Have a call made."""
        number = next(self._numbers)
        future = self._table.waiting[number] = CallFuture(number, self)
        self._crew.add([(number, (function, keywords, *arguments))])
        return future

    def withdraw(self, number: int) -> bool:
        """Have a call not made; whether no worker had it."""
        withdrawn = self._table.waiting.pop(number, None) is not None
        if withdrawn:
            self._crew.drop([number])
        return withdrawn

    def withdraw_all(self) -> None:
        """Cancel every call that no worker has."""
        for future in list(self._table.waiting.values()):
            future.cancel()

    def hear(self) -> None:
        """Let those who wait for all calls look again."""
        self._table.hear()

    def wait(self) -> None:
        """Wait until every call has come to its end."""
        self._table.wait()

    def close(self) -> None:
        """Let go of everything; safe to call twice."""
        self._crew.close()
        self._finalizer()


_open: weakref.WeakSet[Calls] = weakref.WeakSet()


def _wait_for_all() -> None:
    """A program ends once all calls have, as with other executors: what nobody waits for is done all the same."""
    for calls in list(_open):
        if calls.is_here:
            calls.wait()


# Before ``atexit``, where no thread can be started any more.
getattr(threading, "_register_atexit", atexit.register)(_wait_for_all)


class _Table:
    """The futures that have not ended. One thread moves them on; any may take one out that waits."""

    def __init__(self, failure: Callable[[Result], BaseException]) -> None:
        self.waiting: dict[int, CallFuture] = {}
        self._running: dict[int, CallFuture] = {}
        self._failure = failure
        self._ended = threading.Condition()

    def begin(self, number: int) -> bool:
        """Whether a call is to be made, which is about to be sent; then it runs."""
        if number in self._running:  # sent once more, to somebody else
            return True
        if (future := self.waiting.get(number)) is None:
            return False
        self._running[number] = future
        if self.waiting.pop(number, None) is None:  # it was taken out in between
            del self._running[number]
            self.hear()  # who took it out has told those who wait already, and they saw it here
            return False
        return future.set_running_or_notify_cancel()

    def settle(self, result: Result) -> None:
        """End the future of a call."""
        future = self._running.get(result.number)
        if future is None:  # no worker ever had it
            future = self.waiting.pop(result.number, None)
            if future is None or not future.set_running_or_notify_cancel():
                return
        try:
            if result.failure is None:
                future.set_result(result.value)
            else:
                future.set_exception(self._exception_of(result))
        except BaseException:  # a callback of the user's ended its thread, which is not his
            logging.getLogger("kofn").exception("a callback of call %d raised, and is not listened to", result.number)
        self._running.pop(result.number, None)
        self.hear()

    def _exception_of(self, result: Result) -> BaseException:
        try:
            return self._failure(result)
        except Exception as error:  # it looks at an exception of the user's, which can do anything
            return error

    def hear(self) -> None:
        with self._ended:
            self._ended.notify_all()

    def wait(self) -> None:
        with self._ended:
            self._ended.wait_for(lambda: not self._running and not self.waiting)


def make_call(function: Callable[..., Any], keywords: dict[str, Any], *arguments: Any) -> Any:
    """What a worker does.

    Examples
    --------
    >>> make_call(sorted, {"reverse": True}, [1, 2])
    [2, 1]
    """
    return function(*arguments, **keywords)
