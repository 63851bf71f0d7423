"""What one row asks of its worker, and what may come back of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from .._base._numbers import Array
from .._base._snapshots import Snapshot, is_own
from .._base._travel import Carrying
from ..arrays._spec import ArraySpec
from ..checks import as_array, inexact_integer
from ..errors import TaskError


class Allocate(Protocol):
    """``allocate(shape, dtype)`` gives an uninitialised array; an engine's may be shared with its workers."""

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array: ...


@dataclass(frozen=True, eq=False)
class Task(Carrying):
    """What one row asks of its worker: ``function(*(resident values), *arguments)``.

    Parameters
    ----------
    function : callable
        Its result is the row's payload, an array.
    arguments : tuple
        Sent with the task.
    resident : mapping of key to value
        Placed at the worker once and used by every task and job that names the same key.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    resident: Mapping[Hashable, Any] = field(default_factory=dict)

    def taken(self, snapshot: Snapshot) -> Task:
        """The same on what all of it is now."""
        resident = {key: snapshot.value(value) for key, value in self.resident.items()}
        function = self.function if is_own(self.function) else snapshot.function(self.function)
        return Task(function, tuple(map(snapshot.value, self.arguments)), resident)


def payload(row: int, result: Any) -> Array:
    """Take what a worker returned as an array that real weights can combine; integers become float64.

    Examples
    --------
    >>> payload(0, [1, 2])
    array([1., 2.])
    """
    (array, masked), returned = as_array(result), f"the task of row {row} returned"
    if masked:
        raise row_error(row, f"{returned} an array with masked numbers; fill it first.")
    if (large := inexact_integer(result, array)) is not None:
        raise row_error(row, f"{returned} the integer {large}, which a float64 may not hold; return floats.")
    if array.dtype.kind in "biu":  # weights of their type would all be rounded
        return array.astype(np.float64)
    if array.dtype.kind not in "fc":
        given = f"a {type(result).__name__} of dtype {array.dtype}"
        raise row_error(row, f"{returned} {given}, not numbers that can be combined.")
    if not _finite(array):
        raise row_error(row, f"{returned} NaN or inf, which would spoil the answer.")
    return array


def kind_of(result: Any) -> ArraySpec | None:
    """What all payloads of a run have to have in common: their shape, and whether they are complex; None of no numbers.

    Examples
    --------
    >>> kind_of(0) == kind_of(np.float32(0.5)), kind_of([1, 2]) == kind_of(1j), kind_of("a")
    (True, False, None)
    """
    try:
        array, masked = as_array(result)
    except Exception:  # lists of unlike lengths, or what is no array in its own way
        return None
    if masked or array.dtype.kind not in "biufc":
        return None
    return ArraySpec(array.shape, np.dtype(np.complex128 if array.dtype.kind == "c" else np.float64))


@np.errstate(over="ignore", invalid="ignore")
def _finite(array: Array) -> bool:
    """Whether all numbers are finite: their sum shows it at a quarter of the cost, unless they are huge."""
    return bool(np.isfinite(array.sum()) or np.isfinite(array).all())


def name_some(what: str, numbers: Sequence[int]) -> str:
    """Say which rows, terms or inputs, of many the first eight.

    Examples
    --------
    >>> name_some("row", [5]), name_some("term", range(100))
    ('row 5', 'terms 0, 1, 2, 3, 4, 5, 6, 7 and 92 more')
    """
    shown, more = ", ".join(map(str, numbers[:8])), len(numbers) - 8
    return f"{what}{'s' * (len(numbers) > 1)} {shown}{f' and {more} more' * (more > 0)}"


def row_error(row: int, text: str, kind: type[TaskError] = TaskError, **said: Any) -> TaskError:
    """Build (not raise) what is wrong with the result of a row; which worker it is of, a run says (`Learner.take`).

    Examples
    --------
    >>> row_error(3, "too large")
    TaskError('too large')
    """
    return kind(text, -1, row, **said)


def rephrase(error: TaskError, text: str, kind: type[TaskError], cause: BaseException | None, **said: Any) -> TaskError:
    """Build (not raise) the same failure as another exception, which says it in words of the user's."""
    other = kind(text, error.worker, error.row, error.traceback, **said)
    other.__cause__ = cause
    return other
