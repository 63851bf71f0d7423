"""Outputs that are picked and never added: copies of any call, of which the first counts.

G repeats the identity and T is it. Nothing is mixed and nothing decoded, so inputs and results may be anything that
can be sent, as for `map`; idle workers take over what waits behind slow ones, and repeat what is under way elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..._base._snapshots import failure_of, opened, sealed
from .._scheme import Allocate, Parts, Scheme, Task
from ._scheme import EvaluationFailed, Evaluations, explained, numbers, place_of, require_result, resident_key

Array = NDArray[Any]


def hedged_scheme(evaluations: Evaluations, number: int | None = None, zero_fill: bool = False) -> Scheme:
    """The scheme whose answer is the outputs in the order of the inputs: an array, or a list (`together`).

    Parameters
    ----------
    evaluations : Evaluations
        With ``picked``, from `kofn.schemes.functions._copies`.
    number : int, optional
        As for `kofn.schemes.functions.function_scheme`.
    zero_fill : bool
        Whether what is missing in an array is zero, as papers have it.

    Examples
    --------
    >>> from kofn.schemes import FUNCTIONS
    >>> scheme = hedged_scheme(FUNCTIONS["uncoded"](str, [1, 2.5, None]))
    >>> results = [task.function(*task.resident.values(), *task.arguments) for task in scheme.encode(np.empty)]
    >>> scheme.gather([2, 0], [results[2], results[0]])
    ['1', None, 'None']
    """
    code = evaluations.code
    owner = next(numbers) if number is None else number
    source = code.groups.tolist()

    def encode(allocate: Allocate) -> Sequence[Task]:
        rows = zip(evaluations.functions, evaluations.encode(), strict=True)
        return [
            Task(call, (place_of(code, row), *map(sealed, arguments)), {resident_key(owner, function): function})
            for row, (function, arguments) in enumerate(rows)
        ]

    def gather(rows: Sequence[int], results: Sequence[Any]) -> Any:
        outputs: dict[int, Any] = {}
        for row, result in zip(rows, results, strict=True):
            outputs.setdefault(source[row], result)
        return together(outputs, code.unknowns, zero_fill)

    return Scheme(
        code,
        encode,
        _no_canvas,
        evaluations.expect,
        adaptive=True,
        accept=lambda row, result: result,
        parts=Parts((code.unknowns,), left_out=True),
        gather=gather,
        explain=partial(explained, code),
    )


def _no_canvas(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NoReturn:
    raise NotImplementedError("outputs that are picked are gathered")


def call(function: Callable[..., Any], place: str, *arguments: Any) -> Any:
    """What a worker does: call the function.

    Examples
    --------
    >>> call(len, "input 0", "abc")
    3
    """
    try:
        result = function(*map(opened, arguments))
    except BaseException as error:
        raise EvaluationFailed(f"f {failure_of(error, 'x', f' at {place}')}") from error
    require_result(result, place)
    return result.copy() if isinstance(result, np.ndarray) else result  # f may use its buffer again


def together(outputs: Mapping[int, Any], size: int, zero_fill: bool = False) -> Any:
    """Outputs in their order: an array where all are numbers or arrays of one shape and exact type, or else a list.

    Parameters
    ----------
    outputs : mapping of index to output
        Those that are there.
    size : int
        How many there are to be. What is missing is NaN in an array of floating point, None in a list, and masked
        (`numpy.ma`) in an array of other numbers.
    zero_fill : bool
        Whether what is missing in an array is zero.

    Examples
    --------
    >>> together({0: 1, 1: 2.5}, 2), together({0: 1, 1: "two"}, 2)
    (array([1. , 2.5]), [1, 'two'])
    >>> together({1: 0.5}, 2), together({1: "b"}, 2), together({1: 7}, 2).tolist()
    (array([nan, 0.5]), [None, 'b'], [None, 7])
    """
    array = stacked(outputs.values()) if outputs else None
    if array is None:
        return [outputs.get(index) for index in range(size)]
    there = np.fromiter(outputs, dtype=np.intp, count=len(outputs))
    full = np.zeros((size, *array.shape[1:]), array.dtype)
    full[there] = array
    if len(there) == size or zero_fill:
        return full
    missing = np.ones(size, dtype=bool)
    missing[there] = False
    if array.dtype.kind in "fc":
        full[missing] = np.nan
        return full
    masked = np.ma.array(full)
    masked[missing] = np.ma.masked
    return masked


def stacked(outputs: Iterable[Any]) -> Array | None:
    """Numbers, or arrays of one shape, in one array of a type that holds all of them exactly; None of anything else.

    Examples
    --------
    >>> stacked([True, False]), stacked([1, 2**53 + 1]), stacked([2**53 + 1, 0.5]), stacked([2**64, 1])
    (array([ True, False]), array([               1, 9007199254740993]), None, None)
    """
    values = list(outputs)
    if not all(type(value) in PLAIN or isinstance(value, np.number | np.bool_) for value in values):
        return None
    arrays = [np.asarray(value) for value in values]
    if any(array.dtype.kind not in "biufc" or array.shape != arrays[0].shape for array in arrays):
        return None
    types = {array.dtype for array in arrays}
    common = np.result_type(*types)
    if common.kind != "b" and any(dtype.kind == "b" for dtype in types):
        return None
    whole = [array for array in arrays if array.dtype.kind in "iu"]
    if common.kind in "fc" and whole and (len(whole) == len(arrays) or not all(_held(one, common) for one in whole)):
        return None
    return np.stack([array.astype(common, copy=False) for array in arrays])


PLAIN = {bool, int, float, complex, np.ndarray}
"""Types that are numbers or arrays and nothing more."""


def _held(whole: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a floating-point type holds integers exactly, whatever they are up to its precision."""
    limit: int = 2 ** (int(np.finfo(dtype).nmant) + 1)
    return int(whole.max(initial=0)) <= limit and int(whole.min(initial=0)) >= -limit
