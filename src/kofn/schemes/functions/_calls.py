"""What schemes of function values share: calls of f at inputs or at mixtures of them, and the words for where."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._base._numbers import Array
from ..._base._snapshots import failure_of, unseal
from ...checks import as_array, inexact_integer
from ...codes._linear import LinearCode

CALL = "kofn.map"


class Arguments(ABC):
    """What the function of each row is given; frozen data, of which nothing is computed before it is asked for."""

    @abstractmethod
    def of_rows(self) -> Sequence[tuple[Any, ...]]:
        """One tuple of arguments a row: the result of row r is ``functions[r](*arguments[r])``."""


@dataclass(frozen=True, eq=False)
class GivenArguments(Arguments):
    """Arguments as they are.

    Parameters
    ----------
    rows : sequence of tuples
    """

    rows: Sequence[tuple[Any, ...]]

    def of_rows(self) -> Sequence[tuple[Any, ...]]:
        """As given."""
        return self.rows


class EvaluationFailed(Exception):
    """At the worker: what f did, and where; the user sees a `kofn.FunctionError`."""


def require_result(result: object, place: str) -> None:
    """Refuse what an asynchronous function gives back: it has not run yet."""
    if inspect.iscoroutine(result):
        result.close()
        raise EvaluationFailed(f"f returned a coroutine at {place}; wrap it in lambda x: asyncio.run(f(x))")


def evaluate(function: Callable[..., Any], place: str, *arguments: Any) -> Array:
    """What a worker does: evaluate f and check its value.

    Examples
    --------
    >>> evaluate(np.sqrt, "input 0", 4)
    array(2.)
    """
    try:
        result = function(*map(unseal, arguments))
        require_result(result, place)
        array, masked = as_array(result)
        value, large = np.array(array), inexact_integer(result, array)  # f may use its buffer again
    except EvaluationFailed:
        raise
    except BaseException as error:
        raise EvaluationFailed(f"f {failure_of(error, 'x', f' at {place}')}") from error
    if value.dtype.kind not in "biufc":
        raise EvaluationFailed(f"f returned a {value.dtype} at {place}, which is not a number or an array of numbers")
    if large is not None:
        raise EvaluationFailed(f"f returned the integer {large} at {place}, which float64 cannot hold: return floats")
    value = value if value.dtype.kind in "fc" else value.astype(np.float64)  # its type says how precise it is
    if masked:
        raise EvaluationFailed(f"f returned an array with masked numbers at {place}")
    if not np.isfinite(value).all():
        raise EvaluationFailed(f"f returned NaN or inf at {place}")
    return value


def resident_key(function: Any) -> tuple[str, int]:
    """Under which a function is at the workers of a job that holds it."""
    return "function", id(function)


def describe_row(code: LinearCode, row: int) -> str:
    """Where a row evaluates f, in words: at an input, if its result is an output, or at a mixture of inputs.

    Examples
    --------
    >>> code = LinearCode("pair", [[1.0, 0.0], [1.0, 1.0]], np.eye(2), worker=[0, 1])
    >>> describe_row(code, 0), describe_row(code, 1)
    ('input 0', 'the encoded input of row 1, a mixture of all inputs')
    """
    index = input_of(code, row)
    return f"the encoded input of row {row}, a mixture of all inputs" if index is None else f"input {index}"


def input_of(code: LinearCode, row: int) -> int | None:
    """The input at which a row evaluates f; None where it is a mixture."""
    if code.picks is not None:
        return int(code.picks[row])
    same = np.flatnonzero((code.targets == code.generator[row]).all(axis=1))
    return int(same[0]) if same.size else None
