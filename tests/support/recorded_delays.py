"""A `RunState` over delays that are known: no pool, no thread, no clock, only an agenda."""

from __future__ import annotations

import heapq
import itertools
import math

from kofn.errors import WorkerLost
from kofn.jobs._events import (
    Arrived,
    Closed,
    Decode,
    Encoded,
    Ended,
    Fail,
    Lost,
    Refused,
    Restart,
    Sent,
    Submit,
    Tick,
    WakeAt,
)


class Recorded:
    """Drives a state to its end: the t-th message of worker w takes ``delays[w][t]`` seconds; the last one repeats."""

    def __init__(self, state, delays, deaths=None, epsilon=0.0, place=None):
        self.state, self.now, self.wake, self.epsilon = state, 0.0, math.inf, epsilon
        self.delays = [list(row) for row in delays]
        self.dead, self.running = set(), {}
        self.place = place or (lambda worker, rows: None)
        self.order = itertools.count()
        self.agenda = [(time, next(self.order), worker, None) for worker, time in (deaths or {}).items()]
        heapq.heapify(self.agenda)

    def run(self):
        """How it ended: "exact", "estimate" or "not decodable"."""
        ended = self.tell(Encoded(["idle"] * len(self.delays), ends=True))
        while ended is None:
            ended = self.tell(self.next_event())
        self.tell(Closed())
        if isinstance(ended, Fail) or not self.state.collector.count:
            return "not decodable"
        return "exact" if self.state.collector.exact else "estimate"

    def tell(self, event):
        actions = self.state.handle(event, self.now)
        self.state.check()
        for action in actions:
            if isinstance(action, Submit) and action.worker in self.dead:
                return self.tell(Refused(action.worker, "dead"))
            if isinstance(action, Submit):
                self.submit(action.worker)
                return self.tell(Sent(action.worker, self.now))
            if isinstance(action, Restart):
                self.running[action.worker] = None
                return self.tell(Ended(action.worker, "idle"))
            if isinstance(action, WakeAt):
                self.wake = action.time
            elif isinstance(action, Decode | Fail):
                return action
        return None

    def submit(self, worker):
        row = self.delays[worker]
        delay = row.pop(0) if len(row) > 1 else row[0]
        message = self.state.view.in_flight[worker]
        self.place(worker, message.rows)
        self.running[worker] = number = next(self.order)
        heapq.heappush(self.agenda, (self.now + delay, number, worker, message.rows))

    def next_event(self):
        while self.agenda and self.is_over(*self.agenda[0][1:]):
            heapq.heappop(self.agenda)
        if not self.agenda or self.agenda[0][0] > self.wake:
            assert math.isfinite(self.wake), "nothing will ever happen again"
            self.now = self.wake
            return Tick(self.states())
        self.now, _, worker, rows = heapq.heappop(self.agenda)
        assert math.isfinite(self.now), "nothing will ever happen again"
        if rows is not None:
            return Arrived(worker, "idle", [self.epsilon] * len(rows))
        self.dead.add(worker)
        if worker not in self.state.view.in_flight:
            return self.next_event()  # nobody hears of it before he looks
        return Lost(worker, "dead", WorkerLost("as recorded", worker))

    def is_over(self, number, worker, rows):
        """Whether a message was ended, or its worker is dead."""
        return rows is not None and (worker in self.dead or self.running[worker] != number)

    def states(self):
        view = self.state.view
        others = (*view.idle, *view.absent) if view.waiting else ()
        return {worker: "dead" if worker in self.dead else "idle" for worker in others}
