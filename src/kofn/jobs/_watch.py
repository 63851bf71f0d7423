"""What a run tells the memory of its pool: how long each message was away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..engines._delays import Delays, Message
from .report._attempt import Attempt

RETURNED = ("arrived", "compared", "late", "wrong")
"""Outcomes of what came back."""


def remember(delays: Delays, workers: int, attempts: Sequence[Attempt], seconds: float, work: float | None) -> None:
    """Let a pool remember a run that is over.

    Parameters
    ----------
    delays : Delays
        Of the pool.
    workers : int
    attempts : sequence of Attempt
        All of the run; rows of one message were submitted at the same time.
    seconds : float
        What the run took.
    work : float, optional
        Floating-point operations of a row of load 1, where that is known.

    Examples
    --------
    >>> delays = Delays()
    >>> attempts = [Attempt(0, 0, 1.0, 0.0, 1.0, "arrived"), Attempt(1, 1, 1.0, 0.0, 3.0, "abandoned"),
    ...             Attempt(1, 0, 1.0, 1.0, 2.0, "arrived")]
    >>> remember(delays, 2, attempts, 3.0, None)
    >>> delays.pace.tolist(), delays.again.tolist()
    ([[1.0, 1.0, 1.0, 1.0], [6.0, 6.0, 6.0, 6.0]], [[3.0, 1.0]])
    """
    messages: list[Message] = []
    of_message = lambda one: (one.submitted, one.worker)  # noqa: E731
    for (submitted, worker), rows in groupby(sorted(attempts, key=of_message), key=of_message):
        together = list(rows)
        load, away = sum(attempt.load for attempt in together), together[0].seconds
        messages.append(Message(worker, submitted, away, load, together[0].outcome in RETURNED))
    delays.see(workers, messages, seconds, work, again=_twice(attempts))


def _twice(attempts: Sequence[Attempt]) -> list[tuple[float, float]]:
    """Seconds per unit of load of rows that two workers had, one after the other, as far as anybody saw."""
    firsts: dict[int, Attempt] = {}
    pairs: list[tuple[float, float]] = []
    for attempt in sorted(attempts, key=lambda one: one.submitted):
        first = firsts.setdefault(attempt.row, attempt)
        if first is attempt or "lost" in (first.outcome, attempt.outcome):
            continue
        if attempt.outcome in RETURNED or attempt.seconds > first.seconds / 2:  # else nobody saw enough
            pairs.append((first.seconds / first.load, attempt.seconds / attempt.load))
    return pairs
