"""Workers pass over what others have or have had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from ... import checks
from ._scheduler import Assignment, Rows, Scheduler, View, Wait
from ._static import first_rows, may_take, own_rows


@final
@dataclass(frozen=True, repr=False)
class Adaptive(Scheduler):
    """Workers pass over rows of which an equal one has arrived or is being computed, and help each other out.

    An idle worker takes rows that wait for a busy one where it has the resident data, and repeats what others compute
    once nothing else is left. It loses nothing against `Static`; `kofn.simulate` knows nothing of it.

    Parameters
    ----------
    batch : int
        How many rows that wait go into a message, at least. Backups (`Duplicates`, `CodedBackups`) are single rows, so
        that work which is cut four times finer and sent in fours is backed up in quarters: what a straggler holds is
        shared by all who are idle, and the end comes sooner, at no cost where nothing straggles.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> with kofn.ThreadPool(2) as pool:
    ...     kofn.sum([np.sin, np.cos], 0.0, workers=pool, rng=0).exact
    True
    """

    batch: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("kofn.Adaptive", "batch", self.batch, 1, "leave it out for 1")

    def assign(self, worker: int, view: View) -> Assignment:
        """Its own rows first, then those of others; at last, a row whose equal is being computed."""
        rows = own_rows(worker, view, lambda row: not view.copies(row), self.batch)
        if rows:
            return Rows(rows)
        for owner in _behind(view):
            rows = first_rows(view.waiting[owner], view, lambda row: not view.copies(row), self.batch)
            if rows and all(may_take(worker, owner, row, view) for row in rows):
                return Rows(rows)
        return _repeated(worker, view)

    def has_work(self, view: View) -> bool:
        """Whether any row waits."""
        return bool(view.waiting)

    @property
    def skips_equal(self) -> bool:
        """Rows are dropped as soon as an equal one arrives."""
        return True


def _behind(view: View) -> Iterator[int]:
    """Workers that have rows waiting and are not about to take them."""
    return (owner for owner in sorted(view.waiting) if owner in view.in_flight or view.states[owner] != "idle")


def _repeated(worker: int, view: View) -> Assignment:
    """Of the rows whose equal is being computed, the one that is so least; those of the worker itself go first."""
    own = view.waiting.get(worker, ())
    theirs = (row for owner in _behind(view) for row in view.waiting[owner] if may_take(worker, owner, row, view))
    row = min(own, key=view.copies, default=None)
    if row is None:
        row = min(theirs, key=view.copies, default=None)
    return Wait() if row is None else Rows([row])
