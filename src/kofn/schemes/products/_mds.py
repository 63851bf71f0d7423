"""MDS codes on the row blocks of A alone: any k of n results give the product (Lee et al. 2018)."""

from __future__ import annotations

import numpy as np

from ...codes._bases import chebyshev_nodes, chebyshev_rows, gaussian_frame, parity_rows
from .._request import builder
from .._scheme import Scheme
from ._request import ProductRequest


@builder(ProductRequest)
def mds(asked: ProductRequest) -> Scheme:
    """The row blocks of A as they are, then combinations of them, each times B: any k of n results are enough.

    Load 1; threshold k; amplification 1 for what arrives as it is. What is missing is solved for alone, from as many
    combinations: the amplification is √(2k − 1) at most where one is spare, 9 at most for 6 of 8, and 8 in the median
    for 12 of 16, rarely above 1e5. The master copies plain blocks, encodes the others when a worker is to
    have one, at 2·(n − k)·(size of A) flops, and decodes at 2·(missing blocks)·(size of the product) flops: nothing
    where the plain blocks arrive first.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (k, 1), optional
        Three quarters as many blocks as rows by default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the coefficients of three and more combinations, and the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    K. Lee, M. Lam, R. Pedarsani, D. Papailiopoulos, K. Ramchandran, "Speeding Up Distributed Machine Learning
    Using Codes", IEEE Trans. Inf. Theory 64(3), 2018, in systematic form.

    Examples
    --------
    >>> code = mds(np.eye(3), np.eye(3), workers=4, rng=0).code
    >>> code.threshold, code.generator.tolist()
    (3, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    """
    k = asked.choose_rows("mds")
    return asked.one_sided("mds", np.vstack([np.eye(k), parity_rows(asked.count - k, k, asked.random)]))


@builder(ProductRequest)
def mds_dense(asked: ProductRequest) -> Scheme:
    """Gaussian combinations of the row blocks of A, each times B: no row is worth more than another.

    The form that is published, for figures and for estimates: each result tells something of every block. Load 1;
    threshold k; amplification grows slowly (median below 10, rarely above 1e5 at k = 16). The master encodes A at
    2·n·(size of A) flops, sends B as it is, and decodes at 2·k·(size of the product) flops.

    Parameters
    ----------
    A, B, blocks, rows, workers
        As for `mds`.
    rng : None, int or Generator
        Draws the coefficients, and the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    K. Lee, M. Lam, R. Pedarsani, D. Papailiopoulos, K. Ramchandran, "Speeding Up Distributed Machine Learning
    Using Codes", IEEE Trans. Inf. Theory 64(3), 2018; Tegin et al. 2022, Sec. III.

    Examples
    --------
    >>> code = mds_dense(np.eye(6), np.eye(6), workers=8, rng=0).code
    >>> code.threshold, code.rows
    (6, 8)
    """
    k = asked.choose_rows("mds-dense")
    return asked.one_sided("mds-dense", gaussian_frame(asked.count, k, asked.random))


@builder(ProductRequest)
def mds_chebyshev(asked: ProductRequest) -> Scheme:
    """Combinations with Chebyshev polynomials at Chebyshev nodes as coefficients: deterministic.

    Load 1; threshold k; amplification is about 1 with all results and grows exponentially with the number of
    neighbouring nodes that are missing, so that an answer may be decodable and yet not called exact. The master's
    costs are those of `mds_dense`.

    Parameters
    ----------
    A, B, blocks, rows, workers, rng
        As for `mds`; ``rng`` draws only the sketch.

    Returns
    -------
    Scheme

    References
    ----------
    M. Fahim, V. R. Cadambe, "Numerically Stable Polynomially Coded Computing", IEEE Trans. Inf. Theory 67(5),
    2021.

    Examples
    --------
    >>> mds_chebyshev(np.eye(2), np.eye(2), blocks=(2, 1), rows=3).code.generator.round(3).tolist()
    [[1.0, 0.866], [1.0, 0.0], [1.0, -0.866]]
    """
    k = asked.choose_rows("mds-chebyshev")
    return asked.one_sided("mds-chebyshev", chebyshev_rows(chebyshev_nodes(asked.count), k))
