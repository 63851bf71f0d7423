"""Where a run stands, and what is to be done next: no pool, no thread, no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..codes._rows import AMPLIFICATION, FixedRows, RowSource
from ..errors import Cancelled
from . import _events as on
from ._assignment import for_others, refusal, require_rows
from ._collector import Collector
from ._events import Phase
from ._holders import Holders
from ._seen import Seen
from ._trust import Trust
from ._view import Lacks, RunView
from ._waking import restarts_at, wake_at, why_over
from .report._attempt import Attempt, Outcome
from .scheduling import Copy, Fresh, InFlight, Rows, Scheduler, Wait
from .scheduling._pace import Pace


class RunState:
    """A run as a state machine: `handle` takes an event and returns what is to be done.

    Whoever drives it (`RunLoop` with a real or a virtual pool, or delays that were recorded) carries the actions out
    and tells what came of them. An event that speaks of what a run does not know, or no longer, changes nothing.

    Parameters
    ----------
    collector : Collector
        Of the code that is run; decides when to stop.
    workers : int
    scheduler : Scheduler
        Decides what an idle worker is given.
    lacks : callable, optional
        ``lacks(worker, row)`` tells how many bytes of resident data a worker lacks for a row; none by default.
    rows : RowSource, optional
        Makes fresh rows; by default there are those of the code only.
    pace : Pace, optional
        What is known of the workers before; the run adds to it.
    lies : int
        A worker that has sent so many messages with wrong results is given nothing more.
    holders : Holders, optional
        Of results that stay at the workers that computed them; by default they come to the client.

    Examples
    --------
    >>> import numpy as np
    >>> from kofn.codes._linear import LinearCode
    >>> from kofn.jobs.scheduling import Static
    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> state = RunState(Collector(code), 2, Static())
    >>> state.handle(on.Encoded(["idle", "idle"]), 0.0)
    [Submit(worker=0, rows=[0])]
    >>> state.handle(on.Sent(0, 0.0), 0.0), state.handle(on.Sent(1, 0.0), 0.0)
    ([Submit(worker=1, rows=[1])], [WakeAt(time=inf)])
    >>> state.handle(on.Arrived(1, "idle", [2e-16]), 0.5), state.handle(on.Arrived(0, "idle", [2e-16]), 0.7)
    ([WakeAt(time=inf)], [Decode()])
    """

    def __init__(
        self,
        collector: Collector,
        workers: int,
        scheduler: Scheduler,
        lacks: Lacks = lambda worker, row: 0,
        rows: RowSource | None = None,
        pace: Pace | None = None,
        lies: int = 1,
        holders: Holders | None = None,
    ) -> None:
        self.phase = Phase.ENCODING
        self.collector = collector
        self.scheduler = scheduler
        self.view = RunView(collector.code, workers, lacks, scheduler.skips_equal, pace)
        self.seen = Seen(self.view)
        self.rows = FixedRows(collector.code) if rows is None else rows
        self.attempts: list[Attempt] = []
        self.loss: BaseException | None = None
        self._trust = Trust(collector.code.rows, lies)
        self._load: list[float] = collector.code.load.tolist()
        self._to_ask: deque[int] = deque()
        self._ends = self._has_waited = self._asks_again = self._is_last = False
        self._unclear: on.Unclear | None = None
        self._holders = Holders(None) if holders is None else holders
        self.view.one_by_one = self._holders.stay_apart

    def handle(self, event: on.Event, now: float) -> list[on.Action]:
        """Take an event in, at a time in seconds since the start, and return what is to be done, in order."""
        self.view.now = max(self.view.now, now)
        if isinstance(event, on.Closed):
            return self._close()
        step = _STEPS.get(self.phase, {}).get(type(event))
        if isinstance(event, on.OfWorker) and event.worker not in self.view.in_flight:
            step = None  # what a run does not know, or no longer
        if (failure := None if step is None else step(self, event)) is not None:
            return [failure]
        return [self._next()] if self.phase is Phase.RUNNING else []

    @property
    def given_up(self) -> list[int]:
        """Rows that have cost too many workers their lives."""
        return sorted(self.view.given_up)

    # -- what has happened ----------------------------------------------------------------------------

    def _encoded(self, event: on.Encoded) -> None:
        self.phase = Phase.RUNNING
        self.view.makes_rows = self.rows.is_open and not event.fixed
        self._ends = event.ends
        for worker, state in enumerate(event.states):
            self.view.set_state(worker, state)
        self._ask_all()

    def _tick(self, event: on.Tick) -> None:
        for worker, state in event.states.items():
            if worker not in self.view.in_flight:
                self.view.set_state(worker, state)
        self.view.silent = event.silent
        self._holders.look(event.states)
        self._ask_all()

    def _vanished(self, event: on.Vanished) -> None:
        self.phase = Phase.RUNNING
        self._holders.forget(event.workers)
        self._ask_all()

    def _sent(self, event: on.Sent) -> None:
        old = self.view.in_flight[event.worker]
        self.view.send(replace(old, submitted=event.submitted, moved_bytes=event.moved_bytes))

    def _refused(self, event: on.Refused) -> None:
        self.loss = event.error or self.loss
        # One that calls itself idle and takes nothing is looked at again before it is asked.
        state = "busy" if event.state == "idle" else event.state
        self.view.put_back(self.view.bring_back(event.worker, state, arrived=False).rows)
        self._ask_all()

    def _arrived(self, event: on.Arrived) -> None:
        self._take(event, ())

    def _rejected(self, event: on.Rejected) -> None:
        """Take what is right, let another worker compute the rest, and remember who was wrong."""
        self._blame(event.worker)
        self._take(event, event.rows)

    def _blame(self, worker: int) -> None:
        if self._trust.blame(worker):
            self.view.bar(worker)

    def _take(self, event: on.Arrived | on.Rejected, wrong: Sequence[int]) -> None:
        aside = {*wrong, *event.unsure}
        self._unclear = None
        message = self.view.bring_back(event.worker, event.state, True, aside)
        self._measure(message)
        self._note(message, wrong, "wrong")
        self._note(message, event.unsure, "compared")
        self._trust.disbelieve(wrong, event.worker)
        self._put_back_or_give_up(wrong, self.view.another(event.worker))
        self.view.speak(event.worker, event.unsure)
        self.view.ask_another(event.unsure)
        for row, epsilon in zip(message.rows, event.epsilons, strict=True):
            if row in aside:
                continue
            self._holders.add(row, event.worker)
            self._note(message, [row], "late" if row in self.view.received else "arrived")
            if row not in self.view.received:
                self.view.receive(row)
                self.collector.add(row, self.view.now, epsilon)
        self._ask_all()

    def _withdrawn(self, event: on.Withdrawn) -> None:
        """Take back what is wrong or may be, and let others compute it; remember who was wrong."""
        self._unclear = None
        for worker in {worker for _, worker in event.wrong}:
            self._blame(worker)
        self.attempts = [one.withdrawn(event.wrong, event.again) for one in self.attempts]
        self.collector.withdraw({row for row, _ in event.again})
        self.view.withdraw(event.again)
        self._ask_all()

    def _vouched(self, event: on.Vouched) -> None:
        self.collector.vouch()

    def _doubted(self, event: on.Unclear) -> None:
        self._unclear = event

    def _lost(self, event: on.Lost) -> None:
        self.loss = event.error or self.loss
        message = self.view.bring_back(event.worker, event.state, arrived=False)
        self._note(message, message.rows, "lost")
        self._holders.lose(event)
        self._trust.lose(message.rows, event.worker, self.view)
        self._put_back_or_give_up(message.rows)
        self._ask_all()

    def _put_back_or_give_up(self, rows: Sequence[int], worker: int | None = None) -> None:
        for row in rows:
            if self._trust.is_spent(row):
                self.view.given_up.add(row)
                self.view.makes_rows = False  # what kills workers would do so in any combination
        self.view.put_back([row for row in rows if row not in self.view.given_up], worker)

    def _ended(self, event: on.Ended) -> None:
        message = self.view.bring_back(event.worker, event.state, arrived=False)
        self._note(message, message.rows, "restarted")
        self.view.restart(message)
        self._ask_all()

    def _undelivered(self, event: on.Undelivered) -> on.Fail | None:
        """Take that no results can come of a message; of several rows, each is tried alone, to find the one."""
        if len(self.view.in_flight[event.worker].rows) == 1:
            return self._raised(on.Raised(event.worker, event.error))
        message = self.view.bring_back(event.worker, event.state, arrived=False)
        self._note(message, message.rows, "lost")
        self.view.one_by_one = True
        self.view.put_back(message.rows)
        self._ask_all()
        return None

    def _raised(self, event: on.Raised) -> on.Fail | None:
        message = self.view.bring_back(event.worker, "busy", arrived=False)
        self._note(message, message.rows, "lost")
        return self._fail(event.error)

    def _cancel_asked(self, event: on.CancelAsked) -> on.Fail:
        self.phase = Phase.CANCELLED
        return on.Fail("it was cancelled", Cancelled("the job was cancelled."))

    def _pool_gone(self, event: on.PoolGone) -> on.Fail:
        return self._fail(event.error)

    def _fail(self, error: BaseException) -> on.Fail:
        self.phase = Phase.FAILED
        return on.Fail("", error)

    # -- what is to be done ---------------------------------------------------------------------------

    def _next(self) -> on.Action:
        if self._holders.count_on(self.view, self.collector):
            self._ask_all()
        self.collector.advance(self.view.now)
        if self.collector.wants_audit and self._unclear is None:
            return self._audit()
        if self.collector.done:
            self.phase = Phase.DECODING
            return on.Decode()
        if (action := self._restart() or self._assign()) is not None:
            return action
        if (reason := why_over(self.view, self.seen, self.scheduler, self.loss)) is not None:
            return self._end(reason)
        change = min(self.collector.next_change(), *(at for _, at in self._restarts()), math.inf)
        return on.WakeAt(wake_at(self.view, self.seen, self.scheduler, change))

    def _audit(self, last: bool = False) -> on.Audit:
        self._unclear, self._is_last = None, last
        return on.Audit(last)

    def _restart(self) -> on.Restart | None:
        return next((on.Restart(worker) for worker, at in self._restarts() if at <= self.view.now), None)

    def _restarts(self) -> Iterator[tuple[int, float]]:
        """When what each worker computes is to be ended."""
        if self._ends:
            for message in self.view.in_flight.values():
                yield message.worker, restarts_at(message, self.seen, self.scheduler)

    def _ask_all(self) -> None:
        """Ask what each idle worker is to be given, in turn."""
        self._to_ask.clear()
        self._has_waited = self._asks_again = False
        if self.view.idle and self.scheduler.has_work(self.seen):
            self._to_ask.extend(sorted(self.view.idle))

    def _assign(self) -> on.Submit | None:
        """Ask on; one that waited is asked again where another has been given something since, which may be late."""
        while self._to_ask or self._asks_again:
            if not self._to_ask:
                self._ask_all()
                continue
            worker = self._to_ask.popleft()
            if worker not in self.view.idle:
                continue
            assignment = self.scheduler.assign(worker, self.seen)
            if isinstance(assignment, Fresh):
                assignment = self._fresh(worker, assignment)
            given = for_others(assignment, worker, self.view)
            if not isinstance(given, Wait):
                self._asks_again = self._has_waited
                return self._submit(worker, given)
            self._has_waited = True
        return None

    def _fresh(self, worker: int, asked: Fresh) -> Rows | Copy | Wait:
        """Make a row that combines what is missing; where that is one unknown, it is another copy of its own row."""
        view = self.view
        if not view.makes_rows or not view.missing:
            raise refusal(asked, self.scheduler, "ask for fresh rows where they can be made", "look at view.makes_rows")
        if self.collector.exact:  # a stop rule that waits on must not be kept waiting by what is not needed
            return Wait()
        row = self.rows.fresh(view.code, sorted(view.missing))
        combined = np.flatnonzero(row)
        if len(combined) == 1:
            plain = view.plain_row(int(combined[0]))
            return Wait() if plain is None else Rows([plain]) if view.queue.is_waiting(plain) else Copy([plain])
        code = view.code.extended(row, worker, self.rows.load(row))
        self.collector.extend(code, AMPLIFICATION)
        view.extend(code)
        self._trust.add_row()
        self._load.append(float(code.load[-1]))
        return Rows([code.rows - 1])

    def _submit(self, worker: int, assignment: Rows | Copy) -> on.Submit:
        view, rows = self.view, require_rows(assignment, self.view, self.scheduler)
        (view.queue.mark_sent if isinstance(assignment, Copy) else view.queue.take)(rows)
        view.send(InFlight(tuple(rows), worker, view.now, view.now))
        return on.Submit(worker, rows)

    def _end(self, reason: str) -> on.Action:
        """Let a run end now that only time would end later; its answer can only stay what it is."""
        collector = self.collector
        if self._unclear is not None:
            return self._fail(self._unclear.error) if self._is_last else self._audit(last=True)
        while collector.count and math.isfinite(wake := collector.next_change()) and not collector.done:
            collector.advance(wake)
        if not collector.done:
            collector.settle()
            if collector.wants_audit:
                return self._audit()
        self.phase = Phase.DECODING if collector.done else Phase.FAILED
        return on.Decode() if collector.done else on.Fail(reason)

    def _close(self) -> list[on.Action]:
        if self.phase in (Phase.ENCODING, Phase.RUNNING):
            self.phase = Phase.FAILED
        elif self.phase is Phase.DECODING:
            self.phase = Phase.DONE
        actions: list[on.Action] = [on.Abandon(worker) for worker in self.view.in_flight]
        for message in self.view.in_flight.values():
            self._note(message, message.rows, "abandoned")
        self.view.in_flight.clear()
        return actions

    # -- what is kept ---------------------------------------------------------------------------------

    def _measure(self, message: InFlight) -> None:
        seconds = self.view.now - (message.began if message.moved_bytes else message.submitted)
        load = sum(self._load[row] for row in message.rows)
        self.view.speed.add(message.worker, len(message.rows), load, seconds, message.moved_bytes)

    def _note(self, message: InFlight, rows: Sequence[int], outcome: Outcome) -> None:
        worker, sent, now = message.worker, message.submitted, self.view.now
        self.attempts += [Attempt(row, worker, self._load[row], sent, now, outcome) for row in rows]

    def check(self) -> None:
        """Assert what always holds of where each row is and where each worker is."""
        assert set(self.collector.received) == self.view.received
        if self.phase in (Phase.ENCODING, Phase.RUNNING):
            self.view.check()

    def summary(self) -> str:
        """A page of text that says where everything is."""
        name = self.collector.code.name
        head = f"{name}: {self.phase.value} at {self.view.now:.3f} s, {self.scheduler}, given up {self.given_up}"
        return f"{head}\n{self.view.summary()}"


Step = Callable[[RunState, Any], on.Fail | None]

_ALWAYS: dict[type, Step] = {on.CancelAsked: RunState._cancel_asked, on.PoolGone: RunState._pool_gone}

_STEPS: dict[Phase, dict[type, Step]] = {
    Phase.ENCODING: {**_ALWAYS, on.Encoded: RunState._encoded},
    Phase.RUNNING: {
        **_ALWAYS,
        on.Sent: RunState._sent,
        on.Refused: RunState._refused,
        on.Arrived: RunState._arrived,
        on.Rejected: RunState._rejected,
        on.Withdrawn: RunState._withdrawn,
        on.Vouched: RunState._vouched,
        on.Unclear: RunState._doubted,
        on.Lost: RunState._lost,
        on.Ended: RunState._ended,
        on.Raised: RunState._raised,
        on.Undelivered: RunState._undelivered,
        on.Tick: RunState._tick,
    },
    # A late arrival costs nothing, and may contradict what is there.
    Phase.DECODING: {on.Arrived: RunState._arrived, on.Vanished: RunState._vanished},
}
"""What each event does in each phase; what is not here changes nothing."""
