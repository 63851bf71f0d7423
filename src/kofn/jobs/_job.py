"""Jobs: a scheme on a pool, checked before anything starts, followed while it runs."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import numpy as np

from .. import checks
from .._base._closeable import Home
from .._base._envelope import told
from .._base._place import staying
from .._base._snapshots import Snapshot
from .._base._travel import Staying
from ..codes._linear import LinearCode
from ..codes.decoding._decode import decodable, decode
from ..codes.decoding._estimators import Estimator, checked
from ..codes.decoding._rank import space_of
from ..schemes._scheme import Learner, Scheme
from ._answer import Answer
from ._collector import Collector, Progress
from ._lease import Workers
from ._loop import RunLoop
from ._memory import plan_memory
from ._stop import StopRule, stop_rule
from .scheduling import Scheduler, as_scheduler

CALL = "kofn.start"


@checks.named(CALL)
def start(
    scheme: Scheme,
    *,
    workers: Any = None,
    estimator: Estimator = "lmmse",
    tolerance: float = 0.0,
    deadline: float | None = None,
    stop: StopRule | None = None,
    memory_limit_bytes: int | None = None,
    scheduler: str | Scheduler = "auto",
    scratch: str | os.PathLike[str] | None = None,
    out: Any = None,
) -> Job:
    """Start a scheme on workers and return at once, with a copy of the arrays in memory that it is made of.

    Parameters
    ----------
    scheme : Scheme
        From `kofn.schemes`, or your own.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many jobs, a Dask client, or one executor per
        worker. As many processes as processors by default.
    estimator : {"lmmse", "exact"} or Rule
        What an estimate uses for what is not exact yet: the least-squares best estimate, zero, or a code's own rule.
    tolerance, deadline : float, optional
        As for `kofn.matmul`. Time counts from the start of encoding.
    stop : StopRule, optional
        When the job is done, instead of these: `kofn.Decodable()` by default; `kofn.Tolerance`, `kofn.Deadline`,
        `kofn.Count`, and any two of them with ``|`` and ``&``.
    memory_limit_bytes : int, optional
        Most bytes for encoded blocks and results; by default half of what this machine, its control group and
        ``ulimit -v`` leave. Where not all fits, blocks are encoded when workers ask for them, and results wait
        in a file.
    scheduler : {"auto", "static", "adaptive", "speculative"} or Scheduler
        What idle workers are given: `kofn.Static`, `kofn.Adaptive`, `kofn.Speculative`, or one of your own.
    scratch : path, optional
        Folder for results that do not fit into memory; that of temporary files by default.
    out : array, optional
        Where the answer is written: an array, memory-mapped or in memory, or what is written to like one.

    Returns
    -------
    Job

    Raises
    ------
    ArgumentError
        Something about the arguments cannot work, such as a code that could not be decoded even if every row
        arrived. Nothing was started.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(12.0).reshape(6, 2)
    >>> with kofn.ThreadPool(3) as pool:
    ...     job = kofn.start(kofn.schemes.mds(A, A.T, workers=3, rng=0), workers=pool)
    ...     bool(np.allclose(job.result().value, A @ A.T))
    True
    """
    stop = stop_rule(CALL, tolerance, deadline, stop)
    return Job(
        *_prepared(scheme, workers, estimator, stop, memory_limit_bytes, scheduler, scratch=scratch, keep=True, out=out)
    )


@checks.named("kofn.run")
def run(
    scheme: Scheme,
    *,
    workers: Any = None,
    estimator: Estimator = "lmmse",
    tolerance: float = 0.0,
    deadline: float | None = None,
    stop: StopRule | None = None,
    memory_limit_bytes: int | None = None,
    scheduler: str | Scheduler = "auto",
    progress: Callable[[Progress], None] | None = None,
    results: dict[int, Any] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    out: Any = None,
) -> Answer:
    """Run a scheme on workers in the calling thread and return the answer; parameters as for `start`.

    Parameters
    ----------
    progress : callable, optional
        Called with a `Progress` after every arrival.
    results : dict, optional
        Filled with the payload of every row that arrives.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(2) as pool:
    ...     kofn.run(kofn.schemes.uncoded(np.eye(2), np.eye(2), workers=2), workers=pool).exact
    True
    """
    if progress is not None:
        checks.function(CALL, "progress", progress, "leave it out")
    stop = stop_rule(CALL, tolerance, deadline, stop)
    job, close = _prepared(scheme, workers, estimator, stop, memory_limit_bytes, scheduler, results, scratch, out=out)
    watch = None if progress is None else lambda now: progress(now.progress)
    try:
        return job.run(watch)
    finally:
        close()


class Job(Staying):
    """A running job; made by `start`.

    Iterate over it for better and better estimates, ask for its `result`, or `cancel` it. A job that is dropped
    is cancelled.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     job = kofn.start(kofn.schemes.mds(np.eye(6), np.eye(6), workers=3, rng=0), workers=pool)
    ...     errors = [estimate.error for estimate in job]
    >>> errors[-1]
    0.0
    """

    def __init__(self, run: RunLoop, close: Callable[[], None]) -> None:
        self._run = run
        self._home = Home()
        self._course = course = _Course()
        # Neither the thread nor what it calls may hold the job, or it would not end when nobody else does.
        self._thread = threading.Thread(
            target=staying().run, args=(course.follow, run, close), name="kofn-job", daemon=True
        )
        weakref.finalize(self, run.cancel).atexit = False
        try:
            self._thread.start()
        except BaseException:  # a system that gives no more threads
            close()
            raise

    @property
    def done(self) -> bool:
        """Whether the job has ended, well or not; in a forked child it goes no further."""
        return self._course.done or not self._home.is_here

    def __iter__(self) -> Iterator[Answer]:
        """Yield the newest estimate whenever one is there, the last one being the answer."""
        course = self._course
        self._require_reachable()
        course.watched = True
        while not course.done:
            with course.changed, self._cancelled_on_interrupt():
                course.changed.wait_for(lambda: course.done or course.latest is not None)
                estimate, course.latest = course.latest, None
            if estimate is not None:
                yield estimate
        yield self.result()

    def result(self, timeout: float | None = None) -> Answer:
        """Wait for the answer.

        Raises
        ------
        TimeoutError
            After so many seconds; the job goes on.
        NotDecodable, TaskError, Cancelled, PoolClosed
        """
        course = self._course
        seconds = None
        if timeout is not None:
            call, remedy = "Job.result", "leave it out to wait for the answer"
            seconds = min(checks.number(call, "timeout", timeout, remedy), threading.TIMEOUT_MAX)
        self._require_reachable()
        with course.changed, self._cancelled_on_interrupt():
            if not course.changed.wait_for(lambda: course.done, seconds):
                raise TimeoutError(f"no answer within {timeout} s; the job goes on.")
        if course.error is not None:
            raise course.error
        assert course.answer is not None
        return course.answer

    def cancel(self) -> None:
        """Stop the job: what runs is abandoned, nothing of it is left behind. Does nothing once it has ended."""
        if self._home.is_here:
            self._run.cancel()
            self._thread.join()

    def _require_reachable(self) -> None:
        """Refuse to wait in a forked child, where no thread of the job is left."""
        if self._home.is_here:
            return
        self._course.changed = threading.Condition()  # a thread of the parent may have held the other one
        if not self._course.done:
            self._home.require("the job")

    @contextmanager
    def _cancelled_on_interrupt(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._run.cancel()
            raise

    def __repr__(self) -> str:
        course, collector = self._course, self._run.collector
        if course.answer is not None:
            return f"<Job, done: {course.answer}>"
        if course.error is not None:
            return f"<Job, ended by {told(course.error)}>"
        return f"<Job, running: {collector.code.name}, {collector.count} of {collector.code.rows} results>"

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


class _Course:
    """What becomes of a job: told by its thread, read by the `Job`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.latest: Answer | None = None
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.watched = False

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None

    def follow(self, run: RunLoop, close: Callable[[], None]) -> None:
        """Run the job to its end; this is what the thread does."""
        answer, error = None, None
        try:
            with checks.named(CALL):
                try:
                    answer = run.run(self._arrived)
                finally:
                    close()
        except BaseException as caught:  # it belongs to whoever asks for the result
            error = caught
        with self.changed:
            self.answer, self.error = answer, error
            self.changed.notify_all()

    def _arrived(self, run: RunLoop) -> None:
        with self.changed:
            if self.watched and not run.collector.done:  # the last estimate is the answer itself
                self.latest = run.estimate()
                self.changed.notify_all()


def _prepared(
    scheme: Scheme,
    workers: Any,
    estimator: Estimator,
    stop: StopRule,
    memory_limit_bytes: int | None,
    scheduler: str | Scheduler,
    results: dict[int, Any] | None = None,
    scratch: str | os.PathLike[str] | None = None,
    keep: bool = False,
    out: Any = None,
) -> tuple[RunLoop, Callable[[], None]]:
    if not isinstance(scheme, Scheme):
        raise _no_scheme(scheme)
    if out is not None:
        checks.place(CALL, "out", out)
    estimator = checked(CALL, estimator)
    results = {} if results is None else results
    with ExitStack() as ours:
        team = workers if isinstance(workers, Workers) else ours.enter_context(Workers(workers, CALL))
        memory = plan_memory(CALL, scheme, team.n, memory_limit_bytes, scratch, out)
        learner = scheme.learner()
        _require_reachable(scheme, learner, estimator, stop)
        if keep:
            scheme = scheme.taken(Snapshot(team.by_reference))
            learner, memory = scheme.learner(), replace(memory, encoding=scheme.encoding())
        expect = lambda: learner.prior(results)  # noqa: E731
        collector = Collector(scheme.code, expect, estimator, stop, scheme.epsilon, learner.judge, results)
        schedule = as_scheduler(CALL, scheduler, scheme.adaptive)
        job = RunLoop(
            scheme, team.pool, collector, team.placement, schedule,
            results=results, learner=learner, memory=memory, out=out,
        )  # fmt: skip
        return job, ours.pop_all().close


def _no_scheme(given: Any) -> Exception:
    if isinstance(given, LinearCode | FunctionType):
        remedy = "start takes products and schemes of your own; maps and sums go to the background with "
        remedy += "ThreadPoolExecutor().submit(kofn.map, …)"
    else:
        remedy = "build one with kofn.schemes, such as kofn.schemes.mds(A, B, workers=4)"
    return checks.refusal(CALL, "scheme", "be a Scheme", f"a {type(given).__name__}", remedy)


@dataclass(frozen=True)
class _Everything:
    """The situation in which every row has arrived and all time has passed."""

    scheme: Scheme
    learner: Learner
    estimator: Estimator
    time: float = math.inf

    @property
    def count(self) -> int:
        return self.scheme.code.rows

    @property
    def exact(self) -> bool:
        return bool(decodable(self.scheme.code, np.arange(self.count), self.scheme.epsilon, self.estimator))

    @property
    def error(self) -> float:
        scheme, prior = self.scheme, self.learner.prior({})
        return float(decode(scheme.code, np.arange(self.count), prior, self.estimator, scheme.epsilon).error)


def _require_reachable(scheme: Scheme, learner: Learner, estimator: Estimator, stop: StopRule) -> None:
    """Refuse a job whose stop rule could not be met even if every row arrived."""
    if stop.is_met(_Everything(scheme, learner, estimator)):
        return
    given, remedy = _why_not(scheme)
    raise checks.refusal(CALL, "stop", "be reachable when every row arrives", given, remedy)


def _why_not(scheme: Scheme) -> tuple[str, str]:
    """Why all rows together do not make a job exact, and what would: more equations, or more digits."""
    code = scheme.code
    space = space_of(code)
    rank = sum(space.add(row) for row in range(code.rows))
    given = f"code {code.name!r} with {code.rows} rows of rank {rank} for {code.unknowns} unknowns"
    if rank < code.unknowns:
        return given, "use fewer blocks, more rows, a tolerance or a deadline"
    worst = float(decode(code, np.arange(code.rows), epsilon=1e-300).amplification)
    lost = f"rounding of {scheme.epsilon:.1g} of an output, amplified {worst:.2g} times, leaves too few digits"
    remedy = "give float64 data, use fewer inputs or blocks, a smaller degree or mask, a tolerance or a deadline"
    return f"{given}: {lost}", remedy
