"""How large coefficients are and which directions they follow: what makes early results carry most of a product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ...codes._prior import Prior

FLOOR = 1.0 / 32.0
"""Smallest coefficient size relative to the largest: bounds what shaping adds to the amplification by 32²."""

SINGLE_FLOOR = 1.0 / 8.0
"""The same for single precision, whose exact answers admit an amplification of 2900 at most."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Principal directions of the blocks of A and of B, and the energy of each.

    The prior S of the products C_np is summed over p for the blocks of A and over n for those of B; the
    eigenvectors of both sums are the directions. Their Kronecker products are what α ⊗ β can follow of the
    eigenvectors of S: all of them where S is a Kronecker product itself. A change of basis leaves what is
    decodable as it is.

    Parameters
    ----------
    first, second : (N, N) and (P, P) arrays
        Orthogonal; columns are directions, the most energetic first.
    first_energies, second_energies : (N,) and (P,) arrays

    Examples
    --------
    >>> found = Directions.of_prior(Prior.independent([1.0, 9.0, 4.0, 36.0]), 2, 2)
    >>> found.first_energies, found.second_energies
    (array([40., 10.]), array([45.,  5.]))
    """

    first: Floats
    second: Floats
    first_energies: Floats
    second_energies: Floats

    @classmethod
    def of_prior(cls, prior: Prior, n: int, p: int, *, correlations: bool = True) -> Directions:
        """Directions of N·P products, p running fastest; without ``correlations`` of their energies alone."""
        factor = np.diag(np.sqrt(prior.energies)) if prior.factor.ndim == 1 or not correlations else prior.factor
        table = factor.reshape(n, p, -1)
        first, first_energies = _principal(np.einsum("npr,mpr->nm", table, table, optimize=True))
        second, second_energies = _principal(np.einsum("npr,nqr->pq", table, table, optimize=True))
        return cls(first, second, first_energies, second_energies)

    def shape(self, power: float, floor: float) -> tuple[Floats, Floats]:
        """Matrices, (N, N) and (P, P), that α and β are multiplied by so that their coordinates follow the directions.

        Examples
        --------
        >>> found = Directions.of_prior(Prior.independent([1.0, 9.0, 4.0, 36.0]), 2, 2)
        >>> found.shape(power=1.0, floor=0.0)[0].round(2)
        array([[0. , 1. ],
               [0.5, 0. ]])
        """
        first = sizes_of(self.first_energies, power, floor)[:, None] * self.first.T
        second = sizes_of(self.second_energies, power, floor)[:, None] * self.second.T
        return first, second


def shape_of(norms: Floats, floor: float = FLOOR, both: float = 0.0) -> Floats:
    """Sizes of the coefficients: the blocks' norms, at most 1 and at least ``floor``.

    Small coefficients of small blocks amplify rounding twice; relative to the largest, their product is at least
    ``both`` where that needs no more than four times the floor.

    Examples
    --------
    >>> shape_of(np.array([10.0, 1.0, 0.0]))
    array([1.     , 0.1    , 0.03125])
    >>> shape_of(np.array([16.0, 1.0]), floor=1 / 32, both=1 / 128)
    array([1.   , 0.125])
    """
    largest = norms.max(initial=0.0)
    if not largest > 0:
        return np.ones_like(norms)
    ratios = norms / largest
    least = np.minimum(4 * floor, np.divide(both, ratios, out=np.zeros_like(ratios), where=ratios > 0))
    shape: Floats = np.clip(ratios, np.maximum(floor, least), 1.0)
    return shape


def sizes_of(energies: Floats, power: float, floor: float) -> Floats:
    """Sizes of coefficients: (energy / largest energy)^(power/2), at least ``floor``.

    Power 1 makes coefficients proportional to norms, 0 makes them equal; a larger one takes early results closer
    to the most important blocks and amplifies rounding more.

    Examples
    --------
    >>> sizes_of(np.array([100.0, 1.0, 0.0]), power=1.0, floor=0.01)
    array([1.  , 0.1 , 0.01])
    """
    largest = energies.max(initial=0.0)
    shares = np.clip(energies / largest, 0.0, 1.0) if largest > 0 else np.ones_like(energies)
    return np.maximum(shares ** (power / 2), floor)


def _principal(gram: Floats) -> tuple[Floats, Floats]:
    if np.array_equal(gram, np.diag(np.diag(gram))):  # no rounding where nothing is correlated
        order = np.argsort(-np.diag(gram), kind="stable")
        return np.eye(len(gram))[:, order], np.diag(gram)[order]
    energies, vectors = np.linalg.eigh(gram)
    return vectors[:, ::-1], np.clip(energies[::-1], 0.0, None)
