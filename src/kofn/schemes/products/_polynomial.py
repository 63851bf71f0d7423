"""Polynomial codes on both factors: any N·P of n results give the product (Yu et al. 2017)."""

from __future__ import annotations

import numpy as np

from ...codes._bases import chebyshev_nodes, chebyshev_rows
from .._request import builder
from .._scheme import Scheme
from ._request import ProductRequest
from ._row_column import plain_grid


@builder(ProductRequest)
def polynomial(asked: ProductRequest) -> Scheme:
    """Worker x multiplies Σ T_n(x) A_n by Σ T_{pN}(x) B_p: a polynomial of degree N·P − 1 in x.

    The published code uses powers x^n and x^{pN}; Chebyshev polynomials at Chebyshev nodes span the same space,
    since 2 T_n T_{pN} = T_{pN+n} + T_{pN−n}, and are far better conditioned. Load 1; threshold N·P;
    amplification grows exponentially with the number of neighbouring nodes missing. The master encodes at
    2·n·(size of A + size of B) flops and decodes at 2·N·P·(size of the product) flops.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P), optional
        Close to three quarters as many block products as rows by default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    Q. Yu, M. A. Maddah-Ali, A. S. Avestimehr, "Polynomial Codes", NeurIPS 2017; M. Fahim, V. R. Cadambe,
    "Numerically Stable Polynomially Coded Computing", IEEE Trans. Inf. Theory 67(5), 2021.

    Examples
    --------
    >>> polynomial(np.eye(4), np.eye(4), blocks=(2, 2), rows=6).code.threshold
    4
    """
    n, p = asked.choose_blocks("polynomial", asked.enough)
    values = chebyshev_rows(chebyshev_nodes(asked.count), n * p)
    alpha, beta = values[:, :n], values[:, np.arange(p) * n]
    return asked.scheme("polynomial", plain_grid(asked.operands, (n, p)), alpha, beta, threshold=n * p)
