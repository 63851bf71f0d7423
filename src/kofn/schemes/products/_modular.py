"""Keyed checks of products of integers, which wrap round: exact arithmetic modulo a power of two, nothing to grant.

C must be A B modulo 2^b for integers of b bits, so C X must be A (B X) in the same arithmetic. X has random bits: an
error that is not zero in some number is missed by one column with probability 1/2 at most, a turned highest bit among
them, which no odd multiple hides and every even one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..._base._numbers import Array
from .._task import Task
from .._verifier import Verifier
from ._kept import Kept

COLUMNS = 24
"""Of X: a wrong number is missed with probability 2^-24 = 6e-8."""


class Modular(Verifier):
    """Checks of products of integers, dense or sparse, by secret random bits.

    Parameters
    ----------
    factors_of : callable
        ``factors_of(task)`` gives A and B, and an empty matrix of the kind and type of their product.
    seed : int
        The key. Whoever knows it can lie unseen.

    Examples
    --------
    >>> a, b = np.full((3, 2), 100, np.int8), np.full((2, 4), 7, np.int8)
    >>> check = Modular(lambda task: (*task.arguments, a[:0] @ b), seed=0)
    >>> task, wrong = Task(np.matmul, (a, b)), a @ b
    >>> wrong[1, 2] ^= -128
    >>> check.excess(task, a @ b), check.excess(task, wrong)
    (0.0, inf)
    """

    def __init__(self, factors_of: Callable[[Task], tuple[Any, Any, Any]], seed: int) -> None:
        self._factors_of, self._seed = factors_of, seed
        self._bits: dict[tuple[int, str], Array] = {}
        self._sketches: Kept[Array] = Kept()

    def excess(self, task: Task, result: Any) -> float:
        """0 for the product, modulo 2^b; inf for everything else."""
        a, b, like = self._factors_of(task)
        is_sparse = hasattr(like, "tocsr")
        if hasattr(result, "tocsr") != is_sparse or not (is_sparse or isinstance(result, np.ndarray)):
            return math.inf
        if result.shape != (a.shape[0], b.shape[1]) or result.dtype != like.dtype:
            return math.inf
        kind = f"u{like.dtype.itemsize}"
        sketch = self._sketches.of(kind, lambda: _times(b, self._of(b.shape[1], kind)), b)
        same = np.array_equal(_times(result, self._of(b.shape[1], kind)), _times(a, sketch))
        return 0.0 if same else math.inf

    def _of(self, length: int, kind: str) -> Array:
        """X for so many columns, (length, COLUMNS)."""
        key = length, kind
        if key not in self._bits:
            rng = np.random.default_rng([self._seed, length])
            self._bits[key] = rng.integers(2, size=(length, COLUMNS), dtype=np.uint8).astype(kind)
        return self._bits[key]


def _times(matrix: Any, vectors: Array) -> Array:
    """Matrix times vectors, in their unsigned type, which wraps round."""
    product: Array = np.asarray(matrix.astype(vectors.dtype, copy=False) @ vectors)
    return product
