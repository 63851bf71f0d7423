"""The loop of a run: it carries out what `RunState` decides, with real workers, and tells it what came of that."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any
from weakref import proxy

from .._base._clock import Clock, RealClock
from .._base._closeable import Home
from .._base._envelope import Envelope
from .._base._numbers import epsilon_of
from ..codes._rows import FixedRows
from ..engines._delays import delays_of
from ..engines._protocol import Pool, capabilities_of, remark_of
from ..errors import Cancelled, CodeError, Corrupted, NotDecodable, PoolClosed, TaskError, WorkerError, WorkerLost
from ..schemes._encoding import Tasks
from ..schemes._scheme import Learner, Scheme
from ..schemes._task import Task
from . import _events as on
from ._answer import Answer, answer_of
from ._checks import Checks, Heard, NoChecks
from ._collector import Collector
from ._delivery import ByValue, Delivery, sent_bytes
from ._memory import RunMemory
from ._message import failure, has_results, undelivered
from ._placement import Placement, size_of
from ._stalls import Stalls
from ._state import RunState
from ._stop import nothing_arrived
from ._stream import TaskStream
from ._undecodable import given_up, not_decodable
from ._watch import remember
from .report._report import Report
from .scheduling import CodedBackups, Scheduler
from .scheduling._names import as_scheduler
from .scheduling._pace import Pace

CALL = "kofn.run"


class RunLoop:
    """One run on a pool.

    What prepares a run hands over exactly this; nothing here looks further. Of the scheme are used ``code``,
    ``explain``, ``describe``, and what an answer is made of: ``answer``, ``parts``, ``caution``.

    Parameters
    ----------
    scheme : Scheme
    pool : Pool
        One that has a ``clock``, such as `kofn.simulation.VirtualPool`, tells the time of the run.
    collector : Collector
        Of the scheme's code, with ``results``; decides when to stop.
    placement : Placement
        Where resident data is noted.
    scheduler : Scheduler, optional
        Decides what an idle worker is given.
    results : dict, optional
        Filled with the payload of every row that arrives, for a prior that learns from them.
    learner : Learner, optional
        What this run knows of its results; a fresh one by default.
    memory : RunMemory, optional
        Makes the tasks, in the order of rows, and keeps the results; without a limit by default.
    out : array, optional
        Where the answer is written.
    choice : str
        What was chosen for this run and why, for its report.
    pace : Pace, optional
        What runs before have told of the workers; this one adds to it.
    checks : Checks, optional
        What results are checked by; by default by nothing.
    delivery : Delivery, optional
        What takes tasks to workers; by value, if it is left out.
    """

    def __init__(
        self,
        scheme: Scheme,
        pool: Pool,
        collector: Collector,
        placement: Placement,
        scheduler: Scheduler | None = None,
        results: dict[int, Any] | None = None,
        learner: Learner | None = None,
        memory: RunMemory | None = None,
        out: Any = None,
        choice: str = "",
        pace: Pace | None = None,
        checks: Checks | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self._home = Home()
        self._clock: Clock = getattr(pool, "clock", RealClock())
        self.scheme = scheme
        self._learner = scheme.learner() if learner is None else learner
        self._memory = RunMemory(scheme.encoding().encode) if memory is None else memory
        self._out = out
        self._choice = choice
        self.checks = NoChecks() if checks is None else checks
        self.pool = pool
        self.collector = collector
        self._placement = placement
        self._delivery = ByValue(pool, placement) if delivery is None else delivery
        scheduler = as_scheduler(CALL, "auto", scheme.adaptive) if scheduler is None else scheduler
        loop = proxy(self)  # a state that held its loop would keep operands and results until garbage is looked for
        lacks = lambda worker, row: loop._lacks(worker, row)  # noqa: E731
        self.state = RunState(
            collector, pool.n, scheduler, lacks, scheme.rows, pace, self.checks.lies, self._delivery.holders()
        )
        self._stalls = Stalls(self.state.view, self._clock)
        self._inbox: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # a message that is back, or a call
        self._futures: dict[int, Future[Any]] = {}
        self._messages = count()
        self._workers: dict[int, int] = {}  # of messages that are out; those that were ended are not
        self._tasks: Sequence[Task] = ()
        self._fresh: dict[int, Task] = {}
        self._held: dict[int, Sequence[Task]] = {}  # a stream counts what is in memory
        self._results: dict[int, Any] = {} if results is None else results
        self._placed_bytes = self._sent_bytes = self._received_bytes = 0
        self._cancelled = False
        self._wake = self._encode_seconds = 0.0
        self._started = self._clock.now()

    # -- from outside, on any thread ------------------------------------------------------------------

    def cancel(self) -> None:
        """Make `run` raise `Cancelled` as soon as it looks."""
        self._cancelled = True
        self._inbox.put(None)

    # -- the loop -------------------------------------------------------------------------------------

    def run(self, *watchers: Callable[[RunLoop], None]) -> Answer:
        """Run the job to its end and return the answer.

        Parameters
        ----------
        *watchers : callable
            Called with this after every arrival.

        Raises
        ------
        NotDecodable
            Nothing more can come and the stop rule is not met, or the deadline passed with nothing.
        TaskError
            A task's function raised.
        Cancelled, PoolClosed
        """
        self._started = self._clock.now()
        try:
            self._encode()
            states = [self.pool.state(worker) for worker in range(self.pool.n)]
            fixed = self._memory.is_short or isinstance(self._tasks, TaskStream)
            goes_on = self._tell(on.Encoded(states, fixed, capabilities_of(self.pool).kills))
            while goes_on or self._withdraws():
                self._delivery.advance(self.state.view, self._task, partial(self._inbox.put, None))
                count = self.collector.count
                goes_on = self._tell(self._next_event())
                for watch in watchers if self.collector.count > count else ():
                    watch(self)
            self._take_surplus()
        except (NotDecodable, PoolClosed, Cancelled, WorkerLost, OSError) as error:
            self._require_pool(error)
            raise
        finally:
            self._close()
        return self._answered()

    def _encode(self) -> None:
        self._tasks = self._memory.encode(self.pool.empty)
        if len(self._tasks) != (rows := self.scheme.code.rows):
            raise CodeError(f"encode must give one task per row ({rows}), got {len(self._tasks)}.")
        self._encode_seconds = self._now()

    def _tell(self, event: on.Event) -> bool:
        """Let the state hear of an event and do what it wants done; return whether the run goes on."""
        return all(self._carry_out(self._handled(one)) for one in (*self.checks.news(), event))

    def _carry_out(self, actions: list[on.Action]) -> bool:
        while actions:
            action = actions.pop(0)
            if isinstance(action, on.Submit):
                actions += self._handled(self._submit(action))
            elif isinstance(action, on.Restart):
                actions += self._handled(self._restart(action.worker))
            elif isinstance(action, on.WakeAt):
                self._wake = action.time
            elif isinstance(action, on.Audit):
                actions += self._handled(self.checks.audit(self.collector.received, self._results, action.last))
            elif isinstance(action, on.Fail):
                if (error := action.error or self.checks.unsettled()) is not None:
                    raise error
                raise self._not_decodable(action.reason) from self.state.loss
            elif isinstance(action, on.Decode):
                return False
        return True

    def _withdraws(self) -> bool:
        """Whether the run goes on after all, since workers have gone silent with what the answer is made of."""
        gone = self._delivery.gone(self.state.view)
        return bool(gone) and self._tell(on.Vanished(gone))

    def _handled(self, event: on.Event) -> list[on.Action]:
        if isinstance(event, on.Withdrawn):
            for row, _ in event.again:
                self._results.pop(row, None)
        return self.state.handle(on.CancelAsked() if self._cancelled else event, self._now())

    def _now(self) -> float:
        return self._clock.now() - self._started

    def _require_pool(self, error: Exception) -> None:
        """Say that the pool was closed, whatever that led to."""
        if self._home.is_here and not getattr(self.pool, "is_open", True):
            raise PoolClosed("the pool was closed while a job ran on it.") from error

    # -- giving out rows ------------------------------------------------------------------------------

    def _submit(self, action: on.Submit) -> on.Sent | on.Refused:
        worker = action.worker
        if (state := self.pool.state(worker)) != "idle":  # pools are given tasks only then
            return on.Refused(worker, state)
        tasks = list(map(self._task, action.rows))
        try:
            placed = self._delivery.place(worker, tasks)
            self._placed_bytes += placed
            self._sent_bytes += sent_bytes(tasks)
            submitted = self._now()
            future = self._delivery.send(worker, tasks)
        except WorkerError as error:  # between the look and the call it died, or another job took it
            return on.Refused(worker, self.pool.state(worker), error.with_traceback(None))
        message = next(self._messages)
        self._futures[worker], self._held[worker], self._workers[message] = future, tasks, worker
        # The callback must hold neither the future nor this: results would stay as long as anybody has the other one.
        inbox = self._inbox
        future.add_done_callback(lambda _: inbox.put(message))
        return on.Sent(worker, submitted, placed)

    def _restart(self, worker: int) -> on.Event:
        """End a task as it is abandoned: the pool's `stop` could come late, and find a task of another job."""
        self._workers = {message: other for message, other in self._workers.items() if other != worker}
        if not self._futures[worker].cancel():  # it has ended by itself
            return self._came_back(worker)
        del self._futures[worker], self._held[worker]
        return on.Ended(worker, self.pool.state(worker))

    def _task(self, row: int) -> Task:
        if row < len(self._tasks):
            return self._tasks[row]
        if row not in self._fresh:
            self._fresh[row] = self.scheme.fresh_task(self.collector.code.generator[row], self._tasks)
        return self._fresh[row]

    def _lacks(self, worker: int, row: int) -> int:
        # To look at a task may be to encode it; then it has nothing resident.
        return 0 if isinstance(self._tasks, TaskStream | Tasks) else self._delivery.lacks(worker, self._task(row))

    # -- taking results -------------------------------------------------------------------------------

    def _next_event(self) -> on.Event:
        self._home.require("the job")  # one who watches may have forked, and nobody answers to a child
        view = self.state.view
        wake = min(self._wake, self._delivery.next_look(view))
        while (message := self._stalls.wait(self._inbox, wake, self._started)) is not None:
            if message in self._workers:  # of another, the worker was ended
                return self._came_back(self._workers.pop(message))
        others = (*view.idle, *view.absent) if view.waiting or self._delivery.patience is not None else ()
        return on.Tick({other: self.pool.state(other) for other in others}, self._delivery.silent(view))

    def _came_back(self, worker: int) -> on.Event:
        future, rows = self._futures.pop(worker), self.state.view.in_flight[worker].rows
        tasks, state = self._held.pop(worker), self.pool.state(worker)
        try:
            outcome = future.result()
        except self._delivery.losses as error:
            return on.Lost(worker, state, error.with_traceback(None))
        except (PoolClosed, Cancelled) as error:
            return on.PoolGone(copy(error.with_traceback(None)))  # an engine may keep it, with the frames of who raises
        except CancelledError:
            return on.Lost(worker, state)
        except Exception as error:
            return on.Undelivered(worker, state, self.scheme.explain(undelivered(error, worker, rows[0])))
        if isinstance(outcome, Envelope):
            return on.Raised(worker, self.scheme.explain(failure(outcome, worker, rows[outcome.position])))
        try:
            payloads = outcome if len(rows) > 1 else [outcome]
            heard = [self._hear(worker, *one) for one in zip(rows, tasks, payloads, strict=True)]
        except (TaskError, Corrupted) as error:
            return on.Raised(worker, error)
        epsilons = list(map(epsilon_of, payloads))
        of = {row: Heard.UNSURE if self.checks.takes_back(row) else said for row, said in zip(rows, heard, strict=True)}
        wrong, unsure = ([row for row in rows if of[row] is what] for what in (Heard.WRONG, Heard.UNSURE))
        if wrong:
            return on.Rejected(worker, state, epsilons, wrong, unsure)
        return on.Arrived(worker, state, epsilons, unsure)

    def _hear(self, worker: int, row: int, task: Task, result: Any) -> Heard:
        """Check a result of a row that is new, and keep what is to be used."""
        self._delivery.take(row, worker, result)
        if row in self._results:
            return Heard.RIGHT
        heard = self.checks.hear(worker, row, task, result)
        if heard is not Heard.RIGHT:
            return heard
        try:
            payload = self._learner.take(row, result, worker)
        except TaskError as error:
            if (heard := self.checks.misfit(worker, row, result, error)) is not Heard.RIGHT:
                return heard
            self._learner.forget()  # what others were like was borne out by nobody
            payload = self._learner.take(row, result, worker)
        self._results[row] = self._memory.keep(row, payload)
        self._received_bytes += size_of(self._results[row])
        return heard

    def _take_surplus(self) -> None:
        """Take what has arrived meanwhile, where nothing else is there, or where it may contradict what is exact."""
        if self.checks.compares:  # nothing bears it out any more
            return
        while not self._inbox.empty() and (not self.collector.count or (self._learner.judge and self.collector.exact)):
            message = self._inbox.get()
            worker = -1 if message is None else self._workers.pop(message, -1)
            if worker in self._futures and has_results(self._futures[worker]):
                event = self._came_back(worker)
                if isinstance(event, on.Arrived):  # what is exact already is not spoilt by a row that was not needed
                    self._handled(event)

    # -- the end --------------------------------------------------------------------------------------

    def _close(self) -> None:
        for action in self.state.handle(on.Closed(), self._now()):
            if isinstance(action, on.Abandon) and action.worker in self._futures:
                # Not the pool's `stop`: the worker may have ended this task already and run one of another job.
                self._futures[action.worker].cancel()
        for kept in self._futures, self._workers, self._held, self._fresh:
            kept.clear()
        if self.state.attempts:
            ran, work = self._now() - self._encode_seconds, self.scheme.flops
            remember(delays_of(self.pool), len(self.state.view.states), self.state.attempts, ran, work)
        self._tasks = ()
        self._delivery.close()

    def estimate(self, out: Any = None) -> Answer:
        """The best answer from what has arrived so far, by default in an array of its own."""
        caution = "" if self.collector.decoding.exact else self.scheme.caution()
        said = (caution, self._why_copied(), *self._delivery.remarks, remark_of(self.pool))
        remarks = (*self.collector.remarks, *filter(None, said))
        report = replace(self._report(), remarks=remarks)
        answer = answer_of(self.scheme, self.collector, self._learner, self._results, report, out)
        return replace(answer, assemble=self._delivery.finished(answer.assemble))

    def _why_copied(self) -> str:
        """Why rows were copied where combinations were asked for."""
        rows = self.state.rows
        why = rows.why if isinstance(rows, FixedRows) and isinstance(self.state.scheduler, CodedBackups) else ""
        attempted = [attempt.row for attempt in self.state.attempts] if why else []
        return f"{why}." if len(set(attempted)) < len(attempted) else ""

    def _report(self) -> Report:
        attempts = sorted(self.state.attempts, key=lambda attempt: (attempt.submitted, attempt.row))
        return Report(
            code=self.scheme.code.name,
            workers=self.pool.n,
            attempts=attempts,
            encode_seconds=self._encode_seconds,
            decode_seconds=0.0,
            seconds=self._now(),
            encoded_bytes=self._memory.encoded_bytes,
            placed_bytes=self._placed_bytes,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            fresh_rows=range(self.scheme.code.rows, self.collector.code.rows),
            choice=self._choice,
            resident_bytes=self._placement.bytes_at_workers,
            wrong=tuple(self.checks.wrong),
            moved_bytes=dict(self._delivery.moved_bytes),
            stalled=tuple(self._stalls.seen(attempts, self._now())),
        )

    def _answered(self) -> Answer:
        if not self.collector.count:
            raise self._not_decodable(*nothing_arrived(self.collector.stop))
        answer = self.estimate(self._out)
        before = self._now()
        value = answer.value  # decoding is part of the job, and of its time
        report = replace(answer.report, decode_seconds=self._now() - before, seconds=self._now())
        return replace(answer, report=report, assemble=lambda: value)

    def _not_decodable(self, reason: str, remedy: str = "use more or faster workers") -> NotDecodable:
        told = self.checks.remark() + given_up(self.scheme, self.state.given_up, bool(self.checks.wrong))
        estimate = self.estimate() if self.collector.count else None
        return not_decodable(CALL, self.collector, told, estimate, reason, remedy)
