"""Coded matrix products: a worker multiplies Σ α_n A_n by Σ β_p B_p (Tegin et al. 2022, eq. (11)).

A builder chooses the coefficients α and β, one row of each a task; everything else about products is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ..._base._snapshots import Snapshot
from ...arrays._blocks import Blocks, Grid
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from .._encoding import Encoding, Factor, Found
from .._scheme import Canvas, Parts, Scheme, Task

Array = NDArray[Any]

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
"""Share of the energies added to the sketched covariance; findings.md: 5 % would spoil the error bar."""


def multiply(a: Array, b: Array) -> Array:
    """What a worker does: one block product."""
    product: Array = a @ b
    return product


def product_scheme(
    code: LinearCode,
    a: Factor,
    b: Factor,
    grid: Grid,
    expect: Callable[[], Prior],
    dtype: np.dtype[Any],
    found: Sequence[Found] = (),
) -> Scheme:
    """Put a scheme together from a code, its two encoded factors and the layout of the answer."""

    needs = [((0, int(i)), (1, int(j))) for i, j in zip(a.distinct[1], b.distinct[1], strict=True)]
    encoding = Encoding((a, b), needs, lambda row, blocks: Task(multiply, tuple(blocks)), found)
    result_bytes = a.blocks.shape[0] * b.blocks.shape[1] * dtype.itemsize
    return grid_scheme(code, encoding, grid, expect, dtype, result_bytes)


def grid_scheme(
    code: LinearCode,
    encoding: Encoding,
    grid: Grid,
    expect: Callable[[], Prior],
    dtype: np.dtype[Any],
    result_bytes: int,
) -> Scheme:
    """A scheme whose targets are the blocks of a grid."""
    return Scheme(
        code,
        encoding,
        lambda shape, kind: grid_canvas(grid, np.empty(grid.shape, kind)),
        expect,
        encoding.encoded_bytes,
        float(np.finfo(dtype).eps),
        result_bytes=result_bytes,
        answer_bytes=math.prod(grid.shape) * dtype.itemsize,
        onto=lambda answer: grid_canvas(grid, answer),
        parts=Parts((grid.rows.count, grid.columns.count), grid),
        caution=partial(cautioned, encoding.found),
    )


def cautioned(found: Sequence[Found]) -> str:
    """What to say of an estimate where rows of A or columns of B differ in size by far, which no error bar shows.

    Examples
    --------
    >>> from ...arrays._blocks import Spans
    >>> cautioned([Found(np.array([1.0, 0.0, 1e4]), Spans(3, 1), 1e-16), Found(np.ones(3), Spans(3, 1), 1e-16)])
    'rows of A differ in size by a factor of 1e+04: small ones may be wholly wrong within the error bar, ...'
    """
    for which, one in zip(("rows of A", "columns of B"), found, strict=False):
        sizes = one.norms[one.norms > 0]
        if sizes.size and (ratio := float(sizes.max() / sizes.min())) > UNLIKE:
            small = "small ones may be wholly wrong within the error bar, which is that of the whole product"
            return f"{which} differ in size by a factor of {ratio:.0e}: {small}."
    return ""


def grid_canvas(grid: Grid, answer: Any) -> Canvas:
    """An answer, or the file that takes its place, whose targets are the blocks of a grid."""
    return Canvas(grid.views(answer), lambda: answer)


def sketched_prior(a: Blocks, b: Blocks, rng: np.random.Generator) -> Prior:
    """Estimate the covariance of all block products A_i B_j from Z_ij = (Ψ A_i)(B_j Ω), at O(size) cost.

    Ψ and Ω are Gaussian and the same for all blocks, so E⟨Z_ij, Z_kl⟩ = E⟨A_i B_j, A_k B_l⟩ whatever the data;
    the sketch is fresh each time.

    Parameters
    ----------
    a, b : Blocks
        Of the first and of the second factor; of column blocks of A the sum Σ A_m B_m is what is wanted.
    rng : numpy.random.Generator

    Returns
    -------
    Prior
        Of all products, j running fastest.
    """
    left = rng.standard_normal((SKETCH, a.shape[0])).astype(real_type(a.dtype))
    right = rng.standard_normal((b.shape[1], SKETCH)).astype(real_type(b.dtype))
    if a.axis == 1:  # blocks of unequal inner dimension are padded with zeros, which add nothing
        return samples_prior(_pair_sketches(left, a, b, right), np.eye(len(a.slices)).reshape(1, -1))
    size = SKETCH * (len(a.slices) + len(b.slices)) * np.dtype(np.float64).itemsize
    width, inner = max(1, SKETCH_BYTES // size), a.shape[1]
    slabs = [slice(start, min(start + width, inner)) for start in range(0, max(1, inner), width)]
    return samples_prior(sum(_pair_sketches(left, a.within(slab), b.within(slab), right) for slab in slabs))


@dataclass(frozen=True, eq=False)
class Sketched:
    """What is expected of the block products of two matrices, sketched when somebody asks.

    Parameters
    ----------
    a, b : Blocks
    rng : numpy.random.Generator
    """

    a: Blocks
    b: Blocks
    rng: np.random.Generator

    def __call__(self) -> Prior:
        return sketched_prior(self.a, self.b, self.rng)

    def taken(self, snapshot: Snapshot) -> Sketched:
        """The same of the matrices as they are now."""
        return replace(self, a=self.a.taken(snapshot), b=self.b.taken(snapshot))


@dataclass(frozen=True, eq=False)
class Transformed:
    """What is expected of linear combinations of unknowns.

    Parameters
    ----------
    expect : callable
        Returns the prior of the unknowns.
    after : (combinations, unknowns) array
    """

    expect: Callable[[], Prior]
    after: Floats

    def __call__(self) -> Prior:
        return self.expect().transformed(self.after)

    def taken(self, snapshot: Snapshot) -> Transformed:
        """The same of the data as they are now."""
        return replace(self, expect=snapshot.maker(self.expect))


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


def real_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of the real part of numbers of a type."""
    return np.zeros(0, dtype).real.dtype


def samples_prior(samples: Array, targets: Floats | None = None) -> Prior:
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
