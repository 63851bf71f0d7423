"""Idle workers help those that are slow: what waits there moves, what is being computed there is copied."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, final, get_args

from ... import checks
from ._adaptive import Adaptive
from ._scheduler import Assignment, Copy, InFlight, Rows, Scheduler, View, Wait
from ._static import Static

Usual = Literal["median", "median of first", "slowest of first"]


@final
@dataclass(frozen=True, repr=False)
class Speculative(Scheduler):
    """Idle workers take over rows that wait for a slow worker, and repeat what it computes, as Spark does.

    A worker is slow when what it computes takes longer than ``multiplier`` times what is usual, in proportion to load.
    The row that would wait for it longest moves, unless to move its resident data costs more than to wait: a worker
    that has taken so long is expected to take as long for each row more. Of each row there are two copies at most. The
    rules of Spark, Flink and Cubed are `SPARK_3_5`, `SPARK_4`, `FLINK` and `CUBED` in `kofn.jobs.scheduling`.

    Parameters
    ----------
    quantile : float
        Share of the rows that must have arrived before any is copied, in [0, 1], at least one row.
    multiplier : float
    minimum_tasks : int
        In jobs of fewer rows, none is copied.
    base : Scheduler
        Asked first; `Static` by default.
    usual : {"median", "median of first", "slowest of first"}
        What came back, from which the time that is usual is taken: all of it, or as many of the fastest as ``quantile``
        asks for. Until something has come back nothing is slow.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> slow = kofn.Slowdown(kofn.Constant(0.001), {2: 10_000.0})
    >>> with kofn.Straggling(kofn.ThreadPool(3), slow) as pool:
    ...     scheme = kofn.schemes.uncoded(np.eye(6), np.eye(6), workers=3)
    ...     kofn.run(scheme, workers=pool, scheduler=kofn.Speculative(quantile=0.5)).exact
    True
    """

    quantile: float = 0.75
    multiplier: float = 1.5
    minimum_tasks: int = 1
    base: Scheduler = field(default_factory=Static)
    usual: Usual = "median"

    def __post_init__(self) -> None:
        super().__post_init__()
        call = "kofn.Speculative"
        checks.number(call, "multiplier", self.multiplier, "use 1.5 as Spark does, for example", strict=True)
        checks.number(call, "quantile", self.quantile, "use 0.75 as Spark does, for example")
        checks.integer(call, "minimum_tasks", self.minimum_tasks, 1, "leave it out for 1")
        if self.quantile > 1:
            raise checks.refusal(call, "quantile", "be in [0, 1]", self.quantile, "use 0.75, for example")
        if not isinstance(self.base, Scheduler):
            raise checks.refusal(call, "base", "be a scheduler", repr(self.base), "use kofn.Adaptive(), for example")
        checks.choice(call, "usual", self.usual, get_args(Usual), "leave it out for the median, as Spark has it")

    def assign(self, worker: int, view: View) -> Assignment:
        """What the base gives; then a row that waits for a slow worker; then a copy."""
        assignment = self.base.assign(worker, view)
        if not isinstance(assignment, Wait):
            return assignment
        moves = [(due, row) for due, row in self._moves(worker, view) if due <= view.now]
        if moves:
            return Rows([min(moves)[1]])
        for message in sorted(self._slow(view), key=lambda message: message.submitted):
            if rows := self._copyable(message, view)[: view.room(worker)]:
                return Copy(rows)
        return Wait()

    def has_work(self, view: View) -> bool:
        """Whether the base has, or a slow worker has something that may move or be copied."""
        slow = self._slow(view)
        return self.base.has_work(view) or any(m.worker in view.waiting or self._copyable(m, view) for m in slow)

    def next_look(self, view: View) -> float:
        """When the next worker counts as slow, or the next row is to move."""
        slow = (self._slow_at(message, view) for message in view.in_flight.values() if self._copyable(message, view))
        moves = (due for worker in view.idle for due, _ in self._moves(worker, view))
        later = (time for time in (*slow, *moves) if time > view.now)
        return min(later, default=math.inf)

    @property
    def skips_equal(self) -> bool:
        """As the base does."""
        return self.base.skips_equal

    def _slow(self, view: View) -> Iterator[InFlight]:
        return (message for message in view.in_flight.values() if self._slow_at(message, view) <= view.now)

    def _slow_at(self, message: InFlight, view: View) -> float:
        return message.submitted + self.multiplier * self._pace(view) * _load(message, view)

    def _pace(self, view: View) -> float:
        """Seconds that are usual for load 1."""
        share, paces = self.quantile * view.code.rows, view.paces
        if self.usual == "median" or not paces:
            return view.pace
        place = math.floor(share + 0.5) // 2 if self.usual == "median of first" else math.ceil(share) - 1
        return paces[min(max(0, place), len(paces) - 1)]

    def _moves(self, worker: int, view: View) -> Iterator[tuple[float, int]]:
        """The last row that waits for each worker that is computing, and when it is to move to an idle one."""
        for message in view.in_flight.values():
            lane = view.waiting.get(message.worker, ())
            row = next(filter(view.is_news, reversed(lane)), None)
            if row is not None:
                load = view.code.load
                cost = view.moving_seconds(worker, row) + view.pace * load[row]
                worth = cost / sum(load[other] for other in lane)  # seconds for load 1 from which on waiting costs more
                yield message.submitted + _load(message, view) * max(self.multiplier * view.pace, worth), row

    def _copyable(self, message: InFlight, view: View) -> list[int]:
        """Rows of which nobody else has an equal one and none has arrived, once it is time for copies."""
        rows = view.code.rows
        if rows < self.minimum_tasks or len(view.received) < max(1, math.floor(self.quantile * rows)):
            return []
        return [row for row in message.rows if view.copies(row) == 1 and view.is_news(row)]


def _load(message: InFlight, view: View) -> float:
    return float(sum(view.code.load[row] for row in message.rows))


SPARK_3_5 = Speculative(0.75, 1.5, 2, Adaptive())
"""Apache Spark 3.5: from three quarters of the tasks on, what runs longer than 1.5 medians; not in jobs of one task.

``checkSpeculatableTasks`` of ``scheduler/TaskSetManager.scala`` with the defaults of ``spark.speculation.quantile`` and
``multiplier``, but for its least running time of 100 ms, which is made for longer tasks.
"""

SPARK_4 = Speculative(0.9, 3.0, 2, Adaptive())
"""Apache Spark 4: the same from nine tenths on, after 3 medians.

SPARK-47720 (pull request 45858 of ``apache/spark``), merged for 4.0.0.
"""

FLINK = Speculative(0.75, 1.5, 1, Adaptive(), usual="median of first")
"""Apache Flink: 1.5 times the median of the fastest three quarters of all tasks, weighed with the size of inputs.

``ExecutionTimeBasedSlowTaskDetector.java`` with the defaults of ``slow-task-detector.execution-time``, but for its
least running time of a minute; two executions of a task at most, the default of ``max-concurrent-executions``.
"""

CUBED = Speculative(0.5, 3.0, 10, Adaptive(), usual="slowest of first")
"""Cubed: of ten tasks or more, 3 times what the slowest of the fastest half took (``cubed/runtime/backup.py``)."""
