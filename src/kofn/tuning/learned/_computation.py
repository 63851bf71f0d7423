"""What the workers compute: Agrawal et al. 2022, eq. (3), with V_p as dense or as structured as it need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._features import FEATURES, Powers


@dataclass(frozen=True, eq=False)
class Term:
    """One part of V_p Vec(X̃^p): a feature of X̃^p, weighed.

    Parameters
    ----------
    power : int
        p, from 1.
    feature : str
        A name in `kofn.tuning.learned.FEATURES`; ``"entries"`` is Vec itself, row by row.
    weight : () or (V,) or (V, width) array
        A matrix is multiplied with the feature: with ``"entries"`` it is V_p itself. A number or a vector weighs the
        feature element by element, as V_p = c·I, diag(c) or c·φᵀ would: V_p of M⁴ entries is never formed.
    """

    power: int
    feature: str
    weight: Any

    def of(self, powers: Powers) -> Any:
        """Its value, (…, V), or (…, 1) where a number weighs one number."""
        value = FEATURES[self.feature](powers, self.power)
        return value @ self.weight.T if self.weight.ndim == 2 else self.weight * value


@dataclass(frozen=True, eq=False)
class Computation:
    """h(X̃) = V_0 Vec(I) + Σ_p V_p Vec(X̃^p), Agrawal et al. 2022, eq. (3), with NumPy or with PyTorch.

    Parameters
    ----------
    constant : (…, V) array
        V_0 Vec(I): all that h has of the inputs 𝒳, and what the master sends to the workers.
    terms : sequence of Term

    Examples
    --------
    >>> import numpy as np
    >>> h = Computation(np.array([1.0]), [Term(2, "trace", np.array([0.5]))])
    >>> h(2 * np.eye(3)), h.degree
    (array([7.]), 2)
    """

    constant: Any
    terms: Sequence[Term]

    def __call__(self, matrix: Any) -> Any:
        """h(X̃), (…, V), for (…, M, M)."""
        powers = Powers(matrix)
        nothing = 0 * matrix[..., 0, :1]  # the shape of a value, even without terms
        return sum((term.of(powers) for term in self.terms), start=self.constant + nothing)

    @property
    def degree(self) -> int:
        """P, the degree of h as a polynomial of X̃."""
        return max((term.power for term in self.terms), default=0)
