"""A message to a worker: rows that it computes one after another, and what comes back of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from .engines.pool import Pool
from .envelope import Envelope, text_of
from .errors import TaskError
from .scheme import Task


@dataclass(frozen=True)
class Message:
    """Rows that one worker is computing."""

    rows: Sequence[int]
    worker: int
    submitted: float
    future: Future[Any]


class Caught:
    """A function that runs at a worker, and whose exceptions are results to the engine.

    So no engine's own way with exceptions sees what a task raises, and none takes a task's `kofn.WorkerLost`, or
    ``concurrent.futures.CancelledError``, for its own.

    Examples
    --------
    >>> Caught(abs)(-1), Caught(abs)("x").kind
    (1, 'TypeError')
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "task")

    def __call__(self, *values: Any) -> Any:
        try:
            return self.function(*values)
        except BaseException as error:
            return Envelope(error)


def run_batch(*values: Any) -> list[Any] | Envelope:
    """Run several tasks at a worker: resident values first, as engines pass them, and the batch last.

    Examples
    --------
    >>> run_batch("ab", "cd", [(len, 1, ()), (str.count, 1, ("d",))])
    [2, 1]
    >>> failed = run_batch([(abs, 0, (-1,)), (abs, 0, ("x",))])
    >>> failed.position, failed.kind
    (1, 'TypeError')
    """
    *resident, batch = values
    results: list[Any] = []
    start = 0
    try:
        for function, count, arguments in batch:
            results.append(function(*resident[start : start + count], *arguments))
            start += count
    except BaseException as error:
        return Envelope(error, len(results))
    return results


def send(pool: Pool, worker: int, tasks: Sequence[Task]) -> Future[Any]:
    """Submit tasks as one message; it ends with the result of the only one, the results of several, or an envelope."""
    keys = tuple(key for task in tasks for key in task.resident)
    if len(tasks) == 1:
        return pool.submit(worker, Caught(tasks[0].function), *tasks[0].arguments, keys=keys)
    batch = [(task.function, len(task.resident), task.arguments) for task in tasks]
    return pool.submit(worker, run_batch, batch, keys=keys)


def failure(envelope: Envelope, worker: int, row: int) -> TaskError:
    """Build (not raise) what the user sees of a task that raised."""
    text = f"the task of row {row} raised {envelope.kind} at worker {worker}: {envelope.text}"
    error = TaskError(text, worker, row, envelope.traceback)
    error.__cause__ = envelope.open()
    return error


def undelivered(error: BaseException, worker: int, row: int) -> TaskError:
    """Build (not raise) what the user sees of a task that could not be opened, or whose result could not be sent."""
    text = f"the task of row {row} raised {type(error).__name__} at worker {worker}: {text_of(error)}"
    raised = TaskError(text, worker, row, "\n".join(map(str, getattr(error, "__notes__", ()))))
    raised.__cause__ = error
    return raised
