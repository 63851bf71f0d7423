"""What is expected of any function at mixtures of known inputs: a Gaussian process over f, learned from results.

f(x) = μ + g(x) with a mean of which nothing is assumed, and E⟨g(x), g(x′)⟩ = s exp(−‖x − x′‖² / 2ℓ²). The master knows
all the mixtures, so it knows how far apart they are; s and ℓ are those that make the results that arrived most likely.
The best linear estimate under that model is what geostatistics calls kriging.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..algebra import Floats
from ..code import LinearCode
from ..learning import sketched, unit_size, with_unseen
from ..prior import Prior
from .function_scheme import Array

LENGTHS = 2.0 ** np.arange(-3, 10)
"""ℓ² that are tried, in units of the inputs' mean squared distance from their mean."""

NUGGET = 1e-10
"""Share of s that a value has for itself, so that near mixtures do not make equations singular."""

TIE = 1e-3
"""Lengths whose logarithms of the likelihood differ by less are as likely."""


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """Covariances of f at the places that a code's unknowns are values at.

    Parameters
    ----------
    places : (rows,) int array
        Which unknown each row of the code returns.
    covariances : (lengths, unknowns, unknowns) array
        For every ℓ² that is tried, with s = 1.
    """

    places: Array
    covariances: Floats

    @classmethod
    def along(cls, code: LinearCode, weights: Floats, X: Array) -> GaussianProcess:
        """For values at mixtures ``weights @ X`` of the inputs.

        Parameters
        ----------
        code : LinearCode
            Each of whose rows picks one unknown.
        weights : (unknowns, K) array
        X : (K, …) array

        Examples
        --------
        >>> code = LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])
        >>> process = GaussianProcess.along(code, np.eye(2), np.array([1.0, -1.0]))
        >>> process.covariances[LENGTHS == 2.0].round(4).tolist()
        [[[1.0, 0.3679], [0.3679, 1.0]]]
        """
        flat, _ = unit_size(X.reshape(len(X), -1))
        centred = flat - flat.mean(axis=0)
        gram = (centred @ centred.conj().T).real.astype(np.float64)
        inner = weights @ gram @ weights.T + _affine_rest(weights, flat)
        energy = np.diag(inner)
        spread = np.trace(gram) / len(gram)
        distance = np.maximum(energy[:, None] + energy - 2 * inner, 0.0) / (spread if spread > 0 else 1.0)
        return cls(np.argmax(code.generator, axis=1), np.exp(-distance / (2 * LENGTHS[:, None, None])))

    def unlearned(self) -> Prior:
        """Before anything has arrived: the middle length, a mean as large as the deviations."""
        return self._prior(self.covariances[len(LENGTHS) // 2], 1.0, 1.0)

    def learned(self, results: Mapping[int, Any]) -> Prior:
        """From the results that arrived, by row.

        Examples
        --------
        >>> code = LinearCode("three", np.eye(3), np.eye(3), worker=[0, 1, 2])
        >>> process = GaussianProcess.along(code, np.eye(3), np.array([0.0, 1.0, 2.0]))
        >>> prior = process.learned({0: np.array(5.0), 2: np.array(7.0)})
        >>> round(float(prior.common[0]), 6)
        6.0
        """
        rows = self.places[list(results)]
        values = sketched(results.values())
        energy, variance = (float(np.mean(np.sum(part**2, axis=1))) for part in (values, values - values.mean(axis=0)))
        fits = [restricted_fit(covariance[np.ix_(rows, rows)], values) for covariance in self.covariances]
        likelihoods = np.array([likelihood for likelihood, _, _ in fits])
        # One or two results are as likely with every length, and equal ones likeliest for the smoothest of processes:
        # no evidence of smoothness, so that the shortest is taken.
        likely = (likelihoods >= likelihoods.max() - TIE) | (variance <= 1e-24 * energy)
        best = int(np.argmax(likely))
        _, scale, level = fits[best]
        scale = with_unseen(scale, level, len(rows))
        # The smoother a process, the more it allows for: errors are relative to what arrived.
        return self._prior(self.covariances[best], scale, level, energy / (scale + level) if energy else 1.0)

    def _prior(self, covariance: Floats, scale: float, level: float, share: float = 1.0) -> Prior:
        size = len(covariance)
        factor = Prior.correlated(scale * (covariance + NUGGET * np.eye(size))).factor
        return Prior(factor, common=np.full(size, np.sqrt(level)), share=share)


def _affine_rest(weights: Floats, flat: Array) -> Floats:
    """What centring the inputs leaves out where weights do not sum to one: such a mixture is far from all inputs."""
    mean = flat.mean(axis=0)
    centred = flat - mean
    off = weights.sum(axis=1) - 1
    cross = (centred.conj() @ mean).real
    shifted = np.outer(weights @ cross, off)
    rest: Floats = shifted + shifted.T + np.outer(off, off) * float(np.vdot(mean, mean).real)
    return rest


def restricted_fit(covariance: Floats, values: Floats) -> tuple[float, float, float]:
    """Restricted likelihood of values with that covariance around an unknown mean, its best scale, ‖mean‖².

    Parameters
    ----------
    covariance : (n, n) array
    values : (n, numbers) array

    Returns
    -------
    likelihood : float
        Its logarithm a number, up to a constant.
    scale : float
        The s that makes it largest, over all numbers.
    level : float

    Examples
    --------
    >>> [round(number, 6) for number in restricted_fit(np.eye(2), np.array([[1.0], [3.0]]))[1:]]
    [2.0, 4.0]
    """
    count = len(values)
    factor = np.linalg.cholesky(covariance + NUGGET * np.eye(count))
    one, white = np.linalg.solve(factor, np.ones(count)), np.linalg.solve(factor, values)
    known = float(one @ one)
    mean = one @ white / known
    rest = float(np.sum((white - np.outer(one, mean)) ** 2))
    freedom = max(1, count - 1)
    volume = 2 * float(np.log(np.diag(factor)).sum()) + np.log(known)
    return -freedom * np.log(max(rest, 1e-300)) - volume, rest / freedom, float(mean @ mean)
