"""Keyed checks of block products: C X against A (B X) for a secret random X (Freivalds 1977; arXiv 2107.12958).

A worker does not know X, so its error E is independent of it, and each row of E X is normal with the norm of that row
of E. What honest rounding makes of a row is told by a model: a random walk of the partial sums, of standard deviation

    σ = eps/4 · (‖row of A‖ (‖B‖ + √n max ‖row of B‖) + (√K + √n) ‖row of C‖),

n being the length of X, whose own roundings are counted too; and a bias, as rounding goes one way where numbers are
alike. No model knows the bias, so it is measured: rows beyond 8 σ and the bias known so far are computed again
(`_recount`). What no rounding explains is wrong; else they tell how large the bias is, and twice that is granted from
then on, so that this happens a few times in the life of a plan. An error that moves a row by 30 thresholds is seen but
with probability (2 / (√(2π) · 30))^4 = 5e-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..._base._numbers import Array, Floats
from ...arrays._reductions import norms
from .._task import Task
from .._verifier import Verifier
from ._asked import Sum, underflow
from ._kept import Kept
from ._recount import CHUNK, exponent_of, recount

VECTORS = 4
"""Columns of X: an error of 30 thresholds is missed by one with probability 0.027, by four with 5e-7."""

DEVIATIONS = 8.0
"""Standard deviations of the model that a row may be off by unseen."""

RECOUNTED = 4
"""Rows of a result that are computed again at first: those that are farthest off. Each further time twice as many."""

BIASED = 2.0
"""What is granted, of the largest bias that was measured."""

THIN = 2 * VECTORS
"""Products with at most so many columns are checked from the left: Xᵀ A is kept for the next operand."""

FARTHEST = {4: 100, 8: 1000}
"""Largest power of two by which X is scaled, by bytes of a real number."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Norms of the rows of a block (or of its columns), times ``2^-exponent``, and the norm of all of it."""

    lengths: Floats
    total: float
    exponent: int

    @classmethod
    def of(cls, block: Any, axis: int, dtype: np.dtype[Any]) -> Lines:
        """Of the rows of a block (axis 0), or of its columns, which is to be scaled within the range of a type."""
        lengths = _lengths(block, axis)
        exponent = _within(exponent_of(float(lengths.max(initial=0.0))), dtype)
        scaled = np.ldexp(lengths, -exponent)
        return cls(scaled, float(np.linalg.norm(scaled)), exponent)

    @property
    def longest(self) -> float:
        """The largest norm, scaled."""
        return float(self.lengths.max(initial=0.0))

    @property
    def norm(self) -> float:
        """The largest norm, at most 2^1000."""
        return min(float(np.ldexp(self.longest, self.exponent)), 2.0**1000)


class Scaled(NamedTuple):
    """``numbers · 2^exponent``."""

    numbers: Array
    exponent: int


class Freivalds(Verifier):
    """Checks of block products by secret random vectors.

    Parameters
    ----------
    sum_of : callable
        ``sum_of(task)`` is the `Sum` that a task asks for.
    seed : int
        The key. Whoever knows it can lie unseen.
    from_left : bool
        Whether to sketch the first blocks, for those that stay while the second ones change.

    Attributes
    ----------
    bias : float
        What is granted beside the model, in units of eps/2 · ‖row of A‖ · ‖B‖.

    Examples
    --------
    >>> a, b = np.ones((3, 50)), np.ones((50, 20))
    >>> check = Freivalds(lambda task: Sum.of(*task.arguments), seed=0)
    >>> task, wrong = Task(np.matmul, (a, b)), a @ b
    >>> wrong[1, 2] += 1e-11
    >>> check.excess(task, a @ b) <= 1.0 < check.excess(task, wrong)
    True
    """

    def __init__(self, sum_of: Callable[[Task], Sum], seed: int, from_left: bool = False) -> None:
        self._sum_of, self._seed, self._from_left = sum_of, seed, from_left
        self._vectors: dict[tuple[int, np.dtype[Any]], Array] = {}
        self._lines: Kept[Lines] = Kept()
        self._sketches: Kept[Scaled] = Kept()
        self._products: Kept[Scaled] = Kept()
        self.bias = 0.0

    def excess(self, task: Task, result: Any) -> float:
        """How far a block product is off, in thresholds; inf where it is none, or has another shape or type."""
        asked = self._sum_of(task)
        if not isinstance(result, np.ndarray) and not (asked.is_sparse and hasattr(result, "tocsr")):
            return math.inf
        if result.shape != asked.shape or result.dtype != asked.dtype:
            return math.inf
        if 0 in result.shape:
            return 0.0
        axis = 0 if self._from_left or asked.shape[1] <= THIN else 1  # of the blocks that X is applied to
        if axis == 0:
            asked, result = Sum(asked.second, asked.weights.T, asked.first, asked.inner), result.T
        with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
            return self._excess(asked, result, axis)

    def _excess(self, asked: Sum, result: Any, axis: int) -> float:
        """The check on one side: ``asked.first`` as they are (transposed for axis 0), ``asked.second`` sketched."""
        first, second = ([self._lines_of(one, axis, asked.dtype) for one in blocks] for blocks in asked[::2])
        shift = _within(max(one.exponent for one in first) + max(one.exponent for one in second), asked.dtype)
        x = self._of(result.shape[1], asked.dtype)
        found = _apply(result, np.ldexp(x.real.dtype.type(1.0), -shift) * x)
        off = _largest(np.abs(found - self._expected(asked, axis, shift)))
        model = _Model(asked, first, second, shift, len(x))
        granted = model.walk(found) + model.least(x)
        in_doubt, rows = np.ones(len(off), bool), RECOUNTED
        while True:
            ratios = np.where(in_doubt, _ratios(off, granted + self.bias * model.unit), 0.0)
            doubtful = np.argsort(-ratios)[:rows]
            doubtful = doubtful[ratios[doubtful] > 1.0]
            if not len(doubtful):
                return float(ratios.max())
            excess = recount(asked if axis else asked.transposed, result, doubtful, model.longest)
            if excess > 1.0:
                return excess
            biases = _ratios(off, model.unit)[doubtful]
            self.bias = max(self.bias, BIASED * float(biases.max(initial=0.0, where=np.isfinite(biases))))
            in_doubt[doubtful], rows = False, 2 * rows

    def _expected(self, asked: Sum, axis: int, shift: int) -> Any:
        """A (B X), times 2^-shift."""
        expected: Any = 0.0
        for block, row in zip(asked.first, asked.weights, strict=True):
            for weight, other in zip(row, asked.second, strict=True):
                make = partial(self._product, block, other, axis, asked.dtype)
                made = self._products.of((axis, asked.dtype), make, block, other)
                expected = expected + made.numbers.dtype.type(weight * 2.0 ** (made.exponent - shift)) * made.numbers
        return expected

    def _product(self, block: Array, other: Array, axis: int, dtype: np.dtype[Any]) -> Scaled:
        """A block times the sketch of another one."""
        sketch = self._sketches.of((axis, dtype), partial(self._sketched, other, axis, dtype), other)
        exponent = self._lines_of(block, axis, dtype).exponent
        scale = np.ldexp(sketch.numbers.real.dtype.type(1.0), -exponent)
        return Scaled(_apply(block if axis else block.T, scale * sketch.numbers), sketch.exponent + exponent)

    def _sketched(self, block: Array, axis: int, dtype: np.dtype[Any]) -> Scaled:
        """A block times X."""
        exponent = self._lines_of(block, axis, dtype).exponent
        x = self._of(block.shape[axis], dtype)
        return Scaled(_apply(block if axis else block.T, np.ldexp(x.real.dtype.type(1.0), -exponent) * x), exponent)

    def _lines_of(self, block: Array, axis: int, dtype: np.dtype[Any]) -> Lines:
        return self._lines.of((axis, dtype), lambda: Lines.of(block, 1 - axis, dtype), block)

    def _of(self, length: int, dtype: np.dtype[Any]) -> Array:
        """X for blocks of that width, (length, VECTORS): normal numbers of variance 1, complex for complex blocks."""
        key = length, np.result_type(dtype, np.float32)
        if key not in self._vectors:
            rng = np.random.default_rng([self._seed, length])
            x = rng.standard_normal((length, VECTORS))
            if dtype.kind == "c":
                x = (x + 1j * rng.standard_normal(x.shape)) / math.sqrt(2.0)
            self._vectors[key] = x.astype(key[1])
        return self._vectors[key]


class _Model:
    """What honest rounding makes of the rows of C X − A (B X), times 2^-shift."""

    def __init__(self, asked: Sum, first: list[Lines], second: list[Lines], shift: int, length: int) -> None:
        weights = np.abs(asked.weights)
        scales = 2.0 ** (np.add.outer([one.exponent for one in first], [one.exponent for one in second]) - shift)
        totals, longest = (np.array([getattr(one, name) for one in second]) for name in ("total", "longest"))
        lengths = np.array([one.lengths for one in first])
        eps = float(np.finfo(asked.dtype).eps) / 2.0 * (math.sqrt(2.0) if asked.dtype.kind == "c" else 1.0)
        self._asked, self._shift, self._length = asked, shift, length
        self._eps, self._walk = eps, eps * ((weights * scales) @ (totals + math.sqrt(length) * longest)) @ lengths
        self.unit: Floats = eps * ((weights * scales) @ totals) @ lengths
        self._first = max(one.norm for one in first)
        self.longest = max(one.norm for one in second)
        """Of the second blocks."""

    def walk(self, found: Array) -> Floats:
        """`DEVIATIONS` of the random walk of each row, of which this was found."""
        own = math.sqrt(self._asked.inner) + math.sqrt(self._length)
        of_result = np.linalg.norm(found.astype(np.result_type(found, np.float64)), axis=1) / math.sqrt(VECTORS)
        granted: Floats = DEVIATIONS / 2.0 * (self._walk + self._eps * own * of_result)
        return granted

    def least(self, x: Array) -> float:
        """What numbers below the smallest may take from a row: all of it where everything is as small."""
        entry = underflow(self._asked, self._first, self.longest) * 2.0**-self._shift
        own = float(np.finfo(x.dtype).smallest_subnormal) * (self._asked.inner + len(x)) * 8.0
        return entry * 2.0 * DEVIATIONS * math.sqrt(len(x)) + own


def _lengths(block: Any, axis: int) -> Floats:
    """Norms of the rows of a block (axis 0), or of its columns."""
    if isinstance(block, np.ndarray):
        return norms(block if block.dtype.kind in "fc" else block.astype(np.float64), axis)
    size = np.abs(block.data).max(initial=0.0)
    scaled = abs(block).astype(np.float64) / (size or 1.0)
    squares: Floats = np.asarray(scaled.multiply(scaled).sum(axis=1 - axis), np.float64).ravel()
    lengths: Floats = np.sqrt(squares) * size
    return lengths


def _within(exponent: int, dtype: np.dtype[Any]) -> int:
    farthest = FARTHEST[max(4, min(8, np.empty(0, dtype).real.itemsize))]
    return max(-farthest, min(exponent, farthest))


def _apply(matrix: Array, vectors: Array) -> Array:
    """Matrix times vectors, a few rows at a time where they have to be widened."""
    wide = np.result_type(matrix.dtype, vectors.dtype)
    if matrix.dtype == wide or not isinstance(matrix, np.ndarray):  # of sparse ones only the numbers are widened
        return np.asarray(matrix @ vectors)
    step = max(1, CHUNK // max(1, matrix.shape[1]))
    parts = [matrix[start : start + step].astype(wide) @ vectors for start in range(0, len(matrix), step)]
    return np.concatenate(parts) if parts else np.zeros((0, vectors.shape[1]), wide)


def _largest(differences: Floats) -> Floats:
    """Of each row; inf where one is no number."""
    largest: Floats = differences.max(axis=1).astype(np.float64)
    return np.where(np.isfinite(largest), largest, math.inf)


def _ratios(differences: Floats, thresholds: Floats) -> Floats:
    """Differences in thresholds; inf where a difference is, or a threshold is no number."""
    ratios = np.where(differences > 0.0, differences / thresholds, 0.0)
    ratios[~(np.isfinite(differences) & np.isfinite(thresholds))] = math.inf
    return ratios
