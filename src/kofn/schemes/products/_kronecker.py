"""Energy-shaped Gaussian codes on both factors: exact from any N·P results, and good long before (kofn's own)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...arrays._blocks import Grid, Spans
from ...arrays._reductions import norm
from ...arrays._scaling import SINGLE, sizes_of
from .._scheme import Scheme
from ._importance import sorted_spans
from ._operands import Operands, generator
from ._row_column import chosen, in_like_units, require_threshold, row_column_scheme, row_count, spare

FLOOR = 1.0 / 32.0
"""Smallest coefficient size relative to the largest: bounds what shaping adds to the amplification by 32²."""

SINGLE_FLOOR = 1.0 / 8.0
"""The same for single precision, whose exact answers admit an amplification of 2900 at most."""

BOTH, SINGLE_BOTH = 1.0 / 512.0, 1.0 / 8.0
"""Smallest product of a coefficient and its block, relative to the largest: bounds what both add to it together."""


def kronecker(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Worker r multiplies Σ α_rn A_n by Σ β_rp B_p with Gaussian α, β scaled by the blocks' norms.

    One product per worker, so a row of G is α_r ⊗ β_r (Tegin et al. 2022, eq. (11)). Rows of A and columns of B are
    sorted by norm first, so that blocks differ in energy and early results carry most of it. Load 1; threshold
    N·P; amplification of the order of 10 for blocks of equal norms, up to 32² times more where norms differ by
    32 and more (8² in single precision). The master sorts, encodes at 2·n·(size of A + size of B) flops and
    decodes at 2·N·P·(size of the product) flops.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P), optional
        Close to three quarters as many block products as rows by default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the coefficients, and the sketch for the error bar.

    Returns
    -------
    Scheme

    Examples
    --------
    >>> code = kronecker(np.eye(9), np.eye(9), blocks=(3, 3), rows=12, rng=0).code
    >>> code.threshold, code.rows, code.unknowns
    (9, 12, 9)
    """
    operands = Operands.of(A, B)
    random = generator(rng)
    count = row_count(rows, workers)
    n, p = chosen(operands, blocks, count - spare(count))
    require_threshold("kronecker", n * p, count)
    grid = in_like_units(operands, Grid(sorted_spans(operands.rows, n), sorted_spans(operands.columns, p)))
    floors = (SINGLE_FLOOR, SINGLE_BOTH) if operands.epsilon > SINGLE else (FLOOR, BOTH)
    alpha = random.standard_normal((count, n)) * shape_of(_weights(operands.rows, grid.rows), *floors)
    beta = random.standard_normal((count, p)) * shape_of(_weights(operands.columns, grid.columns), *floors)
    return row_column_scheme("kronecker", operands, grid, alpha, beta, workers=workers, threshold=n * p, rng=random)


def _weights(norms: Floats, spans: Spans) -> Floats:
    """Norms of the blocks as they are read."""
    return np.array([norm(sizes) for sizes in sizes_of(norms, spans)])


def shape_of(norms: Floats, floor: float = FLOOR, both: float = 0.0) -> Floats:
    """Sizes of the coefficients: the blocks' norms, at most 1 and at least ``floor``.

    Small coefficients of small blocks amplify rounding twice; relative to the largest, their product is at least
    ``both`` where that needs no more than four times the floor.

    Examples
    --------
    >>> shape_of(np.array([10.0, 1.0, 0.0]))
    array([1.     , 0.1    , 0.03125])
    >>> shape_of(np.array([16.0, 1.0]), floor=1 / 32, both=1 / 128)
    array([1.   , 0.125])
    """
    largest = norms.max(initial=0.0)
    if not largest > 0:
        return np.ones_like(norms)
    ratios = norms / largest
    least = np.minimum(4 * floor, np.divide(both, ratios, out=np.zeros_like(ratios), where=ratios > 0))
    shape: Floats = np.clip(ratios, np.maximum(floor, least), 1.0)
    return shape
