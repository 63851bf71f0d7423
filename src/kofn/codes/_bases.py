"""What rows of codes are made of: products of rows, nodes and bases of polynomials, frames."""

from __future__ import annotations

import numpy as np

from .._base._numbers import Floats


def row_kronecker(alpha: Floats, beta: Floats) -> Floats:
    """Kronecker product of matching rows: the generator of workers that multiply two encoded factors.

    Parameters
    ----------
    alpha : (rows, N) array
    beta : (rows, P) array

    Returns
    -------
    (rows, N·P) array
        Row ``r`` is ``alpha[r] ⊗ beta[r]``.

    Examples
    --------
    >>> row_kronecker(np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))
    array([[ 3.,  5.,  6., 10.]])
    """
    rows: Floats = np.einsum("rn,rp->rnp", alpha, beta).reshape(len(alpha), -1)
    return rows


def chebyshev_nodes(count: int) -> Floats:
    """Zeros of the Chebyshev polynomial T_count, from large to small, exactly symmetric about 0.

    Examples
    --------
    >>> chebyshev_nodes(3).round(3)
    array([ 0.866,  0.   , -0.866])
    """
    # The sine form is odd in floating point too; the usual cosine form leaves 6e-17 where 0 belongs.
    nodes: Floats = np.sin((count - 1 - 2 * np.arange(count)) * np.pi / (2 * count))
    return nodes


def chebyshev_rows(points: Floats, count: int) -> Floats:
    """Values of T_0 … T_{count-1} at ``points``, one row a point.

    Examples
    --------
    >>> chebyshev_rows(np.array([0.5]), 4)
    array([[ 1. ,  0.5, -0.5, -1. ]])
    """
    rows: Floats = np.polynomial.chebyshev.chebvander(points, count - 1)
    return rows


def gaussian_frame(rows: int, columns: int, rng: np.random.Generator) -> Floats:
    """Independent Gaussian rows with their columns orthonormalised: any ``columns`` rows are independent.

    Orthonormalising changes the unknowns' basis, not what is decodable, and makes the frame perfectly
    conditioned when all rows arrive. Scaled so that a row has unit norm on average.

    Examples
    --------
    >>> frame = gaussian_frame(8, 6, np.random.default_rng(0))
    >>> bool(np.allclose(frame.T @ frame, 8 / 6 * np.eye(6)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    frame: Floats = q * np.sign(np.diag(r)) * np.sqrt(rows / columns)
    return frame


def parity_rows(count: int, columns: int, rng: np.random.Generator) -> Floats:
    """Coefficients of combinations that stand beside plain unknowns: any of them replace as many that are missing.

    What is missing is solved for with square pieces of these, so none of the pieces may be nearly singular. One row is
    all ones, two are cosine and sine of evenly spaced angles; for more, each column is a random direction. The worst of
    all ways to lose rows amplifies rounding by 9 for 6 + 2 rows (Gaussian coefficients: 160 in the median draw), by 27
    for 12 + 2 (340), by 700 for 9 + 3 (1300); by 1e4 for 12 + 4 with both, where the median way is 7.6 (10).

    Examples
    --------
    >>> parity_rows(1, 3, np.random.default_rng(0))
    array([[1., 1., 1.]])
    >>> parity_rows(2, 2, np.random.default_rng(0)).round(3)
    array([[ 0.707, -0.707],
           [ 0.707,  0.707]])
    """
    if count == 1:
        return np.ones((1, columns))
    if count == 2:
        # Angles come as near to an axis, where one of both is small, as half or a quarter of a step.
        angles = (np.arange(columns) + (0.25 if columns % 2 else 0.5)) * np.pi / columns
        return np.array([np.cos(angles), np.sin(angles)])
    directions = rng.standard_normal((count, columns))
    rows: Floats = directions / np.linalg.norm(directions, axis=0)
    return rows
