"""What decides which row an idle worker computes, and what it sees of a run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Protocol

from ... import checks
from ...codes._linear import LinearCode


@dataclass(frozen=True, slots=True)
class Rows:
    """Give the worker rows that wait, in one message and in this order."""

    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Copy:
    """Give the worker rows that others are computing, once more; the first result of each counts."""

    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Fresh:
    """Give the worker a row that is made now: a combination of all that is missing (`View.makes_rows`)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Give the worker nothing for now; it is asked again when something has happened, or at `Scheduler.next_look`."""


Assignment = Rows | Copy | Fresh | Wait


@dataclass(frozen=True, slots=True)
class InFlight:
    """Rows that a worker is computing.

    Parameters
    ----------
    rows : sequence of int
    worker : int
    submitted : float
        Seconds since the start.
    began : float
        When it was decided: resident data was moved between then and ``submitted``.
    moved_bytes : int
        How much of it.
    """

    rows: Sequence[int]
    worker: int
    submitted: float
    began: float = 0.0
    moved_bytes: int = 0


class View(Protocol):
    """What a scheduler sees of a run, to be read only. Workers and rows are numbered from 0."""

    @property
    def code(self) -> LinearCode:
        """The code, whose ``load`` says what each row costs."""

    @property
    def groups(self) -> Sequence[int]:
        """Number of each row among the distinct ones: rows of one number say the same."""

    @property
    def now(self) -> float:
        """Seconds since the start."""

    @property
    def states(self) -> Sequence[str]:
        """What each worker is doing: "starting", "idle", "dead", or "busy", with this job if it is in `in_flight`."""

    @property
    def idle(self) -> Collection[int]:
        """Workers that could be given something."""

    @property
    def silent(self) -> Collection[int] | None:
        """Workers that do not answer, whatever they compute: they may have stopped. None where nobody can ask them."""

    @property
    def waiting(self) -> Mapping[int, Sequence[int]]:
        """Rows that nobody has, by the worker that the code gives them to, in order; without those that have none."""

    @property
    def in_flight(self) -> Mapping[int, InFlight]:
        """What each worker of this job is computing, by worker."""

    @property
    def received(self) -> Collection[int]:
        """Rows whose result is there."""

    @property
    def missing(self) -> Set[int]:
        """Unknowns that no row has brought as they are."""

    @property
    def makes_rows(self) -> bool:
        """Whether a worker can be given a `Fresh` row."""

    @property
    def needed(self) -> int:
        """How many results are still needed, at least 1: a fresh row that arrives is one, whatever is missing then."""

    @property
    def pace(self) -> float:
        """Seconds that a row of load 1 takes, the median of those that came back; inf before the first."""

    @property
    def paces(self) -> Sequence[float]:
        """Seconds that a row of load 1 takes, of each message that came back, shortest first."""

    def room(self, worker: int) -> int:
        """How many rows go into one message to a worker: short ones travel together, at least one."""

    def copies(self, row: int) -> int:
        """How often a row, or an equal one, is being computed."""

    def is_news(self, row: int) -> bool:
        """Whether no equal of a row has arrived, nor was it given up."""

    def restarts(self, row: int) -> int:
        """How often a row was ended and given out again."""

    def holds(self, worker: int, row: int) -> bool:
        """Whether a worker has the resident data that a row needs."""

    def moving_seconds(self, worker: int, row: int) -> float:
        """What it takes to move that data there, as far as what was moved so far can tell; 0.0 where it is there."""


@dataclass(frozen=True, repr=False)
class Scheduler(ABC):
    """Decides what an idle worker is given. Immutable, so that any number of runs may share it.

    It sees a `View` and nothing else, so that real runs, virtual time and recorded delays come to the same decisions.

    Parameters
    ----------
    restart_after : float, optional
        A task that runs so many medians, in proportion to load, is ended and its rows are given out again, after twice
        as many the next time: where tasks hang, or some are slow by heavy tails. It loses time where delays only vary.
        Workers of engines that cannot end tasks (threads, executors) go on. Never by default.
    """

    restart_after: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.restart_after is not None:
            call, remedy = f"kofn.{type(self).__name__}", "leave it out to let tasks run"
            checks.number(call, "restart_after", self.restart_after, remedy, strict=True)

    @abstractmethod
    def assign(self, worker: int, view: View) -> Assignment:
        """What an idle worker is given now."""

    def next_look(self, view: View) -> float:
        """When it would decide otherwise although nothing has happened until then; inf for never."""
        return math.inf

    def has_work(self, view: View) -> bool:
        """Whether any idle worker might be given something now; asked first, so that waiting workers cost nothing."""
        return True

    @property
    def skips_equal(self) -> bool:
        """Whether rows that wait are dropped as soon as an equal one arrives."""
        return False

    def restarts_at(self, message: InFlight, view: View) -> float:
        """When what a worker computes is to be ended and given out again; inf for never."""
        if self.restart_after is None:
            return math.inf
        load = float(sum(view.code.load[row] for row in message.rows))
        times = 2.0 ** max(view.restarts(row) for row in message.rows)
        return message.submitted + self.restart_after * times * view.pace * load

    def __repr__(self) -> str:
        told = (f"{part.name}={getattr(self, part.name)!r}" for part in fields(self) if not self._is_default(part))
        return f"{type(self).__name__}({', '.join(told)})"

    def _is_default(self, part: Field[Any]) -> bool:
        made = part.default if part.default_factory is MISSING else part.default_factory()
        return bool(getattr(self, part.name) == made)
