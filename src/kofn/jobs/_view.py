"""Where the rows and workers of a run are: written by `RunState`, read by its scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence, Set

from ..codes._linear import LinearCode
from .scheduling._pace import Pace
from .scheduling._queue import RowQueue
from .scheduling._scheduler import InFlight

Lacks = Callable[[int, int], int]
"""``lacks(worker, row)``: how many bytes of resident data the worker lacks for the row."""


class RunView:
    """The `View` of a run.

    Every worker is idle, in flight (with rows of this run), absent (starting, or busy with another job) or dead.

    Parameters
    ----------
    code : LinearCode
    workers : int
    lacks : callable
    skips_equal : bool
        Whether rows are dropped as soon as an equal one arrives.
    pace : Pace, optional
        What is known of the workers before.
    """

    def __init__(
        self, code: LinearCode, workers: int, lacks: Lacks, skips_equal: bool = False, pace: Pace | None = None
    ) -> None:
        self.code = code
        self.now = 0.0
        self.states = ["starting"] * workers
        self.in_flight: dict[int, InFlight] = {}
        self.received: set[int] = set()
        self.missing = set(range(code.unknowns))
        self.makes_rows = False
        self.silent: Set[int] | None = None
        self.given_up: set[int] = set()
        self.barred: set[int] = set()
        self.spoken: dict[int, set[int]] = {}
        self._restarts: Counter[int] = Counter()
        self.idle: set[int] = set()
        self.absent = set(range(workers))
        self.queue = RowQueue(code, workers, skips_equal)
        self.groups, self.waiting = self.queue.groups, self.queue.lanes
        self.speed = Pace(workers) if pace is None else pace
        self.one_by_one = False
        self._plain: list[int] = code.plain.tolist()
        self._combined = 0
        self._lacks = lacks

    @property
    def needed(self) -> int:
        """How many results are still needed."""
        return max(1, len(self.missing) - self._combined)

    @property
    def pace(self) -> float:
        """Seconds that a row of load 1 takes, in the median; inf before the first."""
        return self.speed.median

    @property
    def paces(self) -> Sequence[float]:
        """Seconds that a row of load 1 takes, of each message that came back, shortest first."""
        return self.speed.sorted

    def room(self, worker: int) -> int:
        """How many rows go into one message to a worker."""
        return 1 if self.one_by_one else self.speed.room(worker)

    def copies(self, row: int) -> int:
        """How often a row, or an equal one, is being computed."""
        return self.queue.copies(row)

    def is_news(self, row: int) -> bool:
        """Whether no equal of a row has arrived, nor was it given up."""
        return self.queue.is_news(row) and row not in self.given_up

    def restarts(self, row: int) -> int:
        """How often a row was ended and given out again."""
        return self._restarts[row]

    def holds(self, worker: int, row: int) -> bool:
        """Whether a worker has the resident data that a row needs."""
        return self._lacks(worker, row) == 0

    def moving_seconds(self, worker: int, row: int) -> float:
        """What it takes to move that data there."""
        lacking = self._lacks(worker, row)
        return self.speed.moving_seconds(lacking) if lacking else 0.0

    def set_state(self, worker: int, state: str) -> None:
        """Take note of what a worker that has no rows of this run is doing; one that is barred is as good as dead."""
        state = "dead" if worker in self.barred else state
        self.states[worker] = state
        (self.idle.add if state == "idle" else self.idle.discard)(worker)
        (self.absent.add if state in ("starting", "busy") else self.absent.discard)(worker)

    def send(self, message: InFlight) -> None:
        """Take note that a worker has these rows."""
        self.set_state(message.worker, "in flight")
        self.states[message.worker] = "busy"
        self.in_flight[message.worker] = message

    def receive(self, row: int) -> None:
        """Take note that the result of a row is there."""
        self.received.add(row)
        self.missing.discard(self._plain[row])
        self._combined += self._plain[row] < 0

    def lose(self, row: int) -> None:
        """Take note that the result of a row is not there any more; the row waits again."""
        self.received.remove(row)
        self.queue.forget(row)
        if self._plain[row] < 0:
            self._combined -= 1
        else:
            self.missing.add(self._plain[row])
        self.put_back([row])

    def find(self, row: int) -> None:
        """Take note that the result of a row is there again."""
        self.queue.mark_found(row)
        self.receive(row)

    def extend(self, code: LinearCode) -> None:
        """Take note that the code has a row more, which combines unknowns and waits."""
        self.code = code
        self._plain.append(-1)
        self.queue.append(int(code.worker[-1]))

    def plain_row(self, unknown: int) -> int | None:
        """A row that is this unknown alone: best one that is being computed, then one that waits; None without."""
        rows = [row for row, plain in enumerate(self._plain) if plain == unknown]
        flying = {row for message in self.in_flight.values() for row in message.rows}
        return next((row for row in rows if row in flying), next(filter(self.queue.is_waiting, rows), None))

    def bring_back(self, worker: int, state: str, arrived: bool, wrong: Collection[int] = ()) -> InFlight:
        """Take note that a worker has them no more, and which of them have not arrived although others have."""
        message = self.in_flight.pop(worker)
        self.set_state(worker, state)
        self.queue.mark_back([row for row in message.rows if row not in wrong], arrived)
        self.queue.mark_back([row for row in message.rows if row in wrong], False)
        return message

    def withdraw(self, results: Sequence[tuple[int, int]]) -> None:
        """Take note that some results do not count any more, and let their rows wait for other workers than theirs."""
        rows = {row for row, _ in results}
        for row, worker in results:
            self.speak(worker, [row])
            self._combined -= self._plain[row] < 0 and row in self.received
        self.received -= rows
        brought = {self._plain[row] for row in self.received}
        self.missing |= {self._plain[row] for row in rows if self._plain[row] >= 0} - brought
        equal = {other for row in rows for other in self.queue.forget(row)}
        self.put_back(sorted(equal - rows - self.given_up))
        self.ask_another(sorted(rows - self.given_up))

    def speak(self, worker: int, rows: Collection[int]) -> None:
        """Take note that a worker has said what these rows are: only another one can bear it out."""
        for row in rows:
            self.spoken.setdefault(self.groups[row], set()).add(worker)

    def may_tell(self, worker: int, row: int) -> bool:
        """Whether a worker has not said yet what a row is, nor an equal one."""
        return not self.spoken or worker not in self.spoken.get(self.groups[row], ())

    def ask_another(self, rows: Collection[int]) -> None:
        """Let rows wait, each for a worker that has not said yet what it is: one with little to do."""
        for row in rows:
            there = (other for other, state in enumerate(self.states) if state != "dead" and self.may_tell(other, row))
            busy = lambda other: (self.states[other] != "idle", len(self.waiting.get(other, ())))  # noqa: E731
            self.put_back([row], min(there, key=busy, default=None))

    def bar(self, worker: int) -> None:
        """Give a worker nothing more."""
        self.barred.add(worker)
        if worker not in self.in_flight:
            self.set_state(worker, "dead")

    def another(self, worker: int) -> int | None:
        """A worker that can be given what this one had: an idle one if there is any, None where there is no other."""
        there = [other for other, state in enumerate(self.states) if other != worker and state != "dead"]
        return min(there, key=lambda other: self.states[other] != "idle", default=None)

    def put_back(self, rows: Sequence[int], worker: int | None = None) -> None:
        """Let those of these rows wait again, in their order, that have not arrived and that nobody else has.

        They wait for ``worker`` instead of theirs, if it is given.
        """
        for row in reversed(rows):
            if row not in self.received and not any(row in other.rows for other in self.in_flight.values()):
                self.queue.put_back(row, worker)

    def restart(self, message: InFlight) -> None:
        """Let rows that were ended wait again, best for an idle worker that has what they need."""
        self._restarts.update(message.rows)
        others = (worker for worker in sorted(self.idle - {message.worker}))
        there = (worker for worker in others if all(self.holds(worker, row) for row in message.rows))
        self.put_back(message.rows, next(there, None))

    def check(self) -> None:
        """Assert that each row waits, is in flight, received, dropped or given up, and where each worker is."""
        lanes = [row for lane in self.waiting.values() for row in lane]
        flying = [row for message in self.in_flight.values() for row in message.rows]
        dropped = {row for row in range(self.code.rows) if self.queue.skips_equal and not self.queue.is_news(row)}
        assert all(self.waiting.values()) and all(map(self.queue.is_waiting, lanes)) and len(set(lanes)) == len(lanes)
        assert not set(lanes) & (set(flying) | self.received)
        assert {*lanes, *flying, *self.received, *dropped, *self.given_up} == set(range(self.code.rows))
        for row in range(self.code.rows):
            assert self.copies(row) == sum(self.groups[other] == self.groups[row] for other in flying)
        plain = {self._plain[row] for row in self.received}
        assert self.missing == set(range(self.code.unknowns)) - plain
        assert len(self._plain) == len(self.groups) == self.code.rows
        dead = [worker for worker, state in enumerate(self.states) if state == "dead"]
        assert sorted([*self.idle, *self.absent, *self.in_flight, *dead]) == list(range(len(self.states)))

    def summary(self) -> str:
        """A line on what was received, and one on each worker."""
        lines = [f"  received {len(self.received)} of {self.code.rows}: {sorted(self.received)}"]
        for worker, state in enumerate(self.states):
            message = self.in_flight.get(worker)
            does = state if message is None else f"computes {list(message.rows)} since {message.submitted:.3f} s"
            lines.append(f"  worker {worker}: {does}, waiting {list(self.waiting.get(worker, ()))}")
        return "\n".join(lines)
