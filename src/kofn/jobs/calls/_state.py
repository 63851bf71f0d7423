"""Where calls stand, and what each idle worker is to do next: no pool, no thread, no clock.

The set of calls is open: more may come at any time, and what is done is forgotten. An idle worker takes what waits, in
order, and first of all that whose inputs lie there. Where nothing does, it takes over what waits for a worker that has
its inputs but is busy for longer than these take to move, or repeats what others are late with, and the first result
counts. What takes so long that it seems to hang is ended with its worker, once when it is alone, and tried again after
everything else. A worker that dies again and again is given nothing while others are there that do not seem to hang.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ...engines._protocol import POLL_SECONDS
from . import _events as on
from ._flight import Flight
from ._lines import Lines
from ._suspects import Suspects
from ._tempo import MESSAGE_BYTES, Tempo

ATTEMPTS = 3
"""A call that has cost so many workers their lives, alone, is given up."""

LATE = 1.5
"""A message is late after so many times the median; before the first result, after `FIRST_SECONDS`."""

FIRST_SECONDS = 0.25
"""Nothing has come back so far: copies are made after so long."""

SLACK_SECONDS = 0.005
"""What a message may be late by for no reason."""

COPIES = 2
"""Workers that have one call at the same time, at most."""

HUNG = 20.0
"""So many medians are too many: the worker is ended, if that is possible, ..."""

HUNG_SECONDS = 1.0
"""... but no sooner."""

UNKNOWN_SECONDS = 60.0
"""Before the first result, a worker is relied on for so long where another one is set aside."""

USELESS = 3.0
"""After so many medians a worker is ended whose results others have brought."""

MOVED_BYTES = 1e8
"""Bytes a second that are expected to go from worker to worker."""

IDLE_POLL_SECONDS = 0.05
"""How often to look for workers that become ready by themselves while no call waits, in place of `POLL_SECONDS`: they
would only repeat what others have."""


class CallState:
    """Calls as a state machine: `handle` takes an event and returns what is to be done.

    Parameters
    ----------
    workers : int
    ends : bool
        Whether workers can be ended that hang.

    Examples
    --------
    >>> state = CallState(2)
    >>> state.handle(on.Added({0: 0, 1: 0}), 0.0), state.handle(on.Seen({0: "idle", 1: "idle"}), 0.0)
    ([], [Send(worker=0, numbers=[0]), Send(worker=1, numbers=[1])])
    >>> state.handle(on.Returned(1, "idle", 1, 0.1), 0.1), round(state.wake_at(), 3)
    ([], 0.155)
    >>> state.handle(on.Seen({}), 1.0), state.handle(on.Returned(1, "idle", 1, 0.1), 1.1)
    ([Send(worker=1, numbers=[0])], [End(worker=0)])
    """

    def __init__(self, workers: int, ends: bool = False) -> None:
        self.now = 0.0
        self.states = ["dead"] * workers
        self.tempo = Tempo(workers)
        self.flights: dict[int, Flight] = {}
        self.open: set[int] = set()  # calls that have no result yet
        self.barred: set[int] = set()
        self._suspects = Suspects()
        self._ends = ends
        self._lines = Lines()
        self._later: deque[int] = deque()  # have been ended before
        self._flying: dict[int, int] = {}
        self._nbytes: dict[int, int] = {}
        self._lives: dict[int, int] = {}
        self._alone: set[int] = set()
        self._ended: set[int] = set()

    def handle(self, event: on.Event, now: float) -> list[on.Action]:
        """Take an event in, at a time in seconds, and return what is to be done, in order."""
        self.now = max(self.now, now)
        actions = _STEPS[type(event)](self, event)
        actions += self._end_overdue()
        actions += self._give_out()
        return actions

    @property
    def absent(self) -> list[int]:
        """Workers that are starting, or busy with something else, and may come back by themselves."""
        return [w for w, state in enumerate(self.states) if state in ("starting", "busy") and w not in self.flights]

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come: every worker is gone."""
        return all(state == "dead" for state in self.states)

    @property
    def capacity(self) -> int:
        """How many calls without a result keep all workers busy: those that they have, and enough for full messages."""
        return self._present * (4 * self.tempo.next_most + 2)

    def wake_at(self) -> float:
        """When it would decide otherwise although nothing has happened until then; inf for never."""
        wake = math.inf
        served = self._to_serve()
        if self.open and self.absent:
            wake = self.now + (POLL_SECONDS if self._lines or self._later else IDLE_POLL_SECONDS)
        for flight in self.flights.values():
            times = [self._end_at(flight)]
            if self._idle and not served:  # who is set aside is served once nobody else is relied on
                times.append(self._hung_at(flight))
            if served and self._copyable(flight):
                times.append(self._late_at(flight))
            wake = min(wake, *(time if time > self.now else math.inf for time in times))
        for home in self._lines.homes if self.open and served else ():
            wake = min(wake, self._taken_over_at(home))
        return wake

    # -- what has happened ----------------------------------------------------------------------------

    def _added(self, event: on.Added) -> list[on.Action]:
        self.open.update(event.calls)
        self._lines.add(event.calls, event.places)
        self._nbytes.update((number, size) for number, size in event.calls.items() if size)
        return []

    def _dropped(self, event: on.Dropped) -> list[on.Action]:
        self._close(event.numbers)
        return []

    def _left_out(self, event: on.LeftOut) -> list[on.Action]:
        self.barred.update(event.workers)
        return self._seen(on.Seen(dict.fromkeys(event.workers, "dead")))

    def _seen(self, event: on.Seen) -> list[on.Action]:
        for worker, state in event.states.items():
            if worker not in self.flights:
                self._set_state(worker, state)
        return []

    def _set_state(self, worker: int, state: str) -> None:
        self.states[worker] = "dead" if worker in self.barred else state

    def _refused(self, event: on.Refused) -> list[on.Action]:
        # One that calls itself idle and takes nothing is looked at again before it is asked.
        takes_nothing = event.state == "idle" and not event.unwanted
        flight = self._land(event.worker, "busy" if takes_nothing else event.state)
        self._close(event.unwanted)
        self._put_back(flight.numbers)
        return []

    def _returned(self, event: on.Returned) -> list[on.Action]:
        flight = self._land(event.worker, event.state)
        done, rest = flight.numbers[: event.ended], flight.numbers[event.ended :]
        self.tempo.add(event.worker, max(1, event.ended), event.seconds, self.now - flight.sent)
        self._suspects.returned(event.worker)
        self._close(done)
        self._put_back(rest)
        return []

    def _lost(self, event: on.Lost) -> list[on.Action]:
        flight = self._land(event.worker, event.state)
        self._suspects.lost(event.worker, self.open.intersection(flight.numbers))
        if len(flight.numbers) > 1:  # one of them did it, and the others are not to pay for it
            return self._take_apart(flight)
        (number,) = flight.numbers
        if number not in self.open:
            return []
        self._lives[number] = lives = self._lives.get(number, ATTEMPTS) - 1
        if lives == 0:
            return self._give_up(number, event)
        self._put_back([number])
        return []

    def _undelivered(self, event: on.Undelivered) -> list[on.Action]:
        flight = self._land(event.worker, event.state)
        self._suspects.returned(event.worker)
        if len(flight.numbers) == 1 and flight.numbers[0] in self.open:
            return self._give_up(flight.numbers[0], event)
        return self._take_apart(flight)

    def _take_apart(self, flight: Flight) -> list[on.Action]:
        """Let each call of a message that has no result yet wait to be sent alone."""
        self._alone.update(self.open.intersection(flight.numbers))
        self._put_back(flight.numbers)
        return []

    def _give_up(self, number: int, event: on.Lost | on.Undelivered) -> list[on.Action]:
        self._suspects.gave_up(number)
        self._close([number])
        return [on.GiveUp(number, event.worker, event.error)]

    def _land(self, worker: int, state: str) -> Flight:
        flight = self.flights.pop(worker)
        self._set_state(worker, state)
        for number in flight.numbers:
            self._flying[number] -= 1
            if not self._flying[number]:
                del self._flying[number]
        return flight

    def _close(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.open.discard(number)
            self._nbytes.pop(number, None)
            self._lines.forget(number)
            self._lives.pop(number, None)
            self._alone.discard(number)
            self._ended.discard(number)
            self._suspects.ended(number)

    def _put_back(self, numbers: Sequence[int]) -> None:
        """Let those wait again, before all others, that have no result and that nobody else has."""
        self._lines.put_back(n for n in numbers if n in self.open and n not in self._flying)

    # -- what is to be done ---------------------------------------------------------------------------

    @property
    def _idle(self) -> list[int]:
        return [worker for worker, state in enumerate(self.states) if state == "idle"]

    @property
    def _present(self) -> int:
        return sum(state != "dead" for state in self.states)

    def _give_out(self) -> list[on.Action]:
        actions: list[on.Action] = []
        if not self.open:
            return actions
        for worker in self._to_serve() if self._lines.homes else ():
            line = self._lines.of(worker)
            self._give(worker, self._taken(line, self.tempo.room(worker, len(line), 1)), actions)
        for worker in self._to_serve():
            if not self._give(worker, self._next(worker), actions):
                break  # nobody else gets anything either
        return actions

    def _give(self, worker: int, numbers: list[int], actions: list[on.Action]) -> bool:
        if not numbers:
            return False
        self.states[worker] = "busy"
        self.flights[worker] = Flight(worker, numbers, self.now)
        for number in numbers:
            self._flying[number] = self._flying.get(number, 0) + 1
        actions.append(on.Send(worker, numbers))
        return True

    def _to_serve(self) -> list[int]:
        """Idle workers that are given what there is: first those that nothing speaks against.

        The others only where everybody else is gone or seems to hang, or what waits might wait for ever.
        """
        idle = self._idle
        trusted = [worker for worker in idle if not self._suspects.is_aside(worker)]
        if trusted or not idle or any(map(self._is_relied_on, self.flights.values())):
            return trusted
        return idle

    def _is_relied_on(self, flight: Flight) -> bool:
        return not self._suspects.is_aside(flight.worker) and self._hung_at(flight) > self.now

    def _next(self, worker: int) -> list[int]:
        line = self._lines.anywhere
        room = self.tempo.room(worker, len(line), self._present)
        return self._taken(line, room) or self._taken_over() or self._taken(self._later, 1) or self._copies(room)

    def _taken_over(self) -> list[int]:
        """The last of the calls that wait for a worker which will not come to it soon."""
        for home in self._lines.homes:
            line = self._lines.of(home)
            while line and (line[-1] not in self.open or line[-1] in self._flying):
                line.pop()
            if line and self._taken_over_at(home) <= self.now:
                return [line.pop()]
        return []

    def _taken_over_at(self, home: int) -> float:
        """When the last of those that wait for a worker is given to another one, to which its inputs have to move."""
        line, flight = self._lines.of(home), self.flights.get(home)
        if flight is None:  # it is gone, or works for others
            return self.now
        moving = self._moving(line[-1])
        if not math.isfinite(self.tempo.away):
            return flight.sent + max(FIRST_SECONDS, moving)
        comes_to_it = flight.sent + self._expected(flight) + (len(line) - 1) * self.tempo.away
        return self.now if comes_to_it > self.now + moving else self._late_at(flight)

    def _taken(self, line: deque[int], room: int) -> list[int]:
        """The first calls of a line that go into one message."""
        taken: list[int] = []
        size = 0
        while line and len(taken) < room:
            number = line[0]
            if number not in self.open or number in self._flying:  # a copy was faster, or is on its way
                line.popleft()
                continue
            size += self._nbytes.get(number, 0)
            if taken and (size > MESSAGE_BYTES or number in self._alone):
                break
            taken.append(line.popleft())
            if number in self._alone:
                break
        return taken

    def _copies(self, room: int) -> list[int]:
        """What the worker that is late for longest will come to last."""
        for flight in sorted(self.flights.values(), key=lambda flight: flight.sent):
            if self._late_at(flight) <= self.now and (copyable := self._copyable(flight)):
                half = copyable[len(copyable) // 2 :][-room:]
                return half if self._alone.isdisjoint(half) else half[-1:]
        return []

    def _copyable(self, flight: Flight) -> list[int]:
        return [n for n in flight.numbers if n in self.open and self._flying[n] < COPIES]

    def _late_at(self, flight: Flight) -> float:
        moving = self._moving(flight.numbers[-1])
        if not math.isfinite(self.tempo.away):
            return flight.sent + max(FIRST_SECONDS, moving)
        return flight.sent + LATE * self._expected(flight) + moving

    def _moving(self, number: int) -> float:
        """Seconds that others need at least to have what a call needs."""
        return SLACK_SECONDS + self._lines.nbytes(number) / MOVED_BYTES

    def _end_at(self, flight: Flight) -> float:
        """When its worker is to be ended, or left alone: it hangs, or works for nothing.

        One that works for nothing is given some time to end by itself: what it has imported goes with its process.
        """
        if self.open.isdisjoint(flight.numbers):
            known = self._expected(flight) if math.isfinite(self.tempo.away) else FIRST_SECONDS
            return flight.sent + USELESS * known if self._ends else self.now
        if not self._ends or not self._ended.isdisjoint(flight.numbers):
            return math.inf
        return self._hung_at(flight) if math.isfinite(self.tempo.away) else math.inf

    def _hung_at(self, flight: Flight) -> float:
        if not math.isfinite(self.tempo.away):
            return flight.sent + UNKNOWN_SECONDS
        return flight.sent + max(HUNG_SECONDS, HUNG * self._expected(flight))

    def _expected(self, flight: Flight) -> float:
        return self.tempo.away * len(flight.numbers)

    def _end_overdue(self) -> list[on.Action]:
        overdue = [flight for flight in self.flights.values() if self._end_at(flight) <= self.now]
        for flight in overdue:
            self._land(flight.worker, "busy")
            left = [number for number in flight.numbers if number in self.open]
            self._alone.update(left)
            if len(flight.numbers) > 1:  # one of them hangs, and the others are not to wait for it again
                self._put_back(left)
            else:
                self._ended.update(left)
                self._later.extend(number for number in left if number not in self._flying)
        return [on.End(flight.worker) for flight in overdue]

    def check(self) -> None:
        """Assert what always holds: every call without a result waits, or somebody has it."""
        lines = {*self._lines, *self._later}
        flying = [number for flight in self.flights.values() for number in flight.numbers]
        assert self.open <= lines | set(flying), self.open - lines - set(flying)
        assert {number: flying.count(number) for number in set(flying)} == self._flying
        assert max(self._flying.values(), default=0) <= COPIES
        assert all(self.states[worker] == "busy" for worker in self.flights)
        assert {*self._nbytes, *self._lives, *self._alone, *self._ended} <= self.open


_STEPS: dict[type, Callable[[CallState, Any], list[on.Action]]] = {
    on.Added: CallState._added,
    on.Dropped: CallState._dropped,
    on.LeftOut: CallState._left_out,
    on.Seen: CallState._seen,
    on.Refused: CallState._refused,
    on.Returned: CallState._returned,
    on.Lost: CallState._lost,
    on.Undelivered: CallState._undelivered,
}
"""What each event does."""
