"""Keyed checks of block products: C X against A (B X) for a secret random X (Freivalds 1977; arXiv 2107.12958).

A worker does not know X, so its error E is independent of it, and each row of E X is normal with the norm of that row
of E. An honest E is at most γ_K |A||B|, whatever the data and the order of the sum (Higham, Accuracy and Stability of
Numerical Algorithms, eq. (3.13)), so no honest result is called wrong but with probability 2 Φ(-9) = 2e-19 a number.
An error whose norm in some row is 30 thresholds is missed with probability (2 / (√(2π) · 30))^4 = 5e-7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..._base._numbers import Array, Floats
from ...arrays._reductions import norms
from .._task import Task
from .._verifier import Verifier
from ._kept import Kept

VECTORS = 4
"""Columns of X: an error of 30 thresholds is missed by one with probability 0.027, by four with 5e-7."""

DEVIATIONS = 9.0
"""Standard deviations of E X that honest rounding is granted."""

THIN = 2 * VECTORS
"""Products with at most so many columns are checked from the left: Xᵀ A is kept for the next operand."""

CHUNK = 1 << 19
"""Numbers that are widened at once."""

FARTHEST = 1000
"""Largest power of two by which X is scaled."""


class Sum(NamedTuple):
    """The product Σ c_np A_n B_p that a worker was asked for, and how many products an entry of it adds up."""

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


class Sketch(NamedTuple):
    """A block times X, scaled: ``numbers · 2^exponent``, and the block's norm, scaled alike."""

    numbers: Array
    size: float
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

    Examples
    --------
    >>> a, b = np.ones((3, 50)), np.ones((50, 20))
    >>> check = Freivalds(lambda task: Sum.of(*task.arguments), seed=0)
    >>> task, wrong = Task(np.matmul, (a, b)), a @ b
    >>> wrong[1, 2] += 1e-6
    >>> check.excess(task, a @ b) <= 1.0 < check.excess(task, wrong)
    True
    """

    def __init__(self, sum_of: Callable[[Task], Sum], seed: int, from_left: bool = False) -> None:
        self._sum_of, self._seed, self._from_left = sum_of, seed, from_left
        self._vectors: dict[tuple[int, str], Array] = {}
        self._sketches: Kept[Sketch] = Kept()

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
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return self._excess(asked, result, axis)

    def _excess(self, asked: Sum, result: Array, axis: int) -> float:
        """The check on one side: ``asked.first`` as they are (transposed for axis 0), ``asked.second`` sketched."""
        sketches = [self._sketch(block, axis) for block in asked.second]
        exponent = max(sketch.exponent for sketch in sketches)
        sketched = [np.ldexp(1.0, s.exponent - exponent) * s.numbers for s in sketches]
        sizes = np.array([math.ldexp(s.size, s.exponent - exponent) for s in sketches])
        lengths = [_lengths(block, 1 - axis) for block in asked.first]
        longest = max(float(length.max()) for length in lengths)
        shift = _within(_exponent(longest) + exponent)
        back = np.ldexp(1.0, exponent - shift)
        expected: Any = 0.0
        bound: Any = 0.0
        for block, row, length in zip(asked.first, asked.weights, lengths, strict=True):
            inner = sum(weight * numbers for weight, numbers in zip(row, sketched, strict=True)) * back
            expected = expected + _apply(block if axis else block.T, inner)
            bound = bound + (np.abs(row) @ sizes) * (length * back)
        x = self._of(result.shape[1], asked.dtype)
        found = _apply(result, np.ldexp(1.0, -shift) * x)
        threshold = bound * _share(asked, x) + self._underflow(asked, bound, x, shift, longest, sizes, exponent)
        return _largest(np.abs(found - expected), threshold[:, None])

    def _underflow(
        self, asked: Sum, bound: Floats, x: Array, shift: int, longest: float, sizes: Floats, exponent: int
    ) -> float:
        """What numbers below the smallest may take from a row: all of it where everything is as small."""
        tiny, weight = float(np.finfo(asked.dtype).tiny), max(1.0, float(np.abs(asked.weights).sum()))
        second = math.ldexp(float(sizes.max()), min(exponent, FARTHEST))
        each = asked.inner + 4.0 + weight * math.sqrt(asked.inner) * (longest + second)
        wide = float(np.finfo(np.float64).tiny) * (asked.inner + len(x)) * 8.0
        return tiny * each * (DEVIATIONS * math.sqrt(len(x)) + _length(x)) * 2.0**-shift + wide

    def _sketch(self, block: Array, axis: int) -> Sketch:
        return self._sketches.of(block, axis, lambda: self._sketched(block, axis))

    def _sketched(self, block: Array, axis: int) -> Sketch:
        lengths = _lengths(block, 1 - axis)
        exponent = _within(_exponent(float(lengths.max(initial=0.0))))
        x = self._of(block.shape[axis], block.dtype)
        scale = np.ldexp(1.0, -exponent)
        numbers = _apply(block if axis else block.T, scale * x)
        return Sketch(numbers, float(np.linalg.norm(lengths * scale)), exponent)

    def _of(self, length: int, dtype: np.dtype[Any]) -> Array:
        """X for blocks of that width, (length, vectors): normal numbers of variance 1, complex for complex blocks."""
        key = length, dtype.kind
        if key not in self._vectors:
            rng = np.random.default_rng([self._seed, length])
            x = rng.standard_normal((length, VECTORS))
            if dtype.kind == "c":
                x = (x + 1j * rng.standard_normal(x.shape)) / math.sqrt(2.0)
            self._vectors[key] = x
        return self._vectors[key]


def _share(asked: Sum, x: Array) -> float:
    """What rounding may change in a row of C X, over Σ |c_np| ‖row of A_n‖ ‖B_p‖: the worker's, and the check's own."""
    terms = asked.inner + sum(asked.weights.shape) + 4
    own = (terms + 2 * len(x)) * _length(x)
    complex_terms = 4.0 if asked.dtype.kind == "c" else 1.0  # also where three real products make a complex one
    return complex_terms * (DEVIATIONS * _gamma(terms, asked.dtype) + own * _gamma(1, np.dtype(np.float64)))


def _gamma(terms: float, dtype: np.dtype[Any]) -> float:
    """γ of so many roundings, on the safe side."""
    unit = terms * float(np.finfo(dtype).eps) / 2.0
    return unit / (1.0 - unit) if unit < 0.5 else math.inf


def _lengths(block: Any, axis: int) -> Floats:
    """Norms of the rows of a block (axis 0), or of its columns."""
    if isinstance(block, np.ndarray):
        return norms(block if block.dtype.kind in "fc" else block.astype(np.float64), axis)
    size = np.abs(block.data).max(initial=0.0)
    scaled = abs(block).astype(np.float64) / (size or 1.0)
    squares: Floats = np.asarray(scaled.multiply(scaled).sum(axis=1 - axis), np.float64).ravel()
    lengths: Floats = np.sqrt(squares) * size
    return lengths


def _length(x: Array) -> float:
    return float(np.linalg.norm(x, axis=0).max(initial=0.0))


def _within(exponent: int) -> int:
    return max(-FARTHEST, min(exponent, FARTHEST))


def _exponent(size: float) -> int:
    return math.frexp(size)[1] if 0.0 < size < math.inf else 0


def _apply(matrix: Array, vectors: Array) -> Array:
    """Matrix times vectors in double precision, a few rows at a time where they have to be widened."""
    wide = np.result_type(matrix.dtype, np.float64)
    if matrix.dtype == wide or not isinstance(matrix, np.ndarray):  # of sparse ones only the numbers are widened
        return np.asarray(matrix @ vectors)
    step = max(1, CHUNK // max(1, matrix.shape[1]))
    parts = [matrix[start : start + step].astype(wide) @ vectors for start in range(0, len(matrix), step)]
    return np.concatenate(parts) if parts else np.zeros((0, vectors.shape[1]), wide)


def _largest(differences: Floats, thresholds: Floats) -> float:
    """The largest difference in thresholds; inf where it is no number."""
    if not np.isfinite(differences).all():
        return math.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(differences > 0.0, differences / thresholds, 0.0)
    return float(ratios.max(initial=0.0))
