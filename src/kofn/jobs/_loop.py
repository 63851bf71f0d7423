"""The runtime: drives a Collector with real workers. The queue lives here, one message in flight per worker."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .._base._clock import Clock, RealClock
from .._base._closeable import Home
from .._base._envelope import Envelope
from .._base._numbers import precision
from ..engines._protocol import Pool
from ..errors import Cancelled, CodeError, NotDecodable, PoolClosed, TaskError, WorkerError, WorkerLost
from ..schemes._encoding import Stream
from ..schemes._scheme import Scheme, Task, listed
from ._answer import Answer
from ._collector import Collector, Progress
from ._message import Message, failure, has_results, send, undelivered
from ._placement import Placement, size_of
from .report._report import Attempt, Outcome, Report
from .scheduling._queue import Rota

CALL = "kofn.run"

ATTEMPTS = 3
"""A row that has cost so many workers their lives is given up."""

MESSAGE_SECONDS = 0.002
"""Rows shorter than this are sent several to a message, as many as take about this long."""

SHORTEST_ROW = 1e-6
"""Seconds that a row counts at least: a coarse clock may call it 0."""

POLL_SECONDS = 0.005
"""How often to look for workers that become ready by themselves, while rows wait for one."""


Event = int | None
"""A worker whose message came back, or None to wake the loop."""


class Run:
    """One job on a pool.

    Parameters
    ----------
    scheme : Scheme
    pool : Pool
    collector : Collector
        Of the scheme's code; decides when to stop.
    placement : Placement
        Where resident data is noted.
    backup : bool
        Whether idle workers repeat rows that are still running elsewhere (speculative execution).
    clock : Clock
        Tells the time and waits; a virtual one makes tests of delays instant.
    results : dict, optional
        Filled with the payload of every row that arrives, for a prior that learns from them.
    """

    def __init__(
        self,
        scheme: Scheme,
        pool: Pool,
        collector: Collector,
        placement: Placement,
        backup: bool = False,
        clock: Clock | None = None,
        results: dict[int, Any] | None = None,
    ) -> None:
        self._home = Home()
        self._clock = RealClock() if clock is None else clock
        self.scheme = scheme
        self.pool = pool
        self.collector = collector
        self._placement = placement
        self._backup = backup
        self._inbox: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._rota = Rota(scheme.code, pool.n, scheme.adaptive)
        self._running: dict[int, Message] = {}
        self._loss: WorkerError | None = None
        self._lives = [ATTEMPTS] * scheme.code.rows
        self._row_seconds = [float("inf")] * pool.n
        self._results: dict[int, Any] = {} if results is None else results
        self._attempts: list[Attempt] = []
        self._tasks: Sequence[Task] = ()
        self._under_way: dict[int, Sequence[Task]] = {}  # held: a `Stream` counts what is in memory
        self._placed_bytes = self._sent_bytes = self._received_bytes = 0
        self._cancelled = self._alone = False
        self._started = self._clock.now()
        self._encode_seconds = 0.0

    # -- from outside, on any thread ------------------------------------------------------------------

    def cancel(self) -> None:
        """Make `run` raise `Cancelled` as soon as it looks."""
        self._cancelled = True
        self._inbox.put(None)

    # -- the loop -------------------------------------------------------------------------------------

    def run(self, watch: Callable[[Run], None] | None = None) -> Answer:
        """Run the job to its end and return the answer.

        Parameters
        ----------
        watch : callable, optional
            Called after every arrival.

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
            self._tasks = self.scheme.encode(self.pool.empty)
            if len(self._tasks) != (rows := self.scheme.code.rows):
                raise CodeError(f"encode must give one task per row ({rows}), got {len(self._tasks)}.")
            self._encode_seconds = self._now()
            while not self._finished():
                self._dispatch()
                if self._take(self._next_event()) and watch is not None:
                    watch(self)
            self._take_surplus()
        except (NotDecodable, PoolClosed, WorkerLost, OSError) as error:
            self._require_pool(error)
            raise
        finally:
            self._abandon()
        return self._answered()

    def _require_pool(self, error: Exception) -> None:
        """Say that the pool was closed, whatever that led to."""
        if self._home.is_here and not getattr(self.pool, "is_open", True):
            raise PoolClosed("the pool was closed while a job ran on it.") from error

    def _now(self) -> float:
        return self._clock.now() - self._started

    def _finished(self) -> bool:
        self._home.require("the job")  # `watch` may have forked
        if self._cancelled:
            raise Cancelled("the job was cancelled.")
        self.collector.passed(self._now())
        return self.collector.done

    def _next_event(self) -> Event:
        waiting = self._rota.waiting
        if not self._running and not waiting:
            self._end("everything that can arrive has arrived")
            return None
        if not self._running and self._everyone_gone():
            last = f"; the last: {self._loss}" if isinstance(self._loss, WorkerLost) else ""
            self._end(f"all {self.pool.n} workers are gone{last}")
            return None
        # What the rule last heard of counts: a deadline may have passed since, while rows were given out.
        wait = self.collector.stop.wake(self.collector.time) - self._now()
        event: Event = self._clock.wait(self._inbox, max(0.0, min(wait, POLL_SECONDS) if waiting else wait))
        return event

    def _end(self, reason: str) -> None:
        """Let a job end now that only time would end later; its answer can only stay what it is."""
        while self.collector.count and math.isfinite(wake := self.collector.stop.wake(self.collector.time)):
            self.collector.passed(wake)
            if self.collector.done:
                return
        self.collector.settle()
        if self.collector.done:
            return
        raise self._not_decodable(reason) from self._loss

    def _everyone_gone(self) -> bool:
        return all(self.pool.state(worker) == "dead" for worker in range(self.pool.n))

    # -- giving out rows ------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        for worker in range(self.pool.n):
            if worker in self._running or self.pool.state(worker) != "idle":
                continue
            if self._finished():  # to give out rows takes time, and a deadline may have passed
                return
            rows = self._rows_for(worker)
            if rows:
                self._submit(worker, rows)

    def _rows_for(self, worker: int) -> list[int]:
        rota = self._rota
        rows = rota.next(worker, 1 if self._alone else max(1, int(MESSAGE_SECONDS / self._row_seconds[worker])))
        if not rows and rota.waiting:
            free = lambda owner, row: self._may_take(worker, owner, row)  # noqa: E731
            rows = rota.from_lanes(self._held_up(), free)
            rows = rows or rota.repeated([worker], lambda owner, row: True) or rota.repeated(self._held_up(), free)
        return rota.backup(self._oldest()) if self._backup and not rows else rows

    def _held_up(self) -> Iterator[int]:
        """Workers that are dead, starting, or busy with what is not of this job; if it is adaptive, with anything."""
        for worker in range(self.pool.n):
            mine = worker in self._running
            if (mine and self.scheme.adaptive) or (not mine and self.pool.state(worker) != "idle"):
                yield worker

    def _may_take(self, worker: int, owner: int, row: int) -> bool:
        """Whether an idle worker may take a row of one that is held up."""
        # Moving resident data costs more than waiting for a worker that comes back, unless nothing else goes on.
        return self.pool.state(owner) == "dead" or not self._running or self._moves_nothing(worker, row)

    def _moves_nothing(self, worker: int, row: int) -> bool:
        # To look at a task of a stream is to encode it; it has nothing resident.
        return isinstance(self._tasks, Stream) or self._placement.holds(worker, self._tasks[row])

    def _oldest(self) -> list[int]:
        """The rows under way, longest first."""
        messages = sorted(self._running.values(), key=lambda message: message.submitted)
        return [row for message in messages for row in message.rows]

    def _submit(self, worker: int, rows: list[int]) -> None:
        tasks = [self._tasks[row] for row in rows]
        for task in tasks:
            self._placed_bytes += self._placement.ensure(worker, task)
            self._sent_bytes += size_of(task.arguments)
        submitted = self._now()
        keys = [key for task in tasks for key in self._placement.keys(task)]
        try:
            future = send(self.pool, worker, tasks, keys)
        except WorkerError as error:  # between the look and the call it died, or another job took it
            self._loss = error.with_traceback(None)
            for row in reversed(rows):
                self._rota.returned(row)
            return
        self._rota.sent(rows)
        self._running[worker] = Message(rows, worker, submitted, future)
        self._under_way[worker] = tasks
        # Not the message, which has the future: results would stay in a circle until somebody collects it.
        future.add_done_callback(lambda _: self._inbox.put(worker))

    # -- taking results -------------------------------------------------------------------------------

    def _take(self, worker: Event) -> bool:
        if worker is None:
            return False
        message = self._running.pop(worker)
        del self._under_way[worker]
        try:
            outcome = message.future.result()
        except (WorkerLost, CancelledError) as error:
            self._loss = error.with_traceback(None) if isinstance(error, WorkerLost) else self._loss
            self._rota.came_back(message.rows, arrived=False)
            self._lost(message)
            return False
        except (PoolClosed, Cancelled):
            raise
        except Exception as error:
            self._undelivered(message, error)
            return False
        if isinstance(outcome, Envelope):
            self._note(message, message.rows, "lost")
            raise failure(outcome, worker, message.rows[outcome.position])
        self._row_seconds[worker] = max(SHORTEST_ROW, (self._now() - message.submitted) / len(message.rows))
        return self._arrived(message, outcome if len(message.rows) > 1 else [outcome])

    def _arrived(self, message: Message, payloads: Sequence[Any]) -> bool:
        fresh = False
        self._rota.came_back(message.rows, arrived=True)
        for row, payload in zip(message.rows, payloads, strict=True):
            if row in self._results:
                self._note(message, [row], "late")
                continue
            self._results[row] = self.scheme.accept(row, payload)
            self._received_bytes += size_of(self._results[row])
            self._note(message, [row], "arrived")
            self.collector.arrived(row, self._now(), precision(payload))
            fresh = True
        return fresh

    def _undelivered(self, message: Message, error: Exception) -> None:
        """Take that no results can come of a message; of several rows, each is tried alone, to find the one."""
        self._note(message, message.rows, "lost")
        if len(message.rows) == 1:
            raise undelivered(error, message.worker, message.rows[0])
        self._rota.came_back(message.rows, arrived=False)
        self._alone = True
        for row in reversed(message.rows):
            self._rota.returned(row)

    def _take_surplus(self) -> None:
        """Take what has arrived while the last results were taken: it costs nothing, and may contradict them."""
        while self.scheme.judge is not None and self.collector.exact and not self._inbox.empty():
            worker = self._inbox.get()
            message = None if worker is None else self._running.get(worker)
            if message is not None and has_results(message):
                with suppress(TaskError):  # what is exact already is not spoilt by a row that was not needed
                    self._take(worker)

    def _lost(self, message: Message) -> None:
        self._note(message, message.rows, "lost")
        for row in message.rows:
            self._lives[row] -= 1
            if self._lives[row] and row not in self._results:
                self._rota.returned(row)

    def _note(self, message: Message, rows: Sequence[int], outcome: Outcome) -> None:
        load = self.scheme.code.load
        self._attempts.extend(
            Attempt(row, message.worker, float(load[row]), message.submitted, self._now(), outcome) for row in rows
        )

    # -- the end --------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        for message in self._running.values():
            # Not the pool's `stop`: the worker may have ended this task already and run one of another job.
            message.future.cancel()
            self._note(message, message.rows, "abandoned")
        self._running.clear()
        self._tasks = ()
        self._under_way.clear()

    def estimate(self) -> Answer:
        """The best answer from what has arrived so far, in an array of its own."""
        return self._estimate(self.scheme.aside)

    def _estimate(self, scheme: Scheme) -> Answer:
        decoding = self.collector.decoding
        rows = list(self.collector.received)
        results = [self._results[row] for row in rows]
        caution = "" if decoding.exact else self.scheme.caution()
        return Answer(
            exact=decoding.exact,
            error=float(decoding.error),
            amplification=float(decoding.amplification),
            backward_error=float(decoding.backward_error),
            count=len(results),
            recovered=scheme.parts.told(decoding.recovered),
            parts=scheme.parts,
            report=replace(self._report(), remarks=(*self.collector.remarks, *filter(None, [caution]))),
            assemble=lambda: scheme.answer(lambda: decoding.matrix, rows, results),
        )

    @property
    def progress(self) -> Progress:
        """Where the job stands."""
        return self.collector.progress

    def _report(self) -> Report:
        attempts = sorted(self._attempts, key=lambda attempt: (attempt.submitted, attempt.row))
        scheme = self.scheme
        return Report(
            code=scheme.code.name,
            workers=self.pool.n,
            attempts=attempts,
            encode_seconds=self._encode_seconds,
            decode_seconds=0.0,
            seconds=self._now(),
            encoded_bytes=scheme.encoded_bytes,
            placed_bytes=self._placed_bytes,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
        )

    def _answered(self) -> Answer:
        if not self.collector.count:
            remedy = (
                "use a longer deadline, or call pool.warm(…) first, where workers had to import or to load something"
            )
            raise self._not_decodable("the deadline passed before any result arrived", remedy)
        answer = self._estimate(self.scheme)
        before = self._now()
        answer.value  # noqa: B018  decoding is part of the job, and of its time
        report = replace(answer.report, decode_seconds=self._now() - before, seconds=self._now())
        value = answer.value
        return replace(answer, report=report, assemble=lambda: value)

    def _not_decodable(self, reason: str, remedy: str = "use more or faster workers") -> NotDecodable:
        have = f"{self.collector.count} of {self.scheme.code.rows} results arrived"
        estimate = self.estimate() if self.collector.count else None
        remedy = "its best estimate is in the exception's 'estimate'" if estimate else remedy
        name = self.scheme.code.name
        error = NotDecodable(f"{name} is not exact: {reason} ({have}{self._given_up()}); {remedy}.", estimate)
        error.call = CALL
        return error

    def _given_up(self) -> str:
        lost = [row for row, lives in enumerate(self._lives) if lives == 0]
        if not lost:
            return ""
        rows = f"row{'s' * (len(lost) > 1)} {listed(lost)}"
        held = self.scheme.explain(lost)
        return f", {rows}{held and f' ({held})'} {'were' if lost[1:] else 'was'} given up after {ATTEMPTS} lost workers"
