"""Energy-shaped Gaussian codes on both factors: exact from any N·P results, and good long before (kofn's own)."""

from __future__ import annotations

import numpy as np

from ..._base._numbers import Floats
from ...arrays._blocks import Grid
from ...arrays._reductions import norm
from ...arrays._scaling import SINGLE, sizes_of
from ...arrays._spans import Spans
from .._request import builder
from .._scheme import Scheme
from ._classes import Classes
from ._importance import sorted_spans
from ._request import ProductRequest
from ._row_column import in_like_units
from ._shaping import FLOOR, SINGLE_FLOOR, shape_of
from .families import Gaussian

BOTH, SINGLE_BOTH = 1.0 / 512.0, 1.0 / 8.0
"""Smallest product of a coefficient and its block, relative to the largest: bounds what both add to it together."""


@builder(ProductRequest)
def kronecker(asked: ProductRequest) -> Scheme:
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
    operands = asked.operands
    n, p = asked.choose_blocks("kronecker", asked.enough)
    grid = in_like_units(operands, Grid(sorted_spans(operands.rows, n), sorted_spans(operands.columns, p)))
    floors = (SINGLE_FLOOR, SINGLE_BOTH) if operands.epsilon > SINGLE else (FLOOR, BOTH)
    lines = (operands.rows, grid.rows), (operands.columns, grid.columns)
    first, second = (shape_of(_weights(*each), *floors) for each in lines)
    return asked.scheme_of(Gaussian(Classes.of_grid(n, p), "factor", first=first, second=second), grid)


def _weights(norms: Floats, spans: Spans) -> Floats:
    """Norms of the blocks as they are read."""
    return np.array([norm(sizes) for sizes in sizes_of(norms, spans)])
