"""Small outcomes come to the client as events, beside the news that their tasks have ended: nobody has to fetch them.

To fetch a result takes two questions, one to the scheduler and one to the worker, and as many answers. An event takes
the way of Dask's own messages, and comes before the message that its task has ended.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

SMALL = 1024
"""Bytes up to which an outcome is told; a scheduler remembers the last thousand events of a client for a while."""

TASK, OUTCOME = "kofn-task", "kofn-outcome"


class Outcomes:
    """What workers have told, until it is asked for. All of it runs on the client's event loop.

    Examples
    --------
    >>> outcomes = Outcomes()
    >>> outcomes.expect("task-1")
    >>> outcomes.on_event({TASK: "task-1", OUTCOME: pickle.dumps(("value", 3))})
    >>> outcomes.take("task-1"), outcomes.take("task-1")
    (('value', 3), None)
    """

    def __init__(self) -> None:
        self._told: dict[str, bytes | None] = {}

    def expect(self, task: str) -> None:
        """Take note of what is told of a task from now on."""
        self._told[task] = None

    def on_event(self, event: Any) -> None:
        """Take note of an event, if somebody waits for it; a scheduler tells others under the same topic."""
        if isinstance(event, dict) and event.get(TASK) in self._told:
            self._told[event[TASK]] = event[OUTCOME]

    def take(self, task: str) -> Any:
        """What was told of a task, or None; nothing more is expected."""
        told = self._told.pop(task, None)
        return None if told is None else pickle.loads(told)


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
