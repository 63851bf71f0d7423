"""Every worker computes its own rows, in the order of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

from ._scheduler import Assignment, Rows, Scheduler, View, Wait


@final
@dataclass(frozen=True, repr=False)
class Static(Scheduler):
    """Each worker computes the rows that the code gives it, in their order, as papers assume and `kofn.simulate` does.

    Idle workers take over only what waits for a worker that is not there: one that has died, or, unless resident data
    would have to be moved, one that has not started or is busy with another job.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(2) as pool:
    ...     kofn.matmul(np.eye(4), np.eye(4), workers=pool, rng=0).exact
    True
    """

    def assign(self, worker: int, view: View) -> Assignment:
        """Its own rows first; then one that waits for a worker that is not there, best one that says something new."""
        rows = own_rows(worker, view, lambda row: True)
        if rows:
            return Rows(rows)
        stale = None
        for owner in sorted(view.waiting):
            if owner in view.in_flight or view.states[owner] == "idle":
                continue
            lane = view.waiting[owner]
            new = next(filter(view.is_news, lane), None)
            if new is not None and may_take(worker, owner, new, view):
                return Rows([new])
            if new is None and stale is None and may_take(worker, owner, lane[0], view):
                stale = lane[0]
        return Wait() if stale is None else Rows([stale])

    def has_work(self, view: View) -> bool:
        """Whether a row waits for a worker that is not computing."""
        return not view.in_flight.keys() >= view.waiting.keys()


def own_rows(worker: int, view: View, is_wanted: Callable[[int], bool], batch: int = 1) -> list[int]:
    """The first rows that wait for a worker, as many as go into a message, no two of them equal."""
    return first_rows(view.waiting.get(worker, ()), view, is_wanted, max(batch, view.room(worker)))


def first_rows(lane: Iterable[int], view: View, is_wanted: Callable[[int], bool], count: int) -> list[int]:
    """The first wanted rows of those that wait, no two of them equal."""
    rows: list[int] = []
    groups: set[int] = set()
    for row in lane:
        if len(rows) == count:
            break
        if view.groups[row] not in groups and is_wanted(row):
            rows.append(row)
            groups.add(view.groups[row])
    return rows


def may_take(worker: int, owner: int, row: int, view: View) -> bool:
    """Whether an idle worker may take a row of one that is not there, or is busy."""
    # To move resident data costs more than to wait for a worker that comes back, unless nothing else goes on.
    return view.states[owner] == "dead" or not view.in_flight or view.holds(worker, row)
