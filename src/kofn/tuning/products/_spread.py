"""Coefficients that lie evenly: a leading 1, and points of a torus for the rest.

Gaussian coefficients are now and then near zero where it matters most. Here the first coordinate of every row is
1 and the others are √2·cos 2πx and √2·sin 2πx of points x that step round a torus, so that no result misses the most
important block and rows are far from one another. With k(r) frequencies, every column of α ⊗ β is a sum of
waves e^{2πi r f}; waves of distinct frequencies are what makes any N·P rows independent.
"""

from __future__ import annotations

import numpy as np

from ..._base._numbers import Floats


def draw_coefficients(
    rows: int, first: int, second: int, rng: np.random.Generator, frequencies: Floats | None = None
) -> tuple[Floats, Floats]:
    """Draw coefficients α and β of unit variance, the first coordinate of each 1.

    Parameters
    ----------
    rows, first, second : int
        Coded rows and the numbers of blocks N and P.
    rng : numpy.random.Generator
        Draws where on the torus the rows start.
    frequencies : (N//2 + P//2,) array, optional
        Steps on the torus from row to row, in turns; `even_steps` by default.

    Returns
    -------
    α, (rows, N) array, and β, (rows, P) array

    Examples
    --------
    >>> alpha, beta = draw_coefficients(4, 3, 1, np.random.default_rng(0))
    >>> alpha.shape, alpha[:, 0].tolist(), beta.tolist()
    ((4, 3), [1.0, 1.0, 1.0, 1.0], [[1.0], [1.0], [1.0], [1.0]])
    >>> bool(np.allclose(np.sum(alpha**2, axis=1), 3))
    True
    """
    dimensions = first // 2 + second // 2
    steps = even_steps(dimensions) if frequencies is None else frequencies
    points = (np.arange(rows)[:, None] * steps + rng.random(dimensions)) % 1.0
    return _coordinates(points[:, : first // 2], first), _coordinates(points[:, first // 2 :], second)


def even_steps(dimensions: int) -> Floats:
    """Steps whose multiples fill a torus evenly, however many are taken: 1/x, 1/x², … with x^(d+1) = x + 1.

    In one dimension x is the golden ratio.

    Examples
    --------
    >>> even_steps(1).round(4), even_steps(2).round(4)
    (array([0.618]), array([0.7549, 0.5698]))
    """
    x = 2.0
    for _ in range(64):
        x = (1.0 + x) ** (1.0 / (dimensions + 1))
    return x ** -np.arange(1.0, dimensions + 1)


def _coordinates(points: Floats, count: int) -> Floats:
    """1, then a cosine and a sine of each point; an even count's last coordinate is a straight line instead."""
    angles = 2 * np.pi * points[:, : (count - 1) // 2]
    waves = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(points), -1)
    line = np.sqrt(3) * (2 * points[:, -1:] - 1) if count % 2 == 0 else points[:, :0]
    return np.hstack([np.ones((len(points), 1)), waves, line])
