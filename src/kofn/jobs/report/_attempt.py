"""One row given to one worker, and how that ended."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["arrived", "compared", "late", "lost", "wrong", "restarted", "abandoned"]
"""``compared``: others were compared with it (``verify=``) or took its place; ``late``: another copy of the row arrived
before; ``wrong``: its result was found wrong (``verify=``) and not used; ``restarted``: ended and given out again
(`Scheduler`); ``abandoned``: still running when the job was done."""


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
    outcome : {"arrived", "compared", "late", "lost", "wrong", "restarted", "abandoned"}
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

    def withdrawn(self, wrong: Collection[tuple[int, int]], again: Collection[tuple[int, int]]) -> Attempt:
        """The same once results of some (row, worker) were found wrong, and others do not count any more."""
        if self.outcome not in ("arrived", "compared"):
            return self
        if (self.row, self.worker) in wrong:
            return replace(self, outcome="wrong")
        return replace(self, outcome="compared") if (self.row, self.worker) in again else self


@dataclass(frozen=True)
class Stalled:
    """A row that took a worker five times as long as is usual, or more.

    Parameters
    ----------
    worker, row : int
    seconds : float
        How long: until it came back, or the job was done.
    usual : float
        The median of what came back by the time when it was noticed, in proportion to load.

    Examples
    --------
    >>> print(Stalled(3, 7, 61.0, 10.0))
    worker 3 has computed row 7 for 61.0 s, where 10.0 s are usual.
    """

    worker: int
    row: int
    seconds: float
    usual: float

    def __str__(self) -> str:
        took = f"has computed row {self.row} for {self.seconds:.1f} s"
        usual = f"{self.usual:.1f}" if self.usual >= 0.1 else f"{self.usual:.1g}"
        return f"worker {self.worker} {took}, where {usual} s are usual."


@dataclass(frozen=True)
class Wrong:
    """A result that was found wrong and not used.

    Parameters
    ----------
    row, worker : int
    size : float
        How far it is off, in units of what rounding can explain; inf where it is no result at all, such as NaN or
        one of another shape.
    """

    row: int
    worker: int
    size: float

    def __str__(self) -> str:
        off = "no result at all" if self.size == math.inf else f"{self.size:.1e} times what rounding explains"
        return f"worker {self.worker} returned a wrong result of row {self.row}: {off}; it was not used."
