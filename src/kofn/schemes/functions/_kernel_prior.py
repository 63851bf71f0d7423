"""What is expected of f along a curve through the inputs, before anything of f is known but what kind it is.

f is taken to be drawn from a family whose values have inner products k(x, x′); then those of v = f∘e are
k(e(z), e(z′)). How large they are is learned from the results that arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..._base._numbers import Array, Floats
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._learning import in_double, sketched, unit_size
from ._model import PriorModel


@dataclass(frozen=True, eq=False)
class ScaledPrior(PriorModel):
    """A prior up to one number, which results tell: it makes the expected energy theirs.

    Parameters
    ----------
    code : LinearCode
    prior : Prior

    Examples
    --------
    >>> code = LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])
    >>> model = ScaledPrior(code, Prior.independent([1.0, 3.0]))
    >>> model.prior_of_results({1: np.array([3.0, 4.0])}).energies.round(9).tolist()
    [8.333333333, 25.0]
    """

    code: LinearCode
    prior: Prior

    def first_prior(self) -> Prior:
        """As it is."""
        return self.prior

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """The prior times the number."""
        rows = list(results)
        expected = float(np.sum(self.prior.weigh(self.code.generator[rows]) ** 2, axis=1).sum())
        scale = np.sqrt(float(np.sum(sketched(results.values()) ** 2)) / expected) if expected > 0 else 0.0
        return replace(self.prior, factor=self.prior.factor * (scale or 1.0))  # zeros say nothing of the scale


def polynomial_covariance(rows: Floats, X: Array, degree: int) -> Floats:
    """Inner products of the values of a random polynomial at the mixtures ``rows @ X``, (points, points).

    k(x, x′) = (1 + ⟨x, x′⟩ / s)^degree, with s the mean energy of the inputs: every polynomial of that degree, those
    invariant under rotations (Kostlan's ensemble, with all lower degrees).

    Parameters
    ----------
    rows : (points, K) array
    X : (K, …) array
    degree : int

    Examples
    --------
    >>> polynomial_covariance(np.eye(2), np.array([1.0, -1.0]), 2)
    array([[4., 0.],
           [0., 4.]])
    """
    flat, _ = unit_size(in_double(X.reshape(len(X), -1)))
    gram = (flat @ flat.conj().T).real
    size = np.trace(gram) / len(gram)
    covariance: Floats = (1.0 + rows @ gram @ rows.T / (size if size > 0 else 1.0)) ** degree
    return covariance
