"""Workers compute what they have the data for; data is moved meanwhile, and never waited for at a worker."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from ... import checks
from ._scheduler import Assignment, Copy, InFlight, Rows, Scheduler, View, Wait

LEAST_SECONDS = 0.05
"""A message that is away for less is not late, whatever others took."""

LOOK_SECONDS = 0.02
"""How often it is looked whether data that is on its way has arrived, while a worker waits for some."""


@final
@dataclass(frozen=True, repr=False)
class Placed(Scheduler):
    """A worker is given what it has the data for: rows of its own, rows of those that are late, copies of late rows.

    For data that lies at workers and moves between them while they compute (products of `dask.array`). A message is
    late when it has been away for ``after`` times the median, in proportion to load.

    Parameters
    ----------
    after : float
    restart_after : float, optional
        As of `kofn.Static`.
    """

    after: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("kofn.jobs.scheduling.Placed", "after", self.after, "use 1.5, for example", strict=True)

    def assign(self, worker: int, view: View) -> Assignment:
        """The first of its candidates for which it has the data; nothing to one that does not answer."""
        if worker in (view.silent or ()):
            return Wait()
        for row, is_copy in candidates(worker, view, self.after):
            if view.holds(worker, row):
                return Copy([row]) if is_copy else Rows([row])
        return Wait()

    def next_look(self, view: View) -> float:
        """When the next message is late, and soon where somebody waits for data."""
        dues = (due(message, view, self.after) for message in view.in_flight.values())
        look = min((due for due in dues if due > view.now), default=math.inf)
        waits = view.waiting or late_workers(view, self.after) or view.silent is not None
        return min(look, view.now + LOOK_SECONDS) if waits else look


def due(message: InFlight, view: View, after: float) -> float:
    """When a message is late; never before the first has come back."""
    load = float(sum(view.code.load[row] for row in message.rows))
    return message.submitted + max(after * view.pace * load, LEAST_SECONDS)


def late_workers(view: View, after: float) -> set[int]:
    """Workers whose message is late, or that have stopped as far as the engine can tell."""
    late = {worker for worker, message in view.in_flight.items() if due(message, view, after) <= view.now}
    return late | set(view.silent or ())


def silent_workers(view: View, after: float) -> set[int]:
    """Workers from whom nothing can be had: those that do not answer or, where nobody can ask them, that are late."""
    return late_workers(view, after) if view.silent is None else set(view.silent)


def candidates(worker: int, view: View, after: float) -> Iterator[tuple[int, bool]]:
    """Rows that an idle worker could be given, best first, and whether each is being computed already.

    The last row that waits for somebody in time comes at the end: it is not worth moving data for.
    """
    late = late_workers(view, after)
    yield from ((row, False) for row in view.waiting.get(worker, ()))
    yield from ((row, False) for row in orphans(worker, view, late))
    yield from ((row, False) for row in spare_rows(worker, view, late))
    yield from ((row, True) for row in late_rows(view, late))
    yield from ((view.waiting[owner][0], False) for owner in _others(worker, view) if _is_there(owner, view, late))


def orphans(worker: int, view: View, late: set[int]) -> list[int]:
    """Rows that wait for others who are late, or are not there."""
    gone = (owner for owner in _others(worker, view) if not _is_there(owner, view, late))
    return [row for owner in gone for row in reversed(view.waiting[owner])]


def spare_rows(worker: int, view: View, late: set[int]) -> list[int]:
    """Rows that wait for others who are there, and will not come to them soon."""
    there = (owner for owner in _others(worker, view) if _is_there(owner, view, late))
    return [row for owner in there for row in list(reversed(view.waiting[owner]))[:-1]]


def _others(worker: int, view: View) -> list[int]:
    return sorted((owner for owner in view.waiting if owner != worker), key=lambda owner: -len(view.waiting[owner]))


def _is_there(owner: int, view: View, late: set[int]) -> bool:
    return owner not in late and (owner in view.in_flight or owner in view.idle)


def late_rows(view: View, late: set[int]) -> list[int]:
    """Rows that only late workers are computing."""
    in_time = {row for other, message in view.in_flight.items() if other not in late for row in message.rows}
    rows = {
        row: message.submitted for other, message in view.in_flight.items() if other in late for row in message.rows
    }
    new = (row for row in rows if row not in in_time and row not in view.received)
    return sorted(new, key=lambda row: (view.copies(row), rows[row]))
