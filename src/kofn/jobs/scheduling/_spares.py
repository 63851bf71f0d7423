"""Workers compute plain rows, and what they hold in reserve once somebody is late with his."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import final

from ... import checks
from ._pace import MESSAGE_SECONDS
from ._scheduler import Assignment, InFlight, Rows, Scheduler, View, Wait

SHARE_MESSAGES = 5
"""A worker's plain rows go in one message where they take no longer than so many that rows are gathered for.

So do spare rows for workers that are not there: nobody will come and have done them."""


@final
@dataclass(frozen=True, repr=False)
class Spares(Scheduler):
    """Plain rows first; combinations and copies that lie at a worker when they replace a row that is late.

    For data that stays where it is (`kofn.operator`). Where nobody is late no spare row is computed, and a product
    costs what it costs without a code. A row is late when its message has been computed for ``after`` times the median,
    in proportion to load; when it waits for a worker that will have done it later than ``after`` medians from now, or
    that is not there; and when nobody has it. As many spare rows are given out as are lacking, to idle workers that
    have them. Only where nothing else is under way is data moved to another worker.

    Parameters
    ----------
    after : float
    restart_after : float, optional
        As of `kofn.Static`.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(24.0).reshape(12, 2)
    >>> pool = kofn.simulation.VirtualPool([[1.0], [1.0], [1.0], [3600.0]])
    >>> with kofn.operator(A, workers=pool, redundancy=1, rng=0) as op:
    ...     bool(np.allclose(op @ np.ones(2), A @ np.ones(2))), op.answer.report.seconds
    (True, 2.5)
    """

    after: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("kofn.jobs.scheduling.Spares", "after", self.after, "use 1.5, for example", strict=True)

    def assign(self, worker: int, view: View) -> Assignment:
        """Its own plain rows, with what stands in for those who are not there; then spare ones that help.

        At last, where nothing is under way, what others have.
        """
        rows = _first(worker, view)
        if len(rows) == len(_plain(worker, view)):
            rows = [*rows, *self._helpful(worker, view, _orphaned(view), SHARE_MESSAGES)]
        rows = rows or self._helpful(worker, view, view.missing, 1)
        if not rows and not view.in_flight:
            rows = _left(worker, view)
        return Rows(rows) if rows else Wait()

    def has_work(self, view: View) -> bool:
        """Whether plain rows wait for idle workers, or somebody is late."""
        if not view.in_flight:
            return bool(view.waiting)
        return any(_plain(worker, view) for worker in view.idle) or bool(self._late(view))

    def next_look(self, view: View) -> float:
        """When the next message is late."""
        dues = (self._due(message, view) for message in view.in_flight.values())
        return min((due for due in dues if due > view.now), default=math.inf)

    def _due(self, message: InFlight, view: View) -> float:
        """When the rows of a message are late, which all come back together."""
        return message.submitted + max(self.after * view.pace * _load(message.rows, view), MESSAGE_SECONDS)

    def _in_time(self, message: InFlight, view: View) -> list[int]:
        """Rows of a message that is not late, and of those that wait for its worker what no spare row would outrun."""
        if self._due(message, view) <= view.now:
            return []
        rows, done = list(message.rows), message.submitted + view.pace * _load(message.rows, view)
        for row in _plain(message.worker, view):
            done += view.pace * float(view.code.load[row])
            if done > view.now + self.after * view.pace:
                break
            rows.append(row)
        return rows

    def _late(self, view: View) -> Set[int]:
        """Unknowns that are missing and that no plain row brings in time."""
        plain, rows = view.code.plain, [row for m in view.in_flight.values() for row in self._in_time(m, view)]
        for worker in view.idle:  # about to be asked
            rows += _plain(worker, view)
        return view.missing - {int(plain[row]) for row in rows}

    def _helpful(self, worker: int, view: View, among: Set[int], messages: int) -> list[int]:
        """Spare rows of its own, where fewer than are lacking of some unknowns have come or are coming in time."""
        spares, own = view.code.spares, view.waiting.get(worker, ())
        if not among or not any(row in spares for row in own) or not (late := self._late(view) & among):
            return []
        helping = [spares[row] for row in view.received if row in spares and view.code.plain[row] < 0]
        for message in view.in_flight.values():
            if self._due(message, view) > view.now:
                helping += [spares[row] for row in message.rows if row in spares and view.code.plain[row] < 0]
        rows: list[int] = []
        for row in own:
            if row not in spares or not view.is_news(row):
                continue
            lacking = len(spares[row] & late) - sum(not spares[row].isdisjoint(other) for other in helping)
            if lacking > 0:
                rows.append(row)
                helping.append(spares[row])
            if len(rows) == messages * view.room(worker):
                break
        return rows


def _plain(worker: int, view: View) -> list[int]:
    """Plain rows of news that wait for a worker."""
    spares = view.code.spares
    return [row for row in view.waiting.get(worker, ()) if row not in spares and view.is_news(row)]


def _orphaned(view: View) -> Set[int]:
    """Unknowns whose plain rows wait for workers that are not there, or busy with something else."""
    gone = (owner for owner in view.waiting if owner not in view.idle and owner not in view.in_flight)
    return {int(view.code.plain[row]) for owner in gone for row in _plain(owner, view)}


def _first(worker: int, view: View) -> list[int]:
    """Half of the plain rows that wait for a worker, all where they are short: what comes back early counts."""
    rows, room = _plain(worker, view), view.room(worker)
    return rows if len(rows) <= SHARE_MESSAGES * room else rows[: max(room, -(-len(rows) // 2))]


def _load(rows: Sequence[int], view: View) -> float:
    return sum(float(view.code.load[row]) for row in rows)


def _left(worker: int, view: View) -> list[int]:
    """Where nothing is under way, a row that waits, for itself or a worker that is not there; best one of news."""
    lanes = [view.waiting.get(worker, ())]
    lanes += [view.waiting[owner] for owner in sorted(view.waiting) if view.states[owner] != "idle"]
    rows = [row for lane in lanes for row in lane]
    return [next(filter(view.is_news, rows), rows[0])] if rows else []
