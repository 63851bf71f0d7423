"""How tasks get to workers and where their results stay: by value, or by reference (`kofn.jobs.remote`)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import Future
from typing import Any, final

from ..engines._protocol import Pool
from ..errors import WorkerError, WorkerLost
from ..schemes._task import Task
from ._holders import Holders
from ._message import send
from ._placement import Placement, size_of
from ._view import RunView
from .scheduling import Scheduler


class Delivery(ABC):
    """What takes the tasks of one run to workers, and what becomes of their results."""

    patience: float | None = None
    """Results stay at workers, and are counted on while these are no later than so many medians."""

    losses: tuple[type[WorkerError], ...] = (WorkerLost,)
    """What a message ends with that is lost, and whose rows others can compute."""

    def place(self, worker: int, tasks: Sequence[Task]) -> int:
        """Make resident what tasks need and a worker lacks; return how many bytes."""
        return 0

    @abstractmethod
    def send(self, worker: int, tasks: Sequence[Task]) -> Future[Any]:
        """Submit tasks as one message to a worker that has what they need."""

    @abstractmethod
    def lacks(self, worker: int, task: Task) -> int:
        """How many bytes a worker lacks for a task."""

    def holders(self) -> Holders:
        """What a run keeps of where results lie."""
        return Holders(self.patience)

    def take(self, row: int, worker: int, result: Any) -> None:  # noqa: B027  where it came there is nothing to do
        """Take note of a result."""

    def advance(  # noqa: B027
        self, view: RunView, task_of: Callable[[int], Task], wake: Callable[[], None]
    ) -> None:
        """Have data moved for what comes next; ``wake`` may be called from any thread when some has arrived."""

    def silent(self, view: RunView) -> Set[int] | None:
        """Workers that do not answer, of those that it is worth to ask; None where nobody can ask them."""
        return None

    def next_look(self, view: RunView) -> float:
        """When to look again for who is `silent`; inf for not before something has happened."""
        return math.inf

    def gone(self, view: RunView) -> Sequence[int]:
        """Workers that do not have any more what the answer is made of."""
        return ()

    def finished(self, assemble: Callable[[], Any]) -> Callable[[], Any]:
        """What computes the value that the user gets, from what computes that of the scheme."""
        return assemble

    @property
    def scheduler(self) -> str | Scheduler:
        """Who is given what, where the user does not say."""
        return "auto"

    @property
    def moved_bytes(self) -> Mapping[tuple[int, int], int]:
        """What travelled from worker to worker."""
        return {}

    @property
    def remarks(self) -> Sequence[str]:
        """What there is to say of where data lies."""
        return ()

    def close(self) -> None:  # noqa: B027
        """Let go of what was moved for this run."""


@final
class ByValue(Delivery):
    """Arguments go to workers with each task, what is resident once, and results come back.

    Parameters
    ----------
    pool : Pool
    placement : Placement
    """

    def __init__(self, pool: Pool, placement: Placement) -> None:
        self._pool, self._placement = pool, placement

    def place(self, worker: int, tasks: Sequence[Task]) -> int:
        """Once, unless it is there."""
        return sum(self._placement.ensure(worker, task) for task in tasks)

    def send(self, worker: int, tasks: Sequence[Task]) -> Future[Any]:
        """Submit them with their arguments."""
        keys = [key for task in tasks for key in self._placement.keys(task)]
        return send(self._pool, worker, tasks, keys)

    def lacks(self, worker: int, task: Task) -> int:
        """What is not resident there yet."""
        return self._placement.missing(worker, task)


def sent_bytes(tasks: Sequence[Task]) -> int:
    """Bytes of the arguments of tasks, each once in a message."""
    return sum(map(size_of, {id(argument): argument for task in tasks for argument in task.arguments}.values()))
