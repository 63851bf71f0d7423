"""What a worker does with a message of calls."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._base._envelope import Envelope, error_line
from ..._base._pickles import dumps
from ..._base._snapshots import is_unchanging
from ...schemes.functions._calls import EvaluationFailed
from ...schemes.functions._hedged import call


class Outcomes(NamedTuple):
    """What became of the first calls of a message: results, after which one may have raised, and how long they took."""

    results: list[Any]
    failure: Envelope | None
    seconds: float

    @property
    def ended(self) -> int:
        """How many calls have come to an end."""
        return len(self.results) + (self.failure is not None)


class Packed(NamedTuple):
    """A result as it was when its call ended: f may use again what it returned."""

    stream: bytes


def run_calls(
    function: Callable[..., Any], patience: float, apart: bool, calls: Sequence[tuple[int, tuple[Any, ...]]]
) -> Outcomes:
    """Make calls one after another, until one raises or all take too long.

    Parameters
    ----------
    function : callable
    patience : float
        After so many seconds no further call is begun: others may have time for it.
    apart : bool
        Whether results travel, so that what is returned twice is two things.
    calls : sequence of (number, arguments)

    Examples
    --------
    >>> run_calls(len, 1.0, False, [(0, ("ab",)), (1, ("c",))]).results
    [2, 1]
    >>> failed = run_calls(len, 1.0, False, [(0, (1,)), (1, ("c",))])
    >>> failed.ended, failed.failure.text
    (1, "f raised TypeError at input 0: object of type 'int' has no len()")
    """
    start = time.perf_counter()
    results: list[Any] = []
    pack = apart and len(calls) > 1  # of one alone, arrays need not be copied
    for number, arguments in calls:
        try:
            result = call(function, f"input {number}", *arguments)
            results.append(_packed(result, number) if pack else result)
        except BaseException as error:
            return Outcomes(results, Envelope(error), time.perf_counter() - start)
        if time.perf_counter() - start > patience:
            break
    return Outcomes(results, None, time.perf_counter() - start)


def _packed(result: Any, number: int) -> Any:
    if is_unchanging(result) or (type(result) is np.ndarray and not result.dtype.hasobject):  # a copy of its own
        return result
    try:
        return Packed(dumps(result))
    except BaseException as error:
        name = f"{type(result).__module__}.{type(result).__qualname__}"
        text = f"f returned a {name} at input {number}, which cannot be sent back: {error_line(error)}"
        raise EvaluationFailed(text) from error


def unpacked(result: Any) -> Any:
    """A result, from what came of it.

    Examples
    --------
    >>> unpacked(Packed(dumps([1]))), unpacked(1)
    ([1], 1)
    """
    return pickle.loads(result.stream) if type(result) is Packed else result
