"""ε-approximate MatDot: about M results are nearly enough where MatDot needs 2M − 1 (Jeong et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ...arrays._spans import Spans
from ...checks import refusal
from ...codes._bases import chebyshev_nodes
from ...codes._linear import LinearCode
from .._deal import deal_rows
from .._encoding import Factor
from .._request import builder
from .._scheme import Scheme
from ._cuts import cut_inner, inner_parts
from ._operands import CALL, seed_of
from ._request import ProductRequest
from ._row_column import found, require_threshold
from ._scheme import ProductScheme, Sketch


@dataclass(frozen=True, eq=False, kw_only=True)
class ApproximateRequest(ProductRequest):
    """A product, the size of its code, and how near to zero it is evaluated."""

    epsilon: float | None = None

    def size_of_points(self, parts: int) -> float:
        """ε as asked for, or as small as rounding allows."""
        if self.epsilon is None:
            return point_size(parts, self.operands.epsilon)
        try:
            size = float(self.epsilon)
        except (TypeError, ValueError):
            size = np.nan
        if not 0 < size <= 1:
            must = "be a number above 0 and at most 1"
            raise refusal(CALL, "epsilon", must, repr(self.epsilon), "leave it out for as small as rounding allows")
        return size


@builder(ApproximateRequest)
def matdot_approximate(asked: ApproximateRequest) -> Scheme:
    """Worker x multiplies Σ x^m A_m by Σ x^(M − 1 − m) B_m at points of size ε, where high powers are next to nothing.

    A B is the coefficient of x^(M − 1) in a polynomial of degree 2M − 2. Of M results the published estimate takes the
    polynomial of degree M − 1 through them, which leaves out what is of order ε: the relative error is about ε/2, of
    order ε² from M + 1 results, and so on; from 2M − 1 on the product is exact. kofn's least squares weighs by what it
    expects of the blocks: as good on Gaussian matrices, 2 to 3 times better where blocks are alike, as in Gram
    matrices. From M results of `matdot` it has an error of 0.4 to 0.5 on the same matrices, which is what this code is
    for. The price is digits: the error bar is that of least squares, and what rounding adds is `answer.amplification`.

    Load 1; threshold 2M − 1. Amplification grows as (4/ε)^(M − 1): by default ε = 4·eps^(3/8 / (M − 1)), 1 at most,
    which keeps it near 1e6 in double precision and 400 in single. For M = 2, 3, 4, 6, 8 that is 5e-6, 0.005, 0.04,
    0.27, 0.58 in double precision: with many parts there is little to be gained. The master's costs are those of
    `matdot`.

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
    epsilon : float, optional
        Size ε of the points.

    Returns
    -------
    Scheme

    References
    ----------
    H. Jeong, A. Devulapalli, V. R. Cadambe, F. P. Calmon, "ε-Approximate Coded Matrix Multiplication Is Nearly Twice
    as Efficient as Exact Multiplication", IEEE J. Sel. Areas Inf. Theory 2(3), 2021; on digits as the price: J. Wang,
    Z. Jia, S. A. Jafar, "Price of Precision in Coded Distributed Matrix Multiplication", IEEE Inf. Theory Workshop,
    2021.

    Examples
    --------
    >>> from kofn.codes import decode
    >>> A, B = np.random.default_rng(0).standard_normal((2, 30, 30))
    >>> scheme = matdot_approximate(A, B, blocks=(3, 3), rows=7, rng=0)
    >>> scheme.code.threshold
    5
    >>> bool(decode(scheme.code, [0, 3, 5], scheme.prior()).error < 0.01)
    True
    """
    operands, count = asked.operands, asked.count
    parts = inner_parts("matdot-approximate", operands, asked.blocks, (asked.enough + 1) // 2)
    threshold = 2 * parts - 1
    require_threshold("matdot-approximate", threshold, count)
    points = asked.size_of_points(parts) * chebyshev_nodes(count)
    powers: Floats = points[:, None] ** np.arange(threshold)
    target, worker = np.eye(threshold)[[parts - 1]], deal_rows(count, asked.workers)
    code = LinearCode("matdot-approximate", powers, target, worker, threshold=threshold)
    grid, (a, b) = cut_inner(operands, Spans(operands.shape[1], parts))
    sketch = Sketch(a, b, seed_of(asked.random), powers_of_pairs(parts))
    left, right = Factor(powers[:, :parts], a), Factor(powers[:, parts - 1 :: -1], b)
    return ProductScheme(code, left, right, grid, sketch, found(operands, grid))


def point_size(parts: int, epsilon: float) -> float:
    """How small points may be, so that rounding by ``epsilon`` leaves 2M − 1 results exact.

    Examples
    --------
    >>> [float(f"{point_size(parts, 2.0**-52):.2g}") for parts in (1, 2, 3, 4, 6, 8, 12)]
    [1.0, 5.4e-06, 0.0046, 0.044, 0.27, 0.58, 1.0]
    """
    return 1.0 if parts == 1 else min(1.0, float(4 * epsilon ** (0.375 / (parts - 1))))


def powers_of_pairs(parts: int) -> Floats:
    """Matrix from the pair products A_m B_m' to the coefficients of the powers of x, (2M − 1, M²).

    Examples
    --------
    >>> powers_of_pairs(2).tolist()
    [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
    """
    first, second = np.divmod(np.arange(parts**2), parts)
    return np.eye(2 * parts - 1)[:, first + parts - 1 - second]
