"""Whether two results of the same task say the same, of whatever kind they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._base._numbers import Array, apart_at_most, epsilon_of, real_parts
from .._base._pickles import dumps


def difference(one: Any, other: Any) -> float:
    """How far two results are apart, in units of what honest ones may be: at most 1 where they say the same.

    Numbers and arrays of floating point may differ by rounding, relative to the largest of an array. All else must be
    equal, or pickle to the same bytes: integers, texts, bytes and objects to the last bit.

    Examples
    --------
    >>> round(difference(1.0, 1.0 + 2e-13), 1), round(difference(1.0, 1.0 + 4e-13), 1), difference(1, 2)
    (0.9, 1.8, inf)
    >>> difference([1.0, "a"], [1.0, "a"]), difference(np.ones(2), np.ones(3)), difference(b"a", b"a")
    (0.0, inf, 0.0)
    """
    if is_numbers(one) and is_numbers(other):
        return _of_arrays(np.asarray(one), np.asarray(other))
    if type(one) is not type(other):
        return math.inf
    if isinstance(one, dict):
        return _of_parts(list(one.values()), list(other.values())) if list(one) == list(other) else math.inf
    if isinstance(one, list | tuple):
        return _of_parts(one, other)
    if hasattr(one, "tocsr"):
        return _of_sparse(one, other)
    return 0.0 if _is_equal(one, other) else math.inf


def is_numbers(value: Any) -> bool:
    """Whether it is a number or an array of numbers."""
    return isinstance(value, float | complex | np.number) or (
        isinstance(value, np.ndarray) and not np.ma.isMaskedArray(value) and value.dtype.kind in "biufc"
    )


def _of_parts(one: Sequence[Any], other: Sequence[Any]) -> float:
    if len(one) != len(other):
        return math.inf
    return max(map(difference, one, other), default=0.0)


def _of_arrays(one: Array, other: Array) -> float:
    if one.shape != other.shape or one.dtype != other.dtype:
        return math.inf
    if one.dtype.kind not in "fc":
        return 0.0 if np.array_equal(one, other) else math.inf
    first, second = (np.concatenate([part.ravel() for part in real_parts(array)]) for array in (one, other))
    same = (first == second) | ((first != first) & (second != second))  # NaN, and infinite alike
    if same.all():
        return 0.0
    finite = np.isfinite(first) & np.isfinite(second)
    if not (same | finite).all():
        return math.inf
    size = max(float(np.abs(array[finite]).max()) for array in (first, second))
    with np.errstate(over="ignore"):
        off = float(np.abs(first[finite] / 2 - second[finite] / 2).max()) / size * 2
    return off / apart_at_most(epsilon_of(one))


def _of_sparse(one: Any, other: Any) -> float:
    one, other = one.tocsr(copy=True), other.tocsr(copy=True)
    for matrix in (one, other):
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if one.shape != other.shape or not np.array_equal(one.indptr, other.indptr):
        return math.inf
    return _of_arrays(one.data, other.data) if np.array_equal(one.indices, other.indices) else math.inf


def _is_equal(one: Any, other: Any) -> bool:
    try:
        if bool(one == other):
            return True
    except Exception:  # its own idea of equality need not be one
        pass
    try:
        return dumps(one) == dumps(other)
    except Exception:
        return False
