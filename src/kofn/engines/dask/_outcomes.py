"""Small outcomes come to the client as events, before the news that their tasks have ended: nobody has to fetch them.

To fetch a result takes two questions, one to the scheduler and one to the worker, and as many answers, once Dask has
told that it is there. An event takes the way of that message, and comes before it.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SMALL = 1024
"""Bytes up to which an outcome is told; a scheduler remembers the last thousand events of a client for a while."""

TASK, OUTCOME = "kofn-task", "kofn-outcome"


class Outcomes:
    """What workers tell of tasks, by key. All of it runs on the client's event loop.

    Examples
    --------
    >>> async def told():
    ...     outcomes = Outcomes()
    ...     with outcomes.of("task-1") as outcome:
    ...         outcomes.on_event({TASK: "task-1", OUTCOME: pickle.dumps(("value", 3))})
    ...         return await outcome
    >>> asyncio.run(told())
    ('value', 3)
    """

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[Any]] = {}

    @contextmanager
    def of(self, task: str) -> Iterator[asyncio.Future[Any]]:
        """What is told of a task in this block."""
        outcome = self._awaited[task] = asyncio.get_running_loop().create_future()
        try:
            yield outcome
        finally:
            del self._awaited[task]

    def on_event(self, event: Any) -> None:
        """Take note of an event, if somebody waits for it; a scheduler tells others under the same topic."""
        outcome = self._awaited.get(event.get(TASK, "")) if isinstance(event, dict) else None
        if outcome is not None and not outcome.done():
            outcome.set_result(pickle.loads(event[OUTCOME]))


def tell(client: str, task: str, outcome: tuple[str, Any]) -> None:
    """Have a client hear of an outcome if it is small; called at a worker, in the task's own thread.

    A scheduler tells what stands under a client's name to that client if it listens, and forgets it some time after the
    client has gone.
    """
    from distributed import get_worker

    if _size(*outcome) <= SMALL:
        with suppress(ValueError):  # a worker may have its tasks done in processes, where it is not
            get_worker().log_event(client, {TASK: task, OUTCOME: pickle.dumps(outcome)})


def _size(kind: str, answer: Any) -> int:
    """Bytes of what may be large: a value, in its parts, or an error."""
    parts = [answer[0], *answer[1]] if kind == "value" else [answer] if kind == "failed" else []
    return sum(map(len, parts))
