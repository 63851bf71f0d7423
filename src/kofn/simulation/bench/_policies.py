"""Policies: a scheduler, a code, and how many tasks a worker the work is cut into."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ._backups import CUBED, DUPLICATES, FLINK, FRESH, HADOOP, NOTHING, SPARK
from ._run import Rules

TASKS = (1, 2, 4, 8)
"""Tasks a worker that every policy is tried with."""

BATCH = 4
"""Rows of a message of kofn's: backups are that much finer than what they back up."""

SHARE = 6 / 8
"""Of the rows of a static code, how many are enough."""

MOVE = 8.0
"""What moving a block of a resident matrix costs, in products with it: 1 GB/s over the network, 10 GB/s from memory."""


@dataclass(frozen=True)
class Policy:
    """What is done about stragglers, before it is known how many workers there are.

    Parameters
    ----------
    name : str
    backup : int
        What an idle worker does when nothing waits, of those in `_backups`.
    quantile, multiplier, minimum : float
        Of the rules that copy what is slow; with kofn's own rules, 0 copies at once.
    first : float
        How long plain work takes in which nothing has come back until the first is late, over ``multiplier``.
    cancels : bool
        Whether what nobody needs any more is ended at once.
    restart : float
        After how many medians a task is ended and given out again; inf for never.
    static : bool
        Whether it is a static code, any 6 of 8 of whose rows are enough.
    batch : int
        Rows that a task is cut into; they travel together, and backups are single rows.
    """

    name: str
    backup: int = NOTHING
    quantile: float = 0.0
    multiplier: float = 0.0
    minimum: int = 1
    first: float = math.inf
    cancels: bool = False
    restart: float = math.inf
    static: bool = False
    batch: int = 1

    def rules(self, work: str, workers: int, tasks: int) -> Rules | None:
        """The policy as numbers for the simulation; None where the work does not allow it."""
        plain, combines = workers * tasks * self.batch, work in ("product", "operator")
        if self.static and not combines:
            return None  # a gradient code computes each term three times; a map has no code at all
        resident = work == "operator"
        rows, needed, load, backup = plain, plain, 1.0 / (tasks * self.batch), self.backup
        if self.static:
            needed = math.ceil(SHARE * plain)
            load *= plain / needed
        if backup == FRESH and not combines:
            backup = DUPLICATES  # a combination of terms costs all of them
        if backup == FRESH and resident:
            rows, backup = plain + workers * parities(workers, tasks * self.batch), NOTHING
        return Rules(
            rows=rows,
            needed=needed,
            load=load,
            batch=self.batch,
            steals=not self.static and (not resident or self.backup == DUPLICATES),
            backup=backup,
            quantile=self.quantile,
            multiplier=self.multiplier,
            minimum=self.minimum,
            first=self.first / load,
            cancels=self.cancels,
            restart=self.restart,
            holders=0 if not resident else 2 if self.backup == DUPLICATES else 1,
            move=MOVE if resident else 0.0,
        )

    def memory(self, work: str, workers: int, tasks: int) -> float:
        """What workers keep, in units of the operands: blocks of an operator, encoded blocks of a static code."""
        if self.static:
            return 1.0 / SHARE
        if work != "operator":
            return 1.0
        if self.backup == FRESH:
            own = tasks * self.batch
            return 1.0 + parities(workers, own) / own
        return 2.0 if self.backup == DUPLICATES else 1.0


def parities(workers: int, rows: int) -> int:
    """Parity rows that a worker keeps beside rows of its own of a resident matrix, so that any one worker may be lost.

    Examples
    --------
    >>> parities(8, 7), parities(8, 8)
    (1, 2)
    """
    return math.ceil(rows / (workers - 1)) if workers > 1 else 0


_ALL = (
    Policy("plain"),
    Policy("spark-3.5", SPARK, 0.75, 1.5, 2, cancels=True),
    Policy("spark-4", SPARK, 0.9, 3.0, 2, cancels=True),
    Policy("hadoop", HADOOP, cancels=True),
    Policy("flink", FLINK, 0.75, 1.5, cancels=True),
    Policy("cubed", CUBED, 0.5, 3.0, 10, cancels=True),
    Policy("duplicates", DUPLICATES, batch=BATCH),
    Policy("coded", FRESH, batch=BATCH),
    Policy("mds-6-of-8", static=True),
)

POLICIES: Mapping[str, Policy] = MappingProxyType({policy.name: policy for policy in _ALL})
"""By the names that ``--policies`` takes, without those that choose."""
