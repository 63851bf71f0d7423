"""Idle workers back up what others are computing: with copies of it, or with combinations of all that is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

from ... import checks
from ._adaptive import Adaptive
from ._scheduler import Assignment, Copy, Fresh, Scheduler, View, Wait

LATE = 1.25
"""Medians after which a row is late where kofn chooses. At 1 half of all rows are: on a calm day the last would be
begun twice, and a process that is left with half a task is replaced."""

FIRST_SECONDS = 0.25
"""What a row of load 1 is taken to need before anything has come back, where kofn chooses."""


@dataclass(frozen=True, repr=False)
class _Backups(Scheduler):
    """Rows that wait first; then, once what is being computed is late, more of it.

    A row is late when it has been computed for ``after`` times the median, in proportion to load.
    """

    base: Scheduler = field(default_factory=Adaptive)
    after: float = 1.0
    first: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        call = f"kofn.{type(self).__name__}"
        if not isinstance(self.base, Scheduler):
            raise checks.refusal(call, "base", "be a scheduler", repr(self.base), "use kofn.Adaptive(), for example")
        checks.number(call, "after", self.after, "use 0 for backups as soon as a worker is idle")
        if not self.first >= 0:
            raise checks.refusal(call, "first", "be a number of seconds >= 0", repr(self.first), "leave it out")

    def has_work(self, view: View) -> bool:
        """Whether the base has, or something is late."""
        return self.base.has_work(view) or self.next_look(view) <= view.now

    @property
    def skips_equal(self) -> bool:
        """As the base does."""
        return self.base.skips_equal

    def _late_at(self, view: View) -> dict[int, float]:
        """When each row under way of which no equal has arrived is late; the newest copy of it counts."""
        late: dict[int, tuple[float, int]] = {}
        pace = view.pace if math.isfinite(view.pace) else self.first
        for message in view.in_flight.values():
            before = 0.0  # rows of one message are computed one after another
            for row in message.rows:
                before += float(view.code.load[row])
                group, due = view.groups[row], message.submitted
                if self.after:
                    due += self.after * pace * before
                if view.is_news(row) and (group not in late or due > late[group][0]):
                    late[group] = due, row
        return {row: due for due, row in late.values()}


@final
@dataclass(frozen=True, repr=False)
class Duplicates(_Backups):
    """An idle worker repeats what others are computing: the row that fewest workers have, the oldest of these.

    For whatever is computed, a code or not; the first result of each row counts.

    Parameters
    ----------
    base : Scheduler
        Asked first; `Adaptive` by default, with which idle workers take any row that waits.
    after : float
        Medians, in proportion to load, that the newest copy of a row has been computed before it is repeated.
    first : float
        Seconds that stand for the median until something has come back; before that nothing is late by default.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> pool = kofn.simulation.VirtualPool([[1.0], [60.0], [1.0]])
    >>> scheme = kofn.schemes.uncoded(np.eye(6), np.eye(6), workers=3)
    >>> kofn.run(scheme, pool, scheduler=kofn.Duplicates()).report.seconds
    2.0
    """

    def assign(self, worker: int, view: View) -> Assignment:
        """What the base gives; then a copy of what is late."""
        assignment = self.base.assign(worker, view)
        return self.copy(worker, view) if isinstance(assignment, Wait) else assignment

    def copy(self, worker: int, view: View) -> Assignment:
        """The late rows that fewest workers have, as many as go into a message."""
        late = sorted((view.copies(row), due, row) for row, due in self._late_at(view).items() if due <= view.now)
        rows = [row for copies, _, row in late if copies == late[0][0]]
        return Copy(rows[: view.room(worker)]) if rows else Wait()

    def next_look(self, view: View) -> float:
        """When the next row is late."""
        return min(self._late_at(view).values(), default=math.inf)


@final
@dataclass(frozen=True, repr=False)
class CodedBackups(_Backups):
    """An idle worker is given a combination of all that is missing, which replaces whichever row comes last.

    It is made at that moment (`kofn.codes.RowSource`), as long as fewer rows are under way in time than results are
    needed; where one row is missing it is a copy of that. It costs nothing where nothing is late. What makes no
    combinations, as it is not linear or does not have its blocks where they are needed, is backed up by `Duplicates`.

    Parameters
    ----------
    base : Scheduler
        Asked first; `Adaptive` by default, with which idle workers take any row that waits.
    after : float
        Medians, in proportion to load, after which a row that is being computed does not count as in time any more.
    first : float
        Seconds that stand for the median until something has come back; before that nothing is late by default.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.cos(np.arange(12.0)).reshape(6, 2)  # rows of like size: others are not mixed
    >>> pool = kofn.simulation.VirtualPool([[1.0], [60.0], [60.0], [1.0]])
    >>> scheme = kofn.schemes.uncoded(A, A.T, blocks=(4, 1), workers=4)
    >>> answer = kofn.run(scheme, pool, scheduler=kofn.CodedBackups())
    >>> answer.report.seconds, list(answer.report.fresh_rows), bool(np.allclose(answer.value, A @ A.T))
    (2.0, [4, 5, 6], True)
    """

    def assign(self, worker: int, view: View) -> Assignment:
        """What the base gives; then a fresh row, where one is needed."""
        assignment = self.base.assign(worker, view)
        if not isinstance(assignment, Wait):
            return assignment
        if not view.makes_rows:
            return self._duplicates.copy(worker, view)
        return Fresh() if self._short_at(view) <= view.now else Wait()

    def next_look(self, view: View) -> float:
        """When fewer rows are in time than are needed."""
        return self._short_at(view) if view.makes_rows else self._duplicates.next_look(view)

    @property
    def _duplicates(self) -> Duplicates:
        """What backs up rows that cannot be combined."""
        return Duplicates(self.base, self.after, self.first)

    def _short_at(self, view: View) -> float:
        if not view.missing:  # a stop rule of one's own may wait on, but nothing is left to combine
            return math.inf
        if not view.in_flight:
            return view.now
        late = sorted(self._late_at(view).values(), reverse=True)
        return late[view.needed - 1] if len(late) >= view.needed else view.now
