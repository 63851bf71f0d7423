"""Energy-shaped Gaussian codes on both factors: exact from any N·P results, and good long before (kofn's own)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..algebra import Floats
from ..blocks import Grid
from ..passes import norms
from ..scheme import Scheme
from .importance import block_weights, sorted_spans
from .operands import Operands, generator
from .row_column import chosen, require_threshold, row_column_scheme, row_count, spare

FLOOR = 1.0 / 32.0
"""Smallest coefficient size relative to the largest: bounds what shaping adds to the amplification by 32²."""

SINGLE_FLOOR = 1.0 / 8.0
"""The same for single precision, whose exact answers admit an amplification of 2900 at most."""


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
    rows_of, columns_of = norms(operands.A, 0), norms(operands.B, 1)
    grid = Grid(sorted_spans(rows_of, n), sorted_spans(columns_of, p))
    floor = SINGLE_FLOOR if operands.epsilon > 1e-10 else FLOOR
    alpha = random.standard_normal((count, n)) * shape_of(block_weights(rows_of, grid.rows), floor)
    beta = random.standard_normal((count, p)) * shape_of(block_weights(columns_of, grid.columns), floor)
    return row_column_scheme("kronecker", operands, grid, alpha, beta, workers=workers, threshold=n * p, rng=random)


def shape_of(norms: Floats, floor: float = FLOOR) -> Floats:
    """Sizes of the coefficients: the blocks' norms, at most 1 and at least ``floor``.

    Examples
    --------
    >>> shape_of(np.array([10.0, 1.0, 0.0]))
    array([1.     , 0.1    , 0.03125])
    """
    largest = norms.max(initial=0.0)
    shape: Floats = np.clip(norms / largest, floor, 1.0) if largest > 0 else np.ones_like(norms)
    return shape
