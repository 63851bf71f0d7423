"""MatDot codes: A cut by columns, B by rows, any 2M − 1 results give the sum of the products (Dutta et al. 2020)."""

from __future__ import annotations

import numpy as np

from ..._base._numbers import Floats
from ...arrays._spans import Spans
from ...codes._bases import chebyshev_nodes, chebyshev_rows, row_kronecker
from ...codes._linear import LinearCode
from .._deal import deal_rows
from .._encoding import Factor
from .._request import builder
from .._scheme import Scheme
from ._cuts import cut_inner, inner_parts
from ._operands import seed_of
from ._request import ProductRequest
from ._row_column import found, require_threshold
from ._scheme import ProductScheme, Sketch


@builder(ProductRequest)
def matdot(asked: ProductRequest) -> Scheme:
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
    operands, count = asked.operands, asked.count
    parts = inner_parts("matdot", operands, asked.blocks, (asked.enough + 1) // 2)
    threshold = 2 * parts - 1
    require_threshold("matdot", threshold, count)
    points = chebyshev_nodes(count)
    generator, worker = chebyshev_rows(points, threshold), deal_rows(count, asked.workers)
    code = LinearCode("matdot", generator, np.eye(1, threshold), worker, threshold=threshold)
    grid, (a, b) = cut_inner(operands, Spans(operands.shape[1], parts))
    sketch = Sketch(a, b, seed_of(asked.random), coefficients_of_pairs(parts))
    basis = orthonormal_rows(points, parts)
    return ProductScheme(code, Factor(basis, a), Factor(basis, b), grid, sketch, found(operands, grid))


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
