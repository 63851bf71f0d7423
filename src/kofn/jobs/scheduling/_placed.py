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
        """The first of its candidates for which it has the data."""
        for row, is_copy in candidates(worker, view, self.after):
            if view.holds(worker, row):
                return Copy([row]) if is_copy else Rows([row])
        return Wait()

    def next_look(self, view: View) -> float:
        """When the next message is late, and soon where somebody waits for data."""
        dues = (due(message, view, self.after) for message in view.in_flight.values())
        look = min((due for due in dues if due > view.now), default=math.inf)
        waits = view.waiting or late_workers(view, self.after)
        return min(look, view.now + LOOK_SECONDS) if waits else look


def due(message: InFlight, view: View, after: float) -> float:
    """When a message is late; never before the first has come back."""
    load = float(sum(view.code.load[row] for row in message.rows))
    return message.submitted + max(after * view.pace * load, LEAST_SECONDS)


def late_workers(view: View, after: float) -> set[int]:
    """Workers whose message is late: they may have stopped."""
    return {worker for worker, message in view.in_flight.items() if due(message, view, after) <= view.now}


def candidates(worker: int, view: View, after: float) -> Iterator[tuple[int, bool]]:
    """Rows that an idle worker could be given, best first, and whether each is being computed already."""
    yield from ((row, False) for row in view.waiting.get(worker, ()))
    late = late_workers(view, after)
    others = sorted((owner for owner in view.waiting if owner != worker), key=lambda owner: -len(view.waiting[owner]))
    gone = [
        owner for owner in others if owner in late or (owner not in view.in_flight and view.states[owner] != "idle")
    ]
    yield from ((row, False) for owner in gone for row in reversed(view.waiting[owner]))
    for owner in others:
        if owner not in gone and len(view.waiting[owner]) > 1:
            yield from ((row, False) for row in reversed(view.waiting[owner]))
    yield from ((row, True) for row in _late_rows(view, late))


def _late_rows(view: View, late: set[int]) -> list[int]:
    """Rows that only late workers are computing."""
    in_time = {row for other, message in view.in_flight.items() if other not in late for row in message.rows}
    rows = {
        row: message.submitted for other, message in view.in_flight.items() if other in late for row in message.rows
    }
    new = (row for row in rows if row not in in_time and row not in view.received)
    return sorted(new, key=lambda row: (view.copies(row), rows[row]))
