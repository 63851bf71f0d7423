"""`kofn.Executor`: workers as `concurrent.futures` has them."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from .. import checks
from .._base._copies import as_now
from .._base._travel import Staying
from ..errors import PoolClosed
from ..jobs._lease import PoolLease
from ..jobs.calls._futures import Calls
from ..jobs.calls._words import own_failure

CALL = "kofn.Executor"

Given = ParamSpec("Given")
Value = TypeVar("Value")


class Executor(Staying, concurrent.futures.Executor):
    """Workers behind the interface of `concurrent.futures`, for what takes an executor.

    Calls are made as those of `kofn.imap`: a worker with nothing else to do repeats what another one is late with; a
    call whose worker dies is made again, up to three times; one that hangs is ended where its engine can
    (`kofn.LocalPool`). So a call may be made more than once, and its first result counts. Short calls travel together,
    by themselves. The program ends once all calls have.

    A future is ``running()`` once a worker was sent its call, and can be cancelled before. It ends with the result,
    with what the function raised, with the traceback at the worker in a note, or with `WorkerLost`. Callbacks are
    called one after another by one thread: they may submit, but not wait for a call that has not ended.

    Parameters
    ----------
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.map`. A pool stays open; what is started here ends with `shutdown`.

    Examples
    --------
    >>> import kofn
    >>> with kofn.ThreadPool(2) as pool, kofn.Executor(pool) as executor:
    ...     future = executor.submit(pow, 2, exp=5, mod=7)
    ...     list(executor.map(abs, [-1, 2])), future.result()
    ([1, 2], 4)
    """

    @checks.named(CALL)
    def __init__(self, workers: Any = None) -> None:
        lease = PoolLease(workers, CALL)
        self._max_workers = lease.n  # where Dask and others look how many calls to have at once
        self._lock, self._ending = threading.Lock(), threading.Lock()
        self._over = False
        self._calls = Calls(lease, partial(own_failure, call=CALL, noun="call"))

    def submit(self, fn: Callable[Given, Value], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Value]:
        """Have ``fn(*args, **kwargs)`` called at a worker.

        Raises
        ------
        PoolClosed
            After `shutdown`; it is a `RuntimeError`, as other executors raise.
        """
        if not callable(fn):
            raise checks.refusal(CALL, "fn", "be callable", repr(fn), "pass the function, and its arguments after it")
        with self._lock:
            self._require_open()
            return cast("Future[Value]", self._calls.submit(fn, args, kwargs))

    def map(
        self,
        fn: Callable[..., Value],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **later: Any,
    ) -> Iterator[Value]:
        """Return results in the order of the inputs, as they are there.

        Parameters
        ----------
        fn : callable
            Takes one item of each iterable; the shortest ends them.
        *iterables : iterable
            Read at once, so that arrays which an iterator yields are copied: it may use its buffer again. `kofn.imap`
            reads ahead a bounded number.
        timeout : float, optional
            `TimeoutError` is raised if the next result is not there so many seconds after this call.
        chunksize : int
            Taken for the sake of others: calls travel together as fits their length.
        **later
            What executors of later versions of Python take, there.
        """
        checks.integer(CALL, "chunksize", chunksize, 1, "leave it out")
        taken = [one if isinstance(one, list | tuple | np.ndarray) else map(as_now, one) for one in iterables]
        return super().map(fn, *taken, timeout=timeout, **later)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end when those that there are have come to their end.

        Parameters
        ----------
        wait : bool
            Whether to return after that, or at once; the program ends after it in either case. A callback of one of
            the futures does not wait: what it would wait for comes after it.
        cancel_futures : bool
            Whether to cancel what no worker has.
        """
        with self._lock:
            first, self._over = not self._over, True
        if not self._calls.is_here:  # a fork has none of the threads
            return
        if cancel_futures:
            self._calls.withdraw_all()
        if wait and not self._calls.is_own_thread:
            self._finish()
        elif first:
            threading.Thread(target=self._finish, name="kofn-executor", daemon=False).start()

    def _finish(self) -> None:
        self._calls.wait()
        with self._ending:  # whoever comes second waits for the first
            self._calls.close()

    def _require_open(self) -> None:
        closed = "it was shut down before; make another one"
        if not self._calls.is_here:
            closed = "it belongs to the process that it was made in; make another one in this process"
        elif not self._over:
            return
        error = PoolClosed(closed)
        error.call = CALL
        raise error
