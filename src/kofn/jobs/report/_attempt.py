"""One row given to one worker, and how that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["arrived", "late", "lost", "restarted", "abandoned"]
"""``late``: another copy of the row arrived before; ``restarted``: ended and given out again (`Scheduler`);
``abandoned``: still running when the job was done."""


@dataclass(frozen=True)
class Attempt:
    """One row given to one worker.

    Parameters
    ----------
    row, worker : int
    load : float
        Work of the row, in uncoded tasks.
    submitted, ended : float
        Seconds since the start of the job; for what was abandoned, when it was.
    outcome : {"arrived", "late", "lost", "restarted", "abandoned"}
    """

    row: int
    worker: int
    load: float
    submitted: float
    ended: float
    outcome: Outcome

    @property
    def seconds(self) -> float:
        """How long the worker was occupied."""
        return self.ended - self.submitted
