"""Arrays of numbers, and how precise these are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Arrays of any numbers."""

Floats = NDArray[Any]
"""Real arrays: float64 wherever something is decoded, float32 where payloads are."""

Indices = NDArray[np.intp]
"""Whole numbers that say which: rows, unknowns, workers, places."""

Flags = NDArray[np.bool_]
"""Yes or no, of each of several things."""

Seed = int | np.random.Generator | None
"""What `rng=` takes: an int to repeat a run, None for another one each time."""

EPSILON = float(np.finfo(np.float64).eps)

MODERATE = 400
"""Numbers between 2^-400 and 2^400 have squares, and sums of them, that keep all digits."""


def epsilon_of(numbers: object) -> float:
    """Relative precision of an array's numbers, by its type; integers and what is no array count as double.

    Examples
    --------
    >>> epsilon_of(np.ones(2)) == EPSILON == epsilon_of(3), epsilon_of(np.ones(2, np.complex64)) == 2**-23
    (True, True)
    """
    kind = getattr(numbers, "dtype", None)
    return float(np.finfo(kind).eps) if isinstance(kind, np.dtype) and kind.kind in "fc" else EPSILON


def apart_at_most(epsilon: float) -> float:
    """How far honest results of the same may be apart, relative to their size, for numbers of this precision.

    1000 units: other processors and other libraries add in another order. Half of their digits must be the same all the
    same, or in half precision everything would be alike.

    Examples
    --------
    >>> [apart_at_most(float(np.finfo(kind).eps)) for kind in (np.float64, np.float16)]
    [2.220446049250313e-13, 0.03125]
    """
    return min(1e3 * epsilon, math.sqrt(epsilon))


def real_parts(array: Array) -> list[Array]:
    """The real numbers of an array: its real and imaginary parts, or itself."""
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]
