"""Whoever is idle repeats what others have been computing longest: what ``backup=True`` means."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._scheduler import Assignment, Copy, Scheduler, View, Wait
from ._static import Static


@dataclass(frozen=True)
class EagerCopies(Scheduler):
    """What another scheduler gives out; then copies of rows that nobody else repeats, the oldest first.

    Parameters
    ----------
    base : Scheduler
    """

    base: Scheduler = field(default_factory=Static)

    def assign(self, worker: int, view: View) -> Assignment:
        """What the base gives; where that is nothing, a copy."""
        assignment = self.base.assign(worker, view)
        if not isinstance(assignment, Wait):
            return assignment
        for message in sorted(view.in_flight.values(), key=lambda message: message.submitted):
            for row in message.rows:
                if view.copies(row) == 1 and view.is_news(row):
                    return Copy([row])
        return Wait()

    @property
    def skips_equal(self) -> bool:
        """As the base does."""
        return self.base.skips_equal
