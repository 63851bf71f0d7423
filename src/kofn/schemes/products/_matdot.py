"""MatDot codes: A cut by columns, B by rows, any 2M − 1 results give the sum of the products (Dutta et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...arrays._blocks import Blocks, Grid
from ...arrays._spans import Spans
from ...checks import named, refusal
from ...codes._bases import chebyshev_nodes, chebyshev_rows, row_kronecker
from ...codes._linear import LinearCode
from .._deal import deal_rows, default_redundancy
from .._encoding import Factor
from .._scheme import Scheme
from ._operands import CALL, Operands, blocks_of, generator, seed_of
from ._row_column import found, in_like_units, require_threshold, row_count
from ._scheme import ProductScheme, Sketch


@named("kofn.schemes.matdot")
def matdot(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Worker x multiplies Σ q_m(x) A_m by Σ q_m(x) B_m with orthonormal Chebyshev polynomials q.

    The product is a polynomial of degree 2M − 2; its mean over the Chebyshev weight is Σ A_m B_m = A B, because
    the q are orthonormal. The unknowns are its 2M − 1 Chebyshev coefficients, and the target is the first. Load
    1 (a result has the size of the whole product); threshold 2M − 1; amplification grows exponentially with the
    number of neighbouring nodes missing. The master encodes at 2·n·(size of A + size of B) flops and decodes at
    2·(2M − 1)·(size of the product) flops.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (M, M), optional
        Column blocks of A and as many row blocks of B; as many as leave a quarter of the rows to spare by
        default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    S. Dutta et al., "On the Optimal Recovery Threshold of Coded Matrix Multiplication", IEEE Trans. Inf. Theory
    66(1), 2020; M. Fahim, V. R. Cadambe, "Numerically Stable Polynomially Coded Computing", 2021.

    Examples
    --------
    >>> code = matdot(np.eye(4), np.eye(4), blocks=(2, 2), rows=4).code
    >>> code.threshold, code.targets.tolist()
    (3, [[1.0, 0.0, 0.0]])
    """
    operands = Operands.of(A, B)
    count = row_count(rows, workers)
    parts = _parts(operands, blocks, count)
    threshold = 2 * parts - 1
    require_threshold("matdot", threshold, count)
    points = chebyshev_nodes(count)
    code = LinearCode(
        "matdot",
        chebyshev_rows(points, threshold),
        np.eye(1, threshold),
        deal_rows(count, workers),
        threshold=threshold,
    )
    size, inner, columns = operands.shape
    spans = Spans(inner, parts)
    grid = in_like_units(operands, Grid(Spans(size, 1), Spans(columns, 1)))
    a = Blocks(operands.A, spans, 1, across=grid.rows.exponents)
    b = Blocks(operands.B, spans, 0, across=grid.columns.exponents)
    sketch = Sketch(a, b, seed_of(generator(rng)), coefficients_of_pairs(parts))
    basis = orthonormal_rows(points, parts)
    factors = Factor(basis, a), Factor(basis, b)
    return ProductScheme(code, *factors, grid, sketch, found(operands, grid))


def orthonormal_rows(points: Floats, count: int) -> Floats:
    """q_0 = T_0, q_m = √2 T_m: orthonormal for the mean over the Chebyshev weight 1 / (π √(1 − x²))."""
    return chebyshev_rows(points, count) * np.where(np.arange(count) == 0, 1.0, np.sqrt(2.0))


def coefficients_of_pairs(parts: int) -> Floats:
    """Matrix from the pair products A_m B_m' to the Chebyshev coefficients of the product, (2M − 1, M²).

    Examples
    --------
    >>> coefficients_of_pairs(2).round(3) + 0.0  # no -0.0
    array([[1.   , 0.   , 0.   , 1.   ],
           [0.   , 1.414, 1.414, 0.   ],
           [0.   , 0.   , 0.   , 1.   ]])
    """
    points = chebyshev_nodes(2 * parts - 1)
    basis = orthonormal_rows(points, parts)
    matrix: Floats = np.linalg.solve(chebyshev_rows(points, len(points)), row_kronecker(basis, basis))
    return matrix + 0.0


def _parts(operands: Operands, blocks: Any, rows: int) -> int:
    inner = operands.shape[1]
    if blocks is None:
        return max(1, min((rows - default_redundancy(rows) + 1) // 2, inner))
    first, second = blocks_of(blocks, inner, inner, ("columns of A", "rows of B"))
    if first != second:
        must = "be (M, M) for matdot, which cuts the inner dimension of both"
        raise refusal(CALL, "blocks", must, (first, second), f"use ({first}, {first})")
    return first
