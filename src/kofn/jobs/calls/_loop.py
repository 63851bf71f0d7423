"""The loop of calls: it carries out what `CallState` decides, with real workers, and tells it what came of that."""

from __future__ import annotations

import logging
import math
import queue
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from copy import copy
from itertools import count
from typing import Any, NamedTuple

from ..._base._clock import Clock, RealClock
from ..._base._closeable import Home
from ..._base._envelope import ESCAPES, Envelope, error_line
from ...engines import _delays
from ...engines._delays import delays_of
from ...engines._protocol import POLL_SECONDS, Pool, capabilities_of
from ...engines._reputation import reputation_of
from ...errors import ArgumentError, Cancelled, PoolClosed, WorkerError, WorkerLost
from ...schemes._task import Task
from ...schemes.functions._calls import resident_key
from .._placement import Placement, size_of
from ..report._attempt import Attempt, Outcome, Stalled
from . import _events as on
from ._kernel import Outcomes, run_calls, unpacked
from ._lines import Place, place_of
from ._state import CallState
from ._tempo import MESSAGE_SECONDS

SEEN = 4096
"""Newest messages that a pool is told of at the end."""


class Result(NamedTuple):
    """What became of a call: its value, or an envelope or exception that says why there is none."""

    number: int
    worker: int
    value: Any
    failure: Envelope | BaseException | None = None


class Message(NamedTuple):
    """What a worker was sent, under a number of its own: it may be ended, and what comes of it be of no interest."""

    serial: int
    worker: int
    numbers: Sequence[int]
    sent: float
    future: Future[Any]


class CallLoop:
    """Calls of one function on a pool, of which any thread may add more; one thread drives it.

    Parameters
    ----------
    pool : Pool
        One that has a ``clock``, such as `kofn.simulation.VirtualPool`, tells the time.
    placement : Placement
        Where resident data is noted.
    function : callable
        Goes to a worker once.
    most : int, optional
        Workers that are used at the same time; all by default.
    """

    def __init__(self, pool: Pool, placement: Placement, function: Callable[..., Any], most: int | None = None) -> None:
        self._home = Home()
        self._clock: Clock = getattr(pool, "clock", RealClock())
        capabilities = capabilities_of(pool)
        self.pool, self._placement = pool, placement
        self._apart = not capabilities.by_reference
        self._state = CallState(pool.n, capabilities.kills)
        self._workers = range(pool.n if most is None else min(most, pool.n))
        self._function = Task(run_calls, (), {resident_key(function): function})
        self._inbox: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._messages: dict[int, Message] = {}  # by worker
        self._numbers = count()
        self._arguments: dict[int, tuple[Any, ...]] = {}
        self._added: deque[tuple[int, int, Place | None]] = deque()
        self._dropped: deque[int] = deque()
        self._seen: deque[_delays.Message] = deque(maxlen=SEEN)
        self._waits: deque[float] = deque(maxlen=SEEN)  # what messages cost beside their work
        self.started = self._clock.now()
        self._looked = 0.0  # when, for workers that become ready by themselves
        self._came: list[Result] = []  # and have not been handed on
        self._error: Exception | None = None  # is raised once they are
        self.loss: WorkerError | None = None  # the last
        self.attempts: list[Attempt] | None = None  # where somebody wants to know
        self.begins: Callable[[int], bool] = self._arguments.__contains__  # whether a call, about to be sent, is to be
        self.stalled: list[Stalled] = []
        self.placed_bytes = self.sent_bytes = self.received_bytes = 0

    # -- what any thread may do -----------------------------------------------------------------------

    def add(self, number: int, arguments: tuple[Any, ...]) -> None:
        """Have one more call; it is heard of with the next turn."""
        self._arguments[number] = arguments
        self._added.append((number, size_of(arguments), place_of(arguments)))

    def drop(self, number: int) -> None:
        """Want no result of a call any more; it is heard of with the next turn."""
        self._dropped.append(number)

    def wake(self) -> None:
        """Let the thread that waits take its turn."""
        self._inbox.put(None)

    @property
    def is_here(self) -> bool:
        """Whether this is the process that made it."""
        return self._home.is_here

    # -- what one thread does -------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._clock.now() - self.started

    @property
    def unfinished(self) -> int:
        """How many calls have no result yet."""
        return len(self._arguments)

    @property
    def capacity(self) -> int:
        """How many keep all workers busy."""
        return max(1, self._state.capacity)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come: every worker is gone."""
        return self._state.is_over

    @property
    def end(self) -> PoolClosed | WorkerLost:
        """Why nothing more can come."""
        if getattr(self.pool, "is_open", True):
            last = f"; the last: {self.loss}" if self.loss else ""
            barred = len(self._state.barred)
            aside = f", {barred} of them set aside for wrong results" if barred else ""
            return WorkerLost(f"all {self.pool.n} workers are gone{aside}{last}", -1)
        return PoolClosed("the pool was closed while calls ran on it.")

    def begin(self) -> None:
        """Place the function, which is refused here if it cannot travel, and look at the workers."""
        with suppress(WorkerError):  # that one is gone
            self.placed_bytes += self._placement.ensure(0, self._function)
        self._leave_out()
        self._look(self._workers)

    def turn(self, until: float = math.inf) -> list[Result]:
        """Give out what there is, wait for something to happen until then at most, and return the results that came.

        What ends it all is raised after these: a call that has come to its end is forgotten, and nobody else ends it.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        try:
            self._step(until)
        except Exception as error:
            if not self._came:
                raise
            self._error = error
        results, self._came = self._came, []
        return results

    def _step(self, until: float) -> None:
        self._home.require("what is computed here")
        self._take_added()
        if self._came or (self.is_over and self._arguments):  # nobody would wake it: the last word was taken already
            return
        wake = min(until, self._state.wake_at())
        entries = [self._clock.wait(self._inbox, max(0.0, wake - self.now))]
        while not self._inbox.empty():
            entries.append(self._inbox.get())
        came_back = [entry for entry in entries if entry is not None]
        for entry in came_back:
            self._came_back(*entry)
        absent = self._state.absent
        # Where others come back all the time, who has become ready by himself must not wait for a pause.
        if not came_back or (absent and self.now >= self._looked + POLL_SECONDS):
            self._look(absent)

    def rest(self) -> None:
        """Wait until somebody wakes it, whatever comes back, and keep nothing of what nobody will send."""
        self._inbox.get()
        self._added.clear()
        self._dropped.clear()

    def forsake(self) -> list[int]:
        """Forget every call that has no result, and return their numbers."""
        numbers = list(self._arguments)
        for number in numbers:
            self.drop(number)
            self._arguments.pop(number, None)
        return numbers

    def close(self) -> None:
        """Let go of everything that runs."""
        for worker in list(self._messages):
            message = self._messages[worker]
            self._note_message(message, self.now - message.sent, ended=False)
            self._end(worker)
        self._arguments.clear()
        self._remember()

    def _note_message(self, message: Message, away: float, ended: bool) -> None:
        self._seen.append(_delays.Message(message.worker, message.sent, away, len(message.numbers), ended))

    def _remember(self) -> None:
        """Let the pool remember what was seen of its workers."""
        if self._seen:
            seconds = self.now - self._seen[0].sent
            delays_of(self.pool).see(self.pool.n, self._seen, seconds, waits=self._waits)
        self._seen.clear()
        self._waits.clear()

    def _take_added(self) -> None:
        dropped = [self._dropped.popleft() for _ in range(len(self._dropped))]
        for number in dropped:
            self._arguments.pop(number, None)
        came = [self._added.popleft() for _ in range(len(self._added))]
        added = {number: size for number, size, _ in came if number in self._arguments}  # not dropped at once
        places = {number: place for number, _, place in came if place is not None and number in added}
        if dropped:
            self._tell(on.Dropped(dropped))
        if added:
            self._leave_out()
            self._tell(on.Added(added, places))

    def _leave_out(self) -> None:
        """Let the state know of workers that were wrong in earlier jobs, and give them nothing more."""
        if new := reputation_of(self.pool).left_out - self._state.barred:
            self._tell(on.LeftOut(new))

    def _look(self, workers: Sequence[int]) -> None:
        self._looked = self.now
        self._tell(on.Seen({worker: self.pool.state(worker) for worker in workers}))

    def _tell(self, event: on.Event) -> None:
        """Let the state hear of an event, and do what it wants done."""
        events = [event]
        while events:
            for action in self._state.handle(events.pop(), self.now):
                if isinstance(action, on.Send):
                    events += self._send(action)
                elif isinstance(action, on.End):
                    self._note_hung(self._messages[action.worker])
                    self._end(action.worker)
                elif self._arguments.pop(action.number, None) is not None:
                    self._came.append(Result(action.number, action.worker, None, action.error))

    # -- messages -------------------------------------------------------------------------------------

    def _send(self, action: on.Send) -> list[on.Event]:
        worker, numbers = action
        if (state := self.pool.state(worker)) != "idle":  # pools are given tasks only then
            return [on.Refused(worker, state)]
        if unwanted := [number for number in numbers if not self.begins(number)]:
            for number in unwanted:
                self._arguments.pop(number, None)
            return [on.Refused(worker, state, unwanted)]
        calls = [(number, self._arguments[number]) for number in numbers]
        keys = self._placement.keys(self._function)
        try:
            self.placed_bytes += self._placement.ensure(worker, self._function)
            future = self.pool.submit(worker, run_calls, 2 * MESSAGE_SECONDS, self._apart, calls, keys=keys)
        except WorkerError as error:  # between the look and the call it died, or another job took it
            self.loss = error.with_traceback(None)
            return [on.Refused(worker, self.pool.state(worker))]
        except ArgumentError as error:  # something cannot be pickled
            return [on.Undelivered(worker, self.pool.state(worker), error)]
        self.sent_bytes += sum(size_of(arguments) for _, arguments in calls)
        serial = next(self._numbers)
        self._messages[worker] = Message(serial, worker, numbers, self.now, future)
        # The callback must hold neither the future nor this: results would stay as long as anybody has the other one.
        inbox = self._inbox
        future.add_done_callback(lambda _: inbox.put((worker, serial)))
        return []

    def _note_hung(self, message: Message) -> None:
        """Say which call is ended as it seems to hang: it may do so again, and then the job has no end."""
        (number, *others) = message.numbers
        if others or number not in self._arguments:  # one of several does, or nobody wants it
            return
        self.stalled.append(Stalled(message.worker, number, self.now - message.sent, self._state.tempo.away))
        logging.getLogger("kofn").warning("call %d seems to hang, and is tried once more: %s", number, self.stalled[-1])

    def _end(self, worker: int) -> None:
        message = self._messages.pop(worker)
        # Not the pool's `stop`: the worker may have ended this task already and run one of another job.
        message.future.cancel()
        self._note(message, message.numbers, "abandoned")

    def _came_back(self, worker: int, serial: int) -> None:
        message = self._messages.get(worker)
        if message is None or message.serial != serial:
            return  # it was ended, and had just come to its end
        del self._messages[worker]
        state = self.pool.state(worker)
        try:
            outcomes: Outcomes = message.future.result()
        except (PoolClosed, Cancelled) as error:
            end = self.end  # a task may say in its own way that the pool was closed
            error.with_traceback(None)  # an engine may keep it, and it must not keep what runs here
            raise (end if isinstance(end, PoolClosed) else copy(error)) from error
        except Exception as error:
            self._note(message, message.numbers, "lost")
            self.loss = error.with_traceback(None) if isinstance(error, WorkerLost) else self.loss
            self._tell(_loss(worker, state, error))
            return
        away = self.now - message.sent
        self._note_message(message._replace(numbers=message.numbers[: max(1, outcomes.ended)]), away, ended=True)
        if isinstance(self._clock, RealClock):  # nobody computes in virtual time
            self._waits.append(max(0.0, away - outcomes.seconds))
        self._take(message, state, outcomes)

    def _take(self, message: Message, state: str, outcomes: Outcomes) -> None:
        values = [*outcomes.results, *[None] * (outcomes.failure is not None)]
        for place, (number, value) in enumerate(zip(message.numbers, values, strict=False)):
            if self._arguments.pop(number, None) is None:
                self._note(message, [number], "late")
                continue
            failure = outcomes.failure if place == len(outcomes.results) else None
            self._came.append(_unpacked(Result(number, message.worker, value, failure)))
            self.received_bytes += size_of(value)
            self._note(message, [number], "arrived")
        self._tell(on.Returned(message.worker, state, outcomes.ended, outcomes.seconds))

    def _note(self, message: Message, numbers: Sequence[int], outcome: Outcome) -> None:
        if self.attempts is not None:
            sent, ended = message.sent, self.now
            self.attempts.extend(Attempt(number, message.worker, 1.0, sent, ended, outcome) for number in numbers)


def _unpacked(result: Result) -> Result:
    try:
        return result._replace(value=unpacked(result.value))
    except ESCAPES as error:  # it is the user's own code that makes it again
        text = f"the task's result could not be rebuilt in this process: {error_line(error)}"
        return result._replace(value=None, failure=RuntimeError(text))


def _loss(worker: int, state: str, error: Exception) -> on.Lost | on.Undelivered:
    """What a message tells that came back without results."""
    if isinstance(error, WorkerLost):
        return on.Lost(worker, state, error.with_traceback(None))
    if isinstance(error, CancelledError):
        return on.Lost(worker, state, WorkerLost(f"what worker {worker} ran was stopped", worker))
    return on.Undelivered(worker, state, error)
