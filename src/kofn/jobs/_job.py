"""A job in the background: a `concurrent.futures.Future` that also tells how good its answer would be by now."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import partial
from typing import Any

from .. import checks
from .._base._closeable import Closeable, detach_in_forks
from .._base._envelope import error_line
from .._base._place import staying
from ..errors import Cancelled, PoolClosed
from ._answer import Answer
from ._execution import Execution
from ._loop import RunLoop


class Job(Closeable, Future[Answer]):
    """A running job; made by `kofn.start` and `kofn.Plan.start`.

    It is a future of the standard library: `concurrent.futures.wait` and `as_completed` take it, and so does
    `asyncio.wrap_future`. Iterate over it for better and better estimates. ``cancel`` succeeds at once, at any time
    before the end; ``close``, which a ``with`` block calls, also waits until nothing of it runs. A job that nobody
    holds, and that has nobody to call back, is cancelled.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     job = kofn.start(kofn.schemes.mds(np.eye(6), np.eye(6), workers=3, rng=0), workers=pool)
    ...     errors = [estimate.error for estimate in job]
    >>> errors[-1], job.done()
    (0.0, True)
    """

    def __init__(self, execution: Execution, call: str) -> None:
        super().__init__()
        self._execution = execution
        self._deciding = threading.Lock()
        self._end = ""
        self._newest: Answer | None = None
        self._watched = False
        self._heard: list[Job] = []  # held by the thread: the job itself, once somebody wants to be called back
        detach_in_forks(self)
        # Neither the thread nor what it calls may hold the job otherwise, or it would not end when nobody else does.
        work = partial(_follow, weakref.ref(self), execution, self._heard, call)
        self._thread = threading.Thread(target=staying().run, args=(work,), name="kofn-job", daemon=True)
        weakref.finalize(self, execution.cancel).atexit = False
        try:
            self._thread.start()
        except BaseException:  # a system that gives no more threads
            execution.end(False)
            raise

    @property
    def results(self) -> dict[int, Any]:
        """The payloads that have arrived until now, by row in the order of arrival."""
        return dict(self._execution.results)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.done()

    @checks.without("kofn.Job.result", timeout_seconds="it is timeout= now")
    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer.

        Raises
        ------
        TimeoutError
            After so many seconds; the job goes on.
        NotDecodable, TaskError, Cancelled, PoolClosed
        """
        with self._in_words(timeout):
            return super().result(_seconds("kofn.Job.result", timeout))

    @checks.without("kofn.Job.exception", timeout_seconds="it is timeout= now")
    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end, and return what `result` would raise; None where there is an answer.

        Raises
        ------
        TimeoutError
            After so many seconds; the job goes on.
        Cancelled
        """
        with self._in_words(timeout):
            return super().exception(_seconds("kofn.Job.exception", timeout))

    def cancel(self) -> bool:
        """End the job at once, whatever it is at; what runs is abandoned. False once it has ended by itself."""
        if self._decides("cancelled"):
            try:
                self._execution.cancel()
                super().cancel()
            finally:  # whatever those raise that it calls back, and where a Ctrl-C comes in between
                super().cancel()
                if self._state == "CANCELLED":
                    self.set_running_or_notify_cancel()
        return self._end == "cancelled"

    def close(self) -> None:
        """Cancel the job if it still runs, and wait until nothing of it is left."""
        self.cancel()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def add_done_callback(self, fn: Callable[[Future[Answer]], object]) -> None:
        """Call ``fn(job)`` when it has ended, in the thread that ends it, also if nobody holds it any more."""
        self._heard.append(self)
        super().add_done_callback(fn)
        if self.done():
            self._heard.clear()

    def __iter__(self) -> Iterator[Answer]:
        """Yield the newest estimate whenever one is there, the last one being the answer."""
        self._watched = True
        last: Answer | None = None
        while not self.done():
            with self._in_words(None), self._condition:
                self._condition.wait_for(lambda: self.done() or self._newest is not last)  # noqa: B023
                fresh, last = self._newest is not last, self._newest
            if fresh and last is not None:
                yield last
        yield self.result()

    def detach_after_fork(self) -> None:
        """In a forked child, be ended: as it was if it had, or else because its thread is not there."""
        state, answer, error = self._state, self._result, self._exception
        if state != "FINISHED":
            error = PoolClosed("the job belongs to the process that it was made in; make another one in this process")
        self._deciding = threading.Lock()
        Future.__init__(self)  # a thread of the parent may hold its lock
        if self._end == "cancelled":
            super().cancel()
            self.set_running_or_notify_cancel()
            return
        self._end = "settled"
        self._tell(answer, error)

    def _decides(self, end: str) -> bool:
        """Whether this decides how the job ends, as the first to ask does."""
        with self._deciding:
            first = not self._end
            self._end = self._end or end
        return first

    def _note(self, estimate: Answer) -> None:
        with self._condition:
            self._newest = estimate
            self._condition.notify_all()

    def _settle(self, answer: Answer | None, error: BaseException | None) -> None:
        if self._decides("settled"):
            self.set_running_or_notify_cancel()
            self._tell(answer, error)

    def _tell(self, answer: Answer | None, error: BaseException | None) -> None:
        if answer is None:
            self.set_exception(error)
        else:
            self.set_result(answer)

    @contextmanager
    def _in_words(self, timeout: float | None) -> Iterator[None]:
        """Cancel at Ctrl-C, and say what the standard library raises without a word."""
        try:
            yield
        except CancelledError as error:
            raise error if isinstance(error, Cancelled) else Cancelled("the job was cancelled.") from None
        except TimeoutError:
            if self.done():  # it is what became of the job
                raise
            raise TimeoutError(f"no answer within {timeout} s; the job goes on.") from None
        except KeyboardInterrupt:
            self.cancel()
            raise

    def __repr__(self) -> str:
        if not self.done():
            code = self._execution.scheme.code
            return f"<Job, running: {code.name}, {len(self._execution.results)} of {code.rows} results>"
        if self.cancelled():
            return "<Job, cancelled>"
        error = super().exception()
        return f"<Job, done: {super().result()}>" if error is None else f"<Job, ended by {error_line(error)}>"


def _follow(job: weakref.ref[Job], execution: Execution, heard: list[Job], call: str) -> None:
    """Run a job to its end; this is what its thread does."""
    answer = error = None
    try:
        with checks.named(call):
            answer = execution.finish(partial(_show, job))
    except BaseException as caught:  # it belongs to whoever asks for the result
        error = caught
    try:
        _settle(job(), answer, error)
    finally:
        heard.clear()
        error = None  # which holds this frame


def _settle(job: Job | None, answer: Answer | None, error: BaseException | None) -> None:
    if job is not None:
        job._settle(answer, error)


def _show(job: weakref.ref[Job], run: RunLoop) -> None:
    """Make an estimate after an arrival, if somebody iterates over the job; the last one is the answer itself."""
    watched = job()
    if watched is not None and watched._watched and not run.collector.done:
        watched._note(run.estimate())


def _seconds(call: str, timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, int | float) and timeout < 0:
        return 0.0  # time that is up, as of any future: what is left until a moment that has passed
    return min(checks.number(call, "timeout", timeout, "leave it out to wait for the end"), threading.TIMEOUT_MAX)
