"""What a worker was asked for: a sum of products of blocks, seen from the left or from the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._base._numbers import Array, Floats


class Sum(NamedTuple):
    """The product Σ c_np A_n B_p that a worker was asked for, and how many products an entry of it adds up.

    Examples
    --------
    >>> Sum.of(np.ones((2, 3)), np.ones((3, 4))).shape
    (2, 4)
    """

    first: Sequence[Array]
    weights: Floats
    second: Sequence[Array]
    inner: int

    @classmethod
    def of(cls, a: Array, b: Array) -> Sum:
        """One product."""
        return cls([a], np.ones((1, 1)), [b], a.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether the result is."""
        return all(hasattr(block, "tocsr") for block in (self.first[0], self.second[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Of the result."""
        return self.first[0].shape[0], self.second[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the result."""
        dtype: np.dtype[Any] = np.result_type(self.first[0].dtype, self.second[0].dtype)
        return dtype

    @property
    def transposed(self) -> Sum:
        """The same with each block transposed."""
        return self._replace(first=[a.T for a in self.first], second=[b.T for b in self.second])

    @property
    def terms(self) -> int:
        """How many roundings an entry has gone through, on the safe side."""
        return self.inner + sum(self.weights.shape) + 4


def gamma(terms: float, dtype: np.dtype[Any]) -> float:
    """γ of so many roundings (Higham, eq. (3.2)); four times as much where complex numbers are multiplied.

    Examples
    --------
    >>> gamma(10, np.dtype(np.float32)) == 10 * 2.0**-24 / (1 - 10 * 2.0**-24)
    True
    """
    unit = terms * float(np.finfo(dtype).eps) / 2.0
    complex_terms = 4.0 if dtype.kind == "c" else 1.0  # also where three real products make a complex one
    return complex_terms * unit / (1.0 - unit) if unit < 0.5 else float("inf")


def underflow(asked: Sum, first: float, second: float) -> float:
    """What numbers below the smallest may take from an entry, where lines of the blocks have at most these norms."""
    weight = max(1.0, float(np.abs(asked.weights).sum()))
    each = asked.inner + 4.0 + weight * float(np.sqrt(asked.inner)) * (first + second)
    return float(np.finfo(asked.dtype).tiny) * each
