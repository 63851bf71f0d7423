"""A run, its scheduler and its collector over the state machines of a local pool, in any order of what can happen.

Nothing is started and no clock is looked at: a seed draws what happens next out of all that may, and when. Each step
holds what must hold in any order; `World.settle` then lets nothing bad happen any more, and the run has to end.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kofn.engines import Stop
from kofn.engines.local import _events as slots
from kofn.engines.local._states import Slot, SlotState, step
from kofn.errors import WorkerLost
from kofn.jobs import _events as on
from kofn.jobs._events import Phase

GRACE = 0.05
ERROR = RuntimeError("the process ended")
ROUNDING = 1e-16

EVIL, JUMPS = 0.1, 0.3
"""How probable it is that a process may end or break off, and that nothing happens before a run wants to look again."""

SETTLING_STEPS = 600
"""More than enough for a run of a few rows from which all evil has been taken."""


class Call(NamedTuple):
    """A task at a worker, as far as a slot knows it."""

    number: int


class Place:
    """One worker: its slot, and what its process is really doing."""

    def __init__(self):
        self.slot, self.ready, self.computing, self.doomed = Slot(), False, None, False

    def possible(self, spared):
        """What its process may do next, by name; one that is spared does not end by itself."""
        if self.slot.state is SlotState.DEAD:
            return
        if self.doomed:
            yield "exits"
            return
        if not self.ready:
            yield "is ready"
        elif self.computing is not None:
            yield "replies"
            if self.slot.is_asked and self.slot.call is not None:
                yield "answers"
        if self.slot.deadline < math.inf:
            yield "has had its grace"
        if not spared:
            yield from ("exits", "cannot be reached")


class World:
    """Everything that there is.

    Parameters
    ----------
    state : RunState
        Not begun yet.
    workers : int
    seed : int
    lies : float
        How probable it is that a result is rejected, or withdrawn later.
    """

    def __init__(self, state, workers, seed, lies=0.0):
        self.state, self.rng, self.lies = state, np.random.default_rng(seed), lies
        self.places = [Place() for _ in range(workers)]
        self.now, self.wake, self.over = 0.0, math.inf, None
        self.calls, self.ends, self.came = {}, Counter(), []
        self.history, self.taken = [], []

    def play(self, steps):
        """Let so many things happen, then let it end."""
        self.tell(on.Encoded([place.slot.seen for place in self.places], ends=bool(self.rng.integers(2))))
        for _ in range(steps):
            if self.over is None:
                self.happen(kind=False)
        return self.settle()

    def settle(self):
        """Let nothing bad happen any more: the run has to end, and how."""
        for _ in range(SETTLING_STEPS):
            if self.over is not None:
                break
            self.happen(kind=True)
        assert self.over is not None, f"the run waits for ever:\n{self.state.summary()}"
        self.close()
        return self.over

    def happen(self, kind):
        """One thing out of all that may happen, at a time of its own."""
        spared = kind or self.rng.random() > EVIL
        choices = [(name, index) for index, place in enumerate(self.places) for name in place.possible(spared)]
        choices += [("comes back", index) for index in range(len(self.came))]
        choices += [("time passes", 0)] * (1 + (not choices))
        if not kind:
            choices += [("is withdrawn", 0)] * (self.rng.random() < self.lies)
            choices += [("is cancelled", 0), ("is closed", 0)] * (self.rng.random() < 0.005)
        name, index = choices[self.rng.integers(len(choices))]
        self.now += float(self.rng.choice([0.0, 0.001, 0.1, 3.0], p=[0.3, 0.3, 0.35, 0.05]))
        self.history.append((round(self.now, 9), name, index))
        _HAPPENINGS[name](self, index)

    # -- what happens at a process --------------------------------------------------------------------

    def is_ready(self, index):
        self.places[index].ready = True
        self.enter(index, slots.Hello())

    def replies(self, index):
        place = self.places[index]
        number, place.computing = place.computing, None
        self.enter(index, slots.Replied(number, (True, [], {})))

    def answers(self, index):
        self.enter(index, slots.Loads(self.places[index].slot.call.number, bool(self.rng.integers(2))))

    def has_had_its_grace(self, index):
        self.now = max(self.now, self.places[index].slot.deadline)
        self.enter(index, slots.GraceOver())

    def exits(self, index):
        place = self.places[index]
        place.ready, place.computing, place.doomed = False, None, False
        self.enter(index, slots.Exited(place.slot.process, ERROR))

    def cannot_be_reached(self, index):
        self.enter(index, slots.Unreachable())

    def enter(self, index, event):
        """Let a slot hear of it, and do what it wants done."""
        place = self.places[index]
        place.slot, actions = step(place.slot, event, self.now)
        for action in actions:
            if isinstance(action, slots.Send):
                assert place.ready and place.computing is None, "a process is sent one call, once it is ready"
                place.computing = action.call.number
            elif isinstance(action, slots.Kill):
                place.doomed = True
            elif isinstance(action, slots.Settle | slots.Fail | slots.Cancel):
                self.end(action)

    def end(self, action):
        """The future of a call ends; whoever waits for it hears of that later."""
        number = action.call.number
        self.ends[number] += 1
        assert self.ends[number] == 1, f"call {number} ends a second time"
        if not isinstance(action, slots.Cancel):
            self.came.append((number, isinstance(action, slots.Settle)))

    # -- what the run hears ---------------------------------------------------------------------------

    def comes_back(self, index):
        number, ok = self.came.pop(index)
        worker, rows = self.calls[number]
        if self.held(worker) != number:
            return  # it was ended meanwhile
        state = self.places[worker].slot.seen
        if not ok:
            self.tell(on.Lost(worker, state, WorkerLost("it died", worker)))
        elif self.rng.random() < self.lies:
            wrong = [row for row in rows if self.rng.integers(2)] or [rows[0]]
            self.tell(on.Rejected(worker, state, [ROUNDING] * len(rows), wrong))
        else:
            self.tell(on.Arrived(worker, state, [ROUNDING] * len(rows)))

    def time_passes(self, _):
        if math.isfinite(self.wake) and self.rng.random() < JUMPS:  # else something makes it look earlier
            self.now = max(self.now, self.wake)
        view = self.state.view
        self.tell(on.Tick({worker: self.places[worker].slot.seen for worker in (*view.idle, *view.absent)}))

    def is_withdrawn(self, _):
        taken = [(row, worker) for row, worker in self.taken if row in self.state.view.received]
        if taken:
            again = [taken[self.rng.integers(len(taken))]]
            self.tell(on.Withdrawn(again if self.rng.integers(2) else [], again))

    def is_cancelled(self, _):
        self.tell(on.CancelAsked())

    def is_closed(self, _):
        self.tell(on.PoolGone(ERROR))

    def held(self, worker):
        """The number of the call that the run has at a worker."""
        numbers = [number for number, (place, _) in self.calls.items() if place == worker]
        return numbers[-1] if numbers and worker in self.state.view.in_flight else None

    def tell(self, event):
        """Let the run hear of it, do what it wants done, and hold what must hold."""
        while event is not None:
            received = list(self.state.collector.received)
            if isinstance(event, on.Arrived | on.Rejected):
                worker, rows = event.worker, self.state.view.in_flight[event.worker].rows
                self.taken = [(row, one) for row, one in self.taken if row in received]
                self.taken += [(row, worker) for row in rows if row not in received]
            actions = self.state.handle(event, self.now)
            self.check()
            event = None
            for action in actions:
                event = self.do(action)
        if self.over is None:
            self.look_for_a_dead_end()

    def do(self, action):
        """Carry out what a run wants, and return what is to be told of it."""
        if isinstance(action, on.WakeAt):
            self.wake = action.time
        elif isinstance(action, on.Submit):
            return self.submit(action.worker, action.rows)
        elif isinstance(action, on.Restart):
            self.stop(action.worker)
            return on.Ended(action.worker, self.places[action.worker].slot.seen)
        elif isinstance(action, on.Decode | on.Fail):
            self.over = action
        return None

    def submit(self, worker, rows):
        place = self.places[worker]
        if place.slot.seen != "idle":
            return on.Refused(worker, place.slot.seen, WorkerLost("it is not idle", worker))
        number = len(self.calls) + 1
        self.calls[number] = worker, list(rows)
        self.enter(worker, slots.Submitted(Call(number)))
        return on.Sent(worker, self.now)

    def stop(self, worker):
        number = max(number for number, (place, _) in self.calls.items() if place == worker)
        self.enter(worker, slots.Stopped(number, Stop.ABANDON, GRACE, 0.0))

    def close(self):
        """The end: what still runs is abandoned, and the pool ends."""
        for action in self.state.handle(on.Closed(), self.now):
            self.stop(action.worker)
        assert self.state.phase in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)
        for index in range(len(self.places)):
            self.enter(index, slots.Ended(ERROR))
        assert set(self.ends) == set(self.calls), "a call has no end"

    # -- what must hold -------------------------------------------------------------------------------

    def check(self):
        """Rows are counted once, and what is called exact follows from them."""
        self.state.check()
        collector = self.state.collector
        assert len(set(collector.received)) == len(collector.received), "a row is counted twice"
        if collector.exact:
            code = collector.code
            assert spans(dense(code.generator)[collector.received], dense(code.targets)), "exact, and does not follow"

    def look_for_a_dead_end(self):
        """It must be waiting for something that can happen."""
        assert self.state.phase is Phase.RUNNING
        for worker in self.state.view.in_flight:
            number = self.held(worker)
            call = self.places[worker].slot.call
            there = call is not None and call.number == number and self.places[worker].slot.state != SlotState.STOPPING
            assert there or number in [one for one, _ in self.came], f"nothing will come of what worker {worker} has"
        assert self.state.view.in_flight or math.isfinite(self.wake), "it waits for nothing"


_HAPPENINGS = {
    "is ready": World.is_ready,
    "replies": World.replies,
    "answers": World.answers,
    "has had its grace": World.has_had_its_grace,
    "exits": World.exits,
    "cannot be reached": World.cannot_be_reached,
    "comes back": World.comes_back,
    "time passes": World.time_passes,
    "is withdrawn": World.is_withdrawn,
    "is cancelled": World.is_cancelled,
    "is closed": World.is_closed,
}


def dense(matrix):
    """A matrix of a code as an array."""
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def spans(rows, targets):
    """Whether targets are combinations of rows, in exact arithmetic."""
    return rank([*rows.tolist(), *targets.tolist()]) == rank(rows.tolist())


def rank(rows):
    """The rank of a matrix of floats, each of which is a fraction.

    Examples
    --------
    >>> rank([[0.1, 0.2], [0.2, 0.4]]), rank([[1.0, 2.0], [2.0, 5.0]])
    (1, 2)
    """
    left, count = [[Fraction(x) for x in row] for row in rows], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in left[count:] if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        left.insert(count, pivot)
        for i in range(count + 1, len(left)):
            factor = left[i][column] / pivot[column]
            left[i] = [a - factor * b for a, b in zip(left[i], pivot, strict=True)]
        count += 1
    return count
