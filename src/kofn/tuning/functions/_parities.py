"""Parity functions in closed form: ridge regression on random features of mixtures of known inputs.

ParM trains a second network for every parity. What it has to learn, Σ_k c_k f(X_k) from Σ_k c_k X_k, can be learned
from values of f that are known already: any K of the drawn inputs make a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Array, Floats
from ...schemes.functions._parity import parity_weights
from ._samples import Draws

MIXTURES = 4000
"""Mixtures that a parity is learned from, a quarter of them held out to choose the ridge."""

FEATURES = 400
"""Random rectified features beside the inputs' own numbers."""

NUMBERS = 1024
"""Of an input: for larger ones the regression is too large to be solved in passing, and a network learns better."""

RIDGES = 10.0 ** np.arange(-8, 2)
"""Ridges that are tried, relative to the mean square of the features."""


@dataclass(frozen=True, eq=False)
class Regression:
    """x ↦ W₂ᵀ (1, x, max(0, W₁ᵀ(1, x))), of the shape of f's values: a function that workers can hold.

    Parameters
    ----------
    directions : (1 + numbers, features) array
        W₁, with the numbers of an input first scaled by ``shift`` and ``scale``.
    weights : (1 + numbers + features, outputs) array
        W₂.
    shift, scale : float
        Of the inputs' numbers.
    shape : tuple of int
        Of a value of f.
    """

    directions: Floats
    weights: Floats
    shift: float
    scale: float
    shape: tuple[int, ...]

    def __call__(self, x: Array) -> Floats:
        flat = features(np.asarray(x).reshape(1, -1), self.directions, self.shift, self.scale)
        return (flat @ self.weights).reshape(self.shape)


def features(X: Floats, directions: Floats, shift: float, scale: float) -> Floats:
    """(1, x, max(0, W₁ᵀ(1, x))) of every row, (rows, 1 + numbers + features)."""
    base = np.hstack([np.ones((len(X), 1)), (X - shift) / scale])
    return np.hstack([base, np.maximum(base @ directions, 0.0)])


def learn_parities(draws: Draws, count: int, rng: np.random.Generator) -> list[Regression]:
    """A parity function for each of ``count`` mixtures of K inputs, from inputs drawn and f of them.

    Examples
    --------
    Of an affine function the mixtures are right:

    >>> X = np.random.default_rng(0).standard_normal((30, 2, 3))
    >>> (parity,) = learn_parities(Draws(X, 2 * X + 1, 0.0, 0.0), 1, np.random.default_rng(1))
    >>> bool(np.allclose(parity(X[0].mean(axis=0)), 2 * X[0].mean(axis=0) + 1, rtol=0, atol=1e-5))
    True
    """
    K, shape = draws.inputs.shape[1], draws.values.shape[2:]
    X = draws.inputs.reshape(draws.inputs.shape[0] * K, -1)
    Y = draws.values.reshape(len(X), -1)
    picked = rng.integers(len(X), size=(MIXTURES, K))
    shift, scale = float(X.mean()), float(X.std()) or 1.0
    directions = rng.standard_normal((X.shape[1] + 1, FEATURES)) / np.sqrt(X.shape[1] + 1)
    found = []
    for weights in parity_weights(K, count):
        mixtures, wanted = np.tensordot(X[picked], weights, (1, 0)), np.tensordot(Y[picked], weights, (1, 0))
        Z = features(mixtures, directions, shift, scale)
        found.append(Regression(directions, ridge(Z, wanted), shift, scale, shape))
    return found


def ridge(Z: Floats, Y: Floats) -> Floats:
    """Weights of the ridge regression of Y on Z whose ridge does best on the last quarter, (columns, outputs)."""
    cut = 3 * len(Z) // 4
    gram, cross = Z[:cut].T @ Z[:cut], Z[:cut].T @ Y[:cut]
    values, vectors = np.linalg.eigh(gram)
    values, turned, held = np.maximum(values, 0.0), vectors.T @ cross, Z[cut:] @ vectors
    size = values.mean()
    losses = [np.sum((held @ (turned / (values + size * r)[:, None]) - Y[cut:]) ** 2) for r in RIDGES]
    best = RIDGES[int(np.argmin(losses))]
    weights: Floats = vectors @ (turned / (values + size * best)[:, None])
    return weights
