"""Windows that a worker computes without cross terms: [A_1 … A_k] times stacked combinations of the B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from ..._base._numbers import Array, Floats, Indices
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from .._encoding import Encoding
from .._task import Task
from .._verifier import Verifier
from ._asked import Sum
from ._cuts import Cut
from ._freivalds import Freivalds
from ._scheme import GridScheme, Sketch, real_type


@final
@dataclass(frozen=True, eq=False, repr=False)
class WindowScheme(GridScheme):
    """Row r is Σ c_rnp A_n B_p, as one product of a load times longer inner dimension.

    The master encodes nothing: workers get the blocks that their windows hold, and the coefficients.

    Parameters
    ----------
    code : LinearCode
        Its unknowns are the products that ``coefficients`` speak of, its loads the blocks of A in a window.
    left, right : Factor
        The blocks of A and of B as they are.
    grid, expected, found, own, separate
        As for `ProductScheme`.
    coefficients : (rows, N, P) array
    """

    coefficients: Floats = field(kw_only=True)

    @classmethod
    def of(cls, code: LinearCode, cut: Cut, coefficients: Floats, expected: Prior | Sketch) -> WindowScheme:
        """From the blocks of a product that is cut already."""
        _, n, p = coefficients.shape
        left, right = cut.factors(np.eye(n), np.eye(p))
        return cls(code, left, right, cut.grid, expected, cut.found, coefficients=coefficients)

    def encoding(self) -> Encoding:
        """Each row needs the blocks that its window touches."""
        first, second = self.left.distinct[1].tolist(), self.right.distinct[1].tolist()
        needs = [
            [*((0, first[i]) for i in of_a.tolist()), *((1, second[j]) for j in of_b.tolist())]
            for of_a, of_b in map(_touched, self.coefficients)
        ]
        return Encoding(needs, self.tasks_of, (self.left, self.right), self.result, self.counted_on)

    def verifier(self, seed: int) -> Verifier:
        """Freivalds' check of each window."""
        return Freivalds(sum_of_window, seed)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows, each with the coefficients of its window."""
        windows = [self.coefficients[row] for row in rows]
        kind = real_type(self.result.dtype)
        chosen = [window[np.ix_(*_touched(window))].astype(kind) for window in windows]
        return [Task(multiply_window, (window, *of_row)) for window, of_row in zip(chosen, blocks, strict=True)]


def sum_of_window(task: Task) -> Sum:
    """What a task of a window asks for."""
    weights, *blocks = task.arguments
    a, b = blocks[: len(weights)], blocks[len(weights) :]
    return Sum(a, np.asarray(weights, np.float64), b, len(a) * a[0].shape[1])


def _touched(window: Floats) -> tuple[Indices, Indices]:
    """Blocks of A and of B that a window, (N, P), touches."""
    return np.flatnonzero(window.any(axis=1)), np.flatnonzero(window.any(axis=0))


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
