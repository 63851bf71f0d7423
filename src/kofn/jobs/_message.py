"""A message to a worker: rows that it computes one after another, and what comes back of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from .._base._envelope import Envelope, notes_of, text_of
from .._base._snapshots import call_protected, is_own, seal
from ..engines._protocol import Pool
from ..errors import TaskError
from ..schemes._task import Task


class Caught:
    """A function that runs at a worker, and whose exceptions are results to the engine.

    Where ``reads_only`` an engine has nothing to undo afterwards: kofn's own functions write into nothing.

    So no engine's own way with exceptions sees what a task raises, and none takes a task's `kofn.WorkerLost`, or
    ``concurrent.futures.CancelledError``, for its own.

    Examples
    --------
    >>> Caught(abs)(-1), Caught(abs)("x").kind
    (1, 'TypeError')
    """

    def __init__(self, function: Callable[..., Any], reads_only: bool = False) -> None:
        self.function, self.reads_only = function, reads_only
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


def run_own_batch(*values: Any) -> list[Any] | Envelope:
    """`run_batch` of kofn's own functions."""
    return run_batch(*values)


run_own_batch.reads_only = True  # type: ignore[attr-defined]


def send(pool: Pool, worker: int, tasks: Sequence[Task], keys: Sequence[Hashable]) -> Future[Any]:
    """Submit tasks as one message; it ends with the result of the only one, the results of several, or an envelope.

    Parameters
    ----------
    keys : sequence
        Under which the pool knows the resident values of all of them.
    """
    calls, own = [_call_of(task) for task in tasks], all(is_own(task.function) for task in tasks)
    if len(tasks) == 1:
        function, arguments = calls[0]
        return pool.submit(worker, Caught(function, own), *arguments, keys=tuple(keys))
    counts = (len(task.resident) for task in tasks)
    batch = [(function, count, arguments) for (function, arguments), count in zip(calls, counts, strict=True)]
    return pool.submit(worker, run_own_batch if own else run_batch, batch, keys=tuple(keys))


def _call_of(task: Task) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """What is submitted for a task; a function that is not kofn's own is guarded."""
    if is_own(task.function):
        return task.function, task.arguments
    return partial(call_protected, task.function), tuple(map(seal, task.arguments))


def has_results(future: Future[Any]) -> bool:
    """Whether a message that ended brought results, and no failure or death."""
    return not (future.cancelled() or future.exception() or isinstance(future.result(), Envelope))


def failure(envelope: Envelope, worker: int, row: int) -> TaskError:
    """Build (not raise) what the user sees of a task that raised."""
    return _task_error(envelope.open(), envelope.kind, envelope.text, worker, row, envelope.traceback)


def undelivered(error: BaseException, worker: int, row: int) -> TaskError:
    """Build (not raise) what the user sees of a task that could not be opened, or whose result could not be sent."""
    notes = "\n".join(notes_of(error))
    return _task_error(error, type(error).__name__, text_of(error), worker, row, notes)


def _task_error(cause: BaseException | None, kind: str, text: str, worker: int, row: int, traceback: str) -> TaskError:
    error = TaskError(f"the task of row {row} raised {kind} at worker {worker}: {text}", worker, row, traceback)
    error.__cause__ = cause
    return error
