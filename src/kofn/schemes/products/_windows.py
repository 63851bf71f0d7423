"""Windows that a worker computes without cross terms: [A_1 … A_k] times stacked combinations of the B."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from .._encoding import Encoding
from .._scheme import Canvas, Scheme, Task
from ._cuts import Cut
from ._scheme import grid_scheme, real_type

Array = NDArray[Any]


def window_scheme(
    code: LinearCode, cut: Cut, coefficients: Floats, expect: Callable[[], Prior], dtype: np.dtype[Any]
) -> Scheme:
    """A scheme whose row r returns Σ c_rnp A_n B_p, as one product of a load times longer inner dimension.

    The master encodes nothing: workers get the blocks that their windows hold, and the coefficients.

    Parameters
    ----------
    code : LinearCode
        Its unknowns are the products that ``coefficients`` speak of, its loads the blocks of A in a window.
    coefficients : (rows, N, P) array
    expect : callable
        Returns the prior of the code's unknowns.
    """
    _, n, p = coefficients.shape
    first, second = cut.factors(np.eye(n), np.eye(p))
    rows = coefficients.astype(real_type(dtype))
    windows = [(np.flatnonzero(row.any(axis=1)), np.flatnonzero(row.any(axis=0))) for row in rows]
    needs = [
        [(0, int(first.distinct[1][i])) for i in of_a] + [(1, int(second.distinct[1][j])) for j in of_b]
        for of_a, of_b in windows
    ]

    def task(row: int, blocks: Sequence[Array]) -> Task:
        return Task(multiply_window, (rows[row][np.ix_(*windows[row])], *blocks))

    result_bytes = first.blocks.shape[0] * second.blocks.shape[1] * dtype.itemsize
    return grid_scheme(code, Encoding((first, second), needs, task, cut.found), cut.grid, expect, dtype, result_bytes)


def multiply_window(coefficients: Array, *blocks: Array) -> Array:
    """What a worker does: Σ c_np A_n B_p as [A_1 … A_N] times [Σ_p c_1p B_p; …; Σ_p c_Np B_p].

    Parameters
    ----------
    coefficients : (N, P) array
    blocks : N + P arrays
        A_1, …, A_N, then B_1, …, B_P.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> multiply_window(np.diag([2.0, 3.0]), one, one, one, 10 * one)
    array([[32.]])
    """
    count = len(coefficients)
    a = np.concatenate(blocks[:count], axis=1)
    b = np.concatenate(np.tensordot(coefficients, np.stack(blocks[count:]), axes=1))
    product: Array = a @ b
    return product


def apart(scheme: Scheme) -> Scheme:
    """Give every target of a scheme with one block an array of its own; the answer is their sum."""

    def canvas(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Canvas:
        parts = [scheme.canvas(shape, dtype) for _ in scheme.code.targets]

        def total() -> Array:
            answer: Array = np.sum([part.finish() for part in parts], axis=0)
            return answer

        return Canvas([part.targets[0] for part in parts], total)

    size = (len(scheme.code.targets) + 1) * scheme.answer_bytes
    return replace(scheme, canvas=canvas, onto=None, answer_bytes=size)
