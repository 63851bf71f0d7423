"""What the master computes of its inputs: Agrawal et al., eqs. (1), (2), here with linear Γ_g and a fixed V_0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from ..._base._numbers import Floats


class Encoder(Protocol):
    """The functions Γ_0 … Γ_G and Λ_0 of the inputs.

    A package of one's own names the class of another kind by an entry point of the group ``kofn.encoders``, under its
    `kind`, so that `load_code` finds it.
    """

    kind: ClassVar[str]
    """Its name in files."""

    @property
    def degree(self) -> int:
        """G."""

    def __call__(self, inputs: Floats) -> tuple[Floats, Floats]:
        """U_0 … U_G, (…, G + 1, M, M), and V_0 Vec(I), (…, V) or (V,), for (…, K, M, M)."""

    def multiplications(self, size: int) -> int:
        """How many the master needs for one 𝒳 of M × M matrices."""

    def parts(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """What a JSON file says of it, and arrays by name, to be kept."""

    @classmethod
    def from_parts(cls, header: dict[str, Any], tensors: dict[str, Floats], nodes: Any) -> Self:
        """The same again, from its `parts` and the `Nodes` of its code."""


def powers(points: Floats, degree: int) -> Floats:
    """1, α, …, α^G, (points, G + 1).

    Examples
    --------
    >>> powers(np.array([2.0]), 3)
    array([[1., 2., 4., 8.]])
    """
    return np.vander(points, degree + 1, increasing=True)


def encode(coefficients: Any, basis: Any) -> Any:
    """X̃_n = e(α_n) = Σ_g U_g α_n^g, (…, N, M, M), of NumPy arrays or PyTorch tensors: Agrawal et al., eqs. (1) and (2).

    Parameters
    ----------
    coefficients : (…, G + 1, M, M) array
        U.
    basis : (N, G + 1) array
        `powers` of the α_n.

    Examples
    --------
    >>> U = np.stack([np.eye(2), 2 * np.eye(2)])
    >>> encode(U, powers(np.array([0.0, 0.5]), 1))[1]
    array([[2., 0.],
           [0., 2.]])
    """
    *lead, count, rows, columns = coefficients.shape
    return (basis @ coefficients.reshape(*lead, count, rows * columns)).reshape(*lead, len(basis), rows, columns)


@dataclass(frozen=True, eq=False)
class Linear:
    """U_g = Σ_k C_gk X_k: the polynomial of degree G nearest to (β_k, X_k); V_0 is the same for all inputs.

    With G = K − 1 that is Lagrange's polynomial, and e(β_k) = X_k. With less it is the least-squares fit: what the
    inputs have in common is kept, and K − 1 − G of their K − 1 differences are lost.

    Parameters
    ----------
    betas : (K,) array
    degree : int
        G, below K.
    constant : (V,) array
        V_0 Vec(I).

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((3, 2, 2))
    >>> betas = np.array([-1.0, 0.0, 1.0])
    >>> bool(np.allclose(encode(Linear(betas, 2, np.zeros(1))(X)[0], powers(betas, 2)), X))
    True
    """

    betas: Floats
    degree: int
    constant: Floats

    kind: ClassVar[str] = "linear"

    @property
    def weights(self) -> Floats:
        """C, (G + 1, K)."""
        return np.linalg.pinv(powers(self.betas, self.degree))

    def __call__(self, inputs: Floats) -> tuple[Floats, Floats]:
        """U and V_0 Vec(I) of inputs (…, K, M, M)."""
        return encode(inputs, self.weights), self.constant

    def multiplications(self, size: int) -> int:
        """K (G + 1) M²."""
        return int(self.weights.size) * size**2

    def parts(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """G, and V_0 Vec(I)."""
        return {"degree": self.degree}, {"constant": self.constant}

    @classmethod
    def from_parts(cls, header: dict[str, Any], tensors: dict[str, Floats], nodes: Any) -> Self:
        """The same again, at the β of some nodes."""
        return cls(nodes.betas, header["degree"], tensors["constant"])
