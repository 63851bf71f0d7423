"""Coded matrix products: a worker multiplies Σ α_n A_n by Σ β_p B_p (Tegin et al. 2022, eq. (11)).

A builder chooses the coefficients α and β, one row of each a task; everything else about products is here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Array, Floats
from ..._base._results import result_empty
from ..._base._snapshots import Snapshot
from ...arrays._blocks import Blocks, Grid
from ...arrays._scaling import largest_spread
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes._rows import FixedRows, RatelessRows, RowSource
from .._encoding import Encoding, Factor, Found
from .._layout import Layout
from .._scheme import Parts, Scheme
from .._task import Task
from .._verifier import Verifier
from ._asked import Sum
from ._freivalds import Freivalds

SKETCH = 32
"""Width of the random sketch on either side: 32 × 32 numbers a block.

The estimate is fitted to the sketch, so that its true loss exceeds the expected one: for `mds` on the Gram matrix
of digits, where one direction dominates, by 1.5 with a width of 16 and by 1.2 with 32.
"""

UNLIKE = 1e3
"""Sizes of rows or columns that differ by more than this are worth a word in the report of an estimate."""

SKETCH_BYTES = 1 << 26
"""Size of the sketches of all blocks that are in memory at once."""

SKETCH_DIAGONAL = 1e-3
"""Share of the energies added to the sketched covariance; 5 % would spoil the error bar."""


def multiply(a: Array, b: Array) -> Array:
    """What a worker does: one block product."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):  # a sparse block
        return a @ b
    return np.matmul(a, b, out=result_empty((a.shape[0], b.shape[1]), np.result_type(a, b)))


def multiply_combined(alpha: Sequence[float], a: Sequence[Array], beta: Sequence[float], b: Sequence[Array]) -> Array:
    """What a worker does for a fresh row: it combines blocks, and multiplies."""
    return multiply(combined(alpha, a), combined(beta, b))


def combined(weights: Sequence[float], blocks: Sequence[Array]) -> Array:
    """Σ weights · blocks, in their type; the block itself where there is one.

    Examples
    --------
    >>> combined([2.0, -1.0], [np.ones(2), np.arange(2.0)])
    array([2., 1.])
    """
    if len(blocks) == 1:
        return blocks[0] if weights[0] == 1.0 else blocks[0] * weights[0]
    total = blocks[0] * weights[0]
    part = np.empty_like(total)
    for weight, block in zip(weights[1:], blocks[1:], strict=True):
        np.multiply(block, weight, out=part)
        total += part
    return total


def multiply_tasks(rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
    """The tasks of rows that multiply two encoded blocks."""
    return [Task(multiply, tuple(of_row)) for of_row in blocks]


def sum_of_product(task: Task) -> Sum:
    """What a task of a product, plain or fresh, asks for.

    Examples
    --------
    >>> one = np.ones((2, 2))
    >>> sum_of_product(Task(multiply_combined, ([2.0], [one], [1.0, 3.0], [one, one]))).weights
    array([[2., 6.]])
    """
    values = [*task.resident.values(), *task.arguments]
    if task.function is not multiply_combined:
        return Sum.of(*values)
    alpha, a, beta, b = values
    return Sum(a, np.outer(alpha, beta), b, a[0].shape[1])


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is expected of the block products of two matrices, sketched when somebody asks.

    Parameters
    ----------
    a, b : Blocks
    seed : int
        Of the sketch: every run of a scheme sees the same one.
    after : (combinations, products) array, optional
        What combinations of the products the unknowns are; each of them by default.
    wanted : (targets, products) array, optional
        Sums of the products that are wanted, which may all but cancel; by default each of them, or of column blocks
        of A the sum of those that meet.
    """

    a: Blocks
    b: Blocks
    seed: int
    after: Floats | None = None
    wanted: Floats | None = None

    def prior(self) -> Prior:
        """From one pass over each matrix."""
        prior = sketch_prior(self.a, self.b, np.random.default_rng(self.seed), self.wanted)
        return prior if self.after is None else prior.transformed(self.after)

    def taken(self, snapshot: Snapshot) -> Sketch:
        """The same of the matrices as they are now."""
        return replace(self, a=self.a.taken(snapshot), b=self.b.taken(snapshot))


@dataclass(frozen=True, eq=False, repr=False)
class GridScheme(Scheme):
    """Two matrices in encoded blocks, and an answer whose blocks the targets are.

    Parameters
    ----------
    code : LinearCode
    left, right : Factor
        The blocks of A and of B, and how rows combine them.
    grid : Grid
        How the answer is cut.
    expected : Prior or Sketch
        Of the unknowns.
    found : sequence of Found
        What was found of A and of B when this was built.
    own : bool
        Whether nobody else changes the matrices, so that it still holds.
    separate : bool
        Whether targets are parts of the whole, each in an array of its own, and the answer is their sum.
    """

    code: LinearCode
    left: Factor
    right: Factor
    grid: Grid
    expected: Prior | Sketch
    found: Sequence[Found] = ()
    own: bool = False
    separate: bool = False

    @property
    def result(self) -> ArraySpec:
        """What a block product is like."""
        left, right = self.left.blocks, self.right.blocks
        return ArraySpec((left.shape[0], right.shape[1]), np.result_type(left.dtype, right.dtype))

    @property
    def flops(self) -> float:
        """Of one block product."""
        rows, columns = self.result.shape
        return product_flops(rows, self.left.blocks.shape[1], columns, self.result.dtype)

    @property
    def epsilon(self) -> float:
        """That of the matrices' numbers."""
        return float(np.finfo(self.result.dtype).eps)

    @property
    def counted_on(self) -> Sequence[Found]:
        """What must still hold of the matrices when they are encoded."""
        return () if self.own else self.found

    def layout(self, result: ArraySpec) -> Layout:
        """Blocks of the grid."""
        return Layout.blocks(self.grid, len(self.code.targets), result.dtype, added=self.separate)

    def prior(self) -> Prior:
        """As given, or from a sketch of both matrices."""
        return self.expected.prior() if isinstance(self.expected, Sketch) else self.expected

    @property
    def parts(self) -> Parts:
        """Blocks of the answer."""
        return Parts((self.grid.rows.count, self.grid.columns.count), self.grid)

    def caution(self) -> str:
        """What to say of an estimate where rows of A or columns of B differ in size by far, as no error bar shows."""
        for which, one in zip(("rows of A", "columns of B"), self.found, strict=False):
            sizes = one.norms[one.norms > 0]
            if sizes.size and (ratio := float(sizes.max() / sizes.min())) > UNLIKE:
                small = "small ones may be wholly wrong within the error bar, which is that of the whole product"
                return f"{which} differ in size by a factor of {ratio:.0e}: {small}."
        return ""

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of the matrices as they are now."""
        expected = self.expected.taken(snapshot) if isinstance(self.expected, Sketch) else self.expected
        taken = replace(self, left=self.left.taken(snapshot), right=self.right.taken(snapshot), expected=expected)
        taken.encoding().require_unchanged()
        return replace(taken, own=True)

    def __repr__(self) -> str:
        (rows, columns), dtype = self.grid.shape, self.result.dtype
        return f"{super().__repr__()[:-1]}, {rows} × {columns} {dtype})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class ProductScheme(GridScheme):
    """Row r is (Σ α_rn A_n)(Σ β_rp B_p): one product of two encoded blocks.

    Parameters
    ----------
    code, left, right, grid, expected, found, own, separate
        As for `GridScheme`.
    changed : bool
        Whether lines of the matrices have other proportions than when this was built, so that its plain blocks are not
        to be mixed.
    """

    changed: bool = False

    def encoding(self) -> Encoding:
        """Each row needs one encoded block of either side."""
        pairs = zip(self.left.distinct[1].tolist(), self.right.distinct[1].tolist(), strict=True)
        needs = [((0, i), (1, j)) for i, j in pairs]
        return Encoding(needs, multiply_tasks, (self.left, self.right), self.result, self.counted_on)

    def verifier(self, seed: int) -> Verifier:
        """Freivalds' check of each block product."""
        return Freivalds(sum_of_product, seed)

    @property
    def rows(self) -> RowSource:
        """Fresh ones where each product of two plain blocks is a row, and what lies in these is of like size."""
        shape = len(self.left.blocks.slices), len(self.right.blocks.slices)
        if not math.prod(shape) == self.code.unknowns == len(self._plain_rows):
            return FixedRows(self.code)
        if why := self._why_unlike(shape) or self._why_changed():
            return FixedRows(self.code, f"{why}: what was late was copied and not combined")
        return RatelessRows(self.code, shape, self.expected.seed if isinstance(self.expected, Sketch) else 0)

    def _why_unlike(self, shape: tuple[int, int]) -> str:
        """Why plain blocks, which are not raised, lose digits where they are mixed; empty where they do not."""
        if self.code.mixes:
            return ""  # what is mixed is raised
        for which, one, blocks in zip(("rows of A", "columns of B"), self.found, shape, strict=False):
            if blocks > 1 and one.norms.any() and not one.norms.all():
                return f"some {which} are zero"
        spread = 1.0 if self.code.spread is None else float(self.code.spread.max())
        if spread > largest_spread(self.epsilon):
            return f"rows of A or columns of B differ in size by a factor of {spread:.0e}"
        return ""

    def _why_changed(self) -> str:
        """Why what was found of their sizes says nothing of the matrices as they are now; empty where it does."""
        if self.changed or not self._has_kept_sizes():
            return "rows of A or columns of B have other sizes than when the scheme was built"
        return ""

    def _has_kept_sizes(self) -> bool:
        """Whether all that was found still holds, mixed or not."""
        pairs = enumerate(zip(self.counted_on, (self.left, self.right), strict=False))
        return all(replace(one, mixed=True).holds(factor.blocks.matrix, axis) for axis, (one, factor) in pairs)

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of the matrices as they are now, which may have other proportions where nothing is mixed."""
        return replace(super().taken(snapshot), changed=self.changed or not self._has_kept_sizes())

    @property
    def _plain_rows(self) -> dict[int, int]:
        """The row of each product of two blocks that are taken as they are."""
        factors = self.left.coefficients, self.right.coefficients
        of = [np.where(_is_unit(rows), rows.argmax(axis=1), -1) for rows in factors]
        both = np.flatnonzero((of[0] >= 0) & (of[1] >= 0))
        numbers = of[0][both] * factors[1].shape[1] + of[1][both]
        return dict(zip(numbers.tolist()[::-1], both.tolist()[::-1], strict=True))

    def fresh_task(self, row: Floats, tasks: Sequence[Task]) -> Task:
        """One product of two combinations of plain blocks, made at the worker."""
        table = row.reshape(len(self.left.blocks.slices), -1)
        n, p = np.unravel_index(np.abs(table).argmax(), table.shape)
        alpha, beta = table[:, p], table[n] / table[n, p]
        plain = self._plain_rows
        pairs = [(i, p) for i in np.flatnonzero(alpha)], [(n, j) for j in np.flatnonzero(beta)]
        a, b = (
            [tasks[plain[int(i * table.shape[1] + j)]].arguments[side] for i, j in pairs[side]] for side in range(2)
        )
        return Task(multiply_combined, (alpha[alpha != 0].tolist(), a, beta[beta != 0].tolist(), b))


def _is_unit(rows: Floats) -> NDArray[np.bool_]:
    """Which rows are one 1 and zeros else."""
    units: NDArray[np.bool_] = (np.count_nonzero(rows, axis=1) == 1) & (rows.max(axis=1, initial=0.0) == 1.0)
    return units


def sketch_prior(a: Blocks, b: Blocks, rng: np.random.Generator, wanted: Floats | None = None) -> Prior:
    """Estimate the covariance of all block products A_i B_j from Z_ij = (Ψ A_i)(B_j Ω), at O(size) cost.

    Ψ and Ω are Gaussian and the same for all blocks, so E⟨Z_ij, Z_kl⟩ = E⟨A_i B_j, A_k B_l⟩ whatever the data;
    the sketch is fresh each time.

    Parameters
    ----------
    a, b : Blocks
        Of the first and of the second factor; of column blocks of A the sum Σ A_m B_m is what is wanted.
    rng : numpy.random.Generator
    wanted : (targets, products) array, optional
        As of `Sketch`.

    Returns
    -------
    Prior
        Of all products, j running fastest.
    """
    left = rng.standard_normal((SKETCH, a.shape[0])).astype(real_type(a.dtype))
    right = rng.standard_normal((b.shape[1], SKETCH)).astype(real_type(b.dtype))
    if wanted is None and a.axis == 1:
        wanted = np.eye(len(a.slices)).reshape(1, -1)
    if wanted is not None:  # blocks of unequal inner dimension are padded with zeros, which add nothing
        return prior_of_samples(_pair_sketches(left, a, b, right), wanted)
    size = SKETCH * (len(a.slices) + len(b.slices)) * np.dtype(np.float64).itemsize
    width, inner = max(1, SKETCH_BYTES // size), a.shape[1]
    slabs = [slice(start, min(start + width, inner)) for start in range(0, max(1, inner), width)]
    return prior_of_samples(sum(_pair_sketches(left, a.within(slab), b.within(slab), right) for slab in slabs))


def _pair_sketches(left: Array, a: Blocks, b: Blocks, right: Array) -> Any:
    """(Ψ A_i)(B_j Ω) of all pairs, j running fastest, one row of numbers each."""
    wide = np.result_type(a.dtype, np.float64)
    a_sketches = left_sketches(left, a).astype(wide, copy=False)
    b_sketches = np.zeros((len(b.slices), b.shape[0], SKETCH), wide)
    for tile, shares in b.tiles():
        for number, inside, (rows, columns) in shares:
            b_sketches[number][rows] += tile[inside] @ right[columns]
    return np.array([(x @ y).ravel() for x in a_sketches for y in b_sketches])


def left_sketches(left: Array, blocks: Blocks) -> Array:
    """Ψ A_i of all blocks, (blocks, rows of Ψ, columns of a block), in one pass over the matrix."""
    sketches = np.zeros((len(blocks.slices), len(left), blocks.shape[1]), blocks.dtype)
    for tile, shares in blocks.tiles():
        for number, inside, (rows, columns) in shares:
            sketches[number][:, columns] += left[:, rows] @ tile[inside]
    return sketches


def product_flops(rows: int, inner: int, columns: int, dtype: Any) -> float:
    """Floating-point operations of a product; complex ones count four times.

    Examples
    --------
    >>> product_flops(2, 3, 4, float), product_flops(2, 3, 4, complex)
    (48.0, 192.0)
    """
    return 2.0 * rows * inner * columns * (4.0 if np.dtype(dtype).kind == "c" else 1.0)


def real_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the real part of numbers of a type."""
    return np.zeros(0, dtype).real.dtype


def prior_of_samples(samples: Array, targets: Floats | None = None) -> Prior:
    """Prior of unknowns from their sketches, (unknowns, numbers), as far as real weights are concerned.

    Parameters
    ----------
    samples : (unknowns, numbers) array
    targets : (targets, unknowns) array, optional
        What is wanted of the unknowns; each of them by default.
    """
    if samples.dtype.kind == "c":  # real weights see the real part of the inner products
        samples = np.sqrt(2.0) * np.hstack([samples.real, samples.imag])
    return Prior.from_samples(samples, SKETCH_DIAGONAL, targets)
