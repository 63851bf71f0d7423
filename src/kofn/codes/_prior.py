"""What is expected of the unknowns before anything arrives: their energies, or their full covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._base._numbers import MODERATE, Floats
from .._base._travel import Remade
from ..checks import as_array
from ..errors import CodeError


@dataclass(frozen=True, eq=False)
class Prior(Remade):
    """S = F Fᵀ + n nᵀ, the expected inner products E⟨u_i, u_j⟩ of the unknown results.

    F says how unknowns vary. n is something that they have in common, such as a mean: estimates assume nothing of
    its size (they are unbiased in that direction as soon as a row has seen it), and only the energy that errors are
    relative to depends on it.

    Errors are relative, so that S matters up to a factor alone: where squares of its parts would leave the range of
    numbers, they are brought to unit size.

    Make one with `independent`, `correlated` or `from_samples`.

    Parameters
    ----------
    factor : (unknowns,) or (unknowns, r) array
        F; a vector stands for a diagonal matrix and is never expanded.
    common : (unknowns,) array, optional
        n; none by default.
    known : (unknowns, r) array, optional
        K with K Kᵀ the inner products of the unknowns' means, where these are known: a scheme takes them out of the
        results before they are decoded, so that S speaks of deviations. Only the energy that errors are relative to
        depends on it.
    share : float
        Share of the energy of S and of what is known that errors are relative to: below 1 where S allows for much more
        than there is, as that of a very smooth process does.

    Examples
    --------
    >>> Prior.independent([4.0, 1.0]).energies
    array([4., 1.])
    """

    factor: Floats
    common: Floats | None = None
    known: Floats | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        factor = _real("a prior's factor", self.factor)
        parts = {"factor": factor}
        if factor.ndim not in (1, 2) or not np.isfinite(factor).all():
            raise CodeError(f"a prior's factor must be a finite vector or matrix, got shape {factor.shape}.")
        if self.common is not None:
            parts["common"] = common = _real("what unknowns have in common", self.common)
            if common.shape != factor.shape[:1] or not np.isfinite(common).all():
                raise CodeError(f"what unknowns have in common must be a finite vector, got shape {common.shape}.")
        if self.known is not None:
            parts["known"] = known = _real("what is known of the unknowns", self.known)
            if known.ndim != 2 or len(known) != len(factor) or not np.isfinite(known).all():
                raise CodeError(f"what is known of the unknowns must be a finite matrix, got shape {known.shape}.")
        for name, part in zip(parts, _moderate(*parts.values()), strict=True):
            part.setflags(write=False)
            object.__setattr__(self, name, part)

    @classmethod
    def independent(cls, energies: ArrayLike) -> Prior:
        """Unknowns without correlation, of the given energies E‖u_j‖², (unknowns,)."""
        energies = _real("energies", energies)
        if energies.ndim != 1 or not np.all(energies >= 0):
            got = f"shape {energies.shape}" if energies.ndim != 1 else f"{energies[~(energies >= 0)][0]}"
            raise CodeError(f"energies must be a vector of numbers >= 0, got {got}.")
        return cls(np.sqrt(energies))

    @classmethod
    def correlated(cls, covariance: ArrayLike) -> Prior:
        """Unknowns with covariance S, (unknowns, unknowns), symmetric and positive semidefinite.

        Examples
        --------
        >>> Prior.correlated([[2.0, 1.0], [1.0, 2.0]]).energies.round(12)
        array([2., 2.])
        """
        matrix = _real("a covariance", covariance)
        if matrix.ndim != 2 or matrix.shape != matrix.T.shape or not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0):
            raise CodeError(f"a covariance must be a symmetric matrix, got shape {matrix.shape}.")
        values, vectors = np.linalg.eigh(matrix)
        if values.size and values[0] < -1e-10 * max(values[-1], 0.0):
            raise CodeError(f"a covariance must be positive semidefinite, got the eigenvalue {values[0]:g}.")
        return cls(vectors * np.sqrt(np.clip(values, 0.0, None)))

    @classmethod
    def from_samples(cls, samples: Floats, diagonal: float = 0.0, targets: Floats | None = None) -> Prior:
        """Covariance of sampled unknowns, plus noise: what the samples cannot tell.

        Parameters
        ----------
        samples : (unknowns, samples) array
            Columns are draws; their mean outer product is S.
        diagonal : float
            Share of the energies added to the diagonal.
        targets : (targets, unknowns) array, optional
            T, what is wanted of the unknowns; each of them by default. The noise adds the same share of the energy of
            each target, however much smaller than the unknowns it is: they may all but cancel in a sum.

        Examples
        --------
        >>> Prior.from_samples(np.array([[1.0, -1.0], [2.0, 2.0]])).energies.round(12)
        array([1., 4.])
        >>> samples, total = np.array([[1.0], [-0.9]]), np.ones((1, 2))
        >>> [float(Prior.from_samples(samples, 0.1, T).energy(total).round(4)) for T in (None, total)]
        [0.191, 0.011]
        """
        samples = _real("samples of unknowns", samples)
        if samples.ndim != 2 or not samples.shape[1]:
            raise CodeError(f"samples of unknowns must be a matrix with a column for each, got shape {samples.shape}.")
        (scaled,) = _moderate(samples / np.sqrt(samples.shape[1]))
        noise = np.sqrt(diagonal) * _noise(scaled, targets)
        # A triangle with the same F Fᵀ: many samples cost once, not at every estimate.
        triangle: Floats = np.linalg.qr(np.hstack([scaled, noise]).T, mode="r")  # type: ignore[assignment]
        return cls(triangle.T)

    @property
    def unknowns(self) -> int:
        """Number of unknowns it speaks of."""
        return len(self.factor)

    @property
    def energies(self) -> Floats:
        """Energies of F alone, (unknowns,): E‖u_j‖² but for what unknowns have in common."""
        squares = self.factor**2
        return squares if squares.ndim == 1 else squares.sum(axis=1)

    @property
    def squares(self) -> Floats:
        """E‖u_j‖², (unknowns,), with all that unknowns have in common and what is known of them."""
        common = 0.0 if self.common is None else self.common**2
        known = 0.0 if self.known is None else np.sum(self.known**2, axis=1)
        return self.share * (self.energies + common + known)

    def weigh(self, matrix: Floats) -> Floats:
        """``matrix @ F`` for a (…, unknowns) array."""
        return matrix * self.factor if self.factor.ndim == 1 else matrix @ self.factor

    def energy(self, matrix: Floats) -> Floats:
        """Expected energy of all of ``matrix @ u``, (…), for a (…, combinations, unknowns) array: tr M S Mᵀ.

        Examples
        --------
        >>> float(Prior(np.ones(3), common=np.full(3, 2.0)).energy(np.ones((1, 3))))
        39.0
        """
        energy = self.loss(matrix)
        if self.known is not None:
            energy = energy + np.sum((matrix @ self.known) ** 2, axis=(-2, -1))
        return self.share * energy

    def loss(self, matrix: Floats) -> Floats:
        """The same of ``matrix @ (u − E u)``, where E u is what is known: that of errors, with matrix = T − V G."""
        loss: Floats = np.sum(self.weigh(matrix) ** 2, axis=(-2, -1))
        return loss if self.common is None else loss + np.sum((matrix @ self.common) ** 2, axis=-1)

    def transformed(self, matrix: Floats) -> Prior:
        """Prior of ``matrix @ u``, for a (new unknowns, unknowns) array."""
        factor = matrix * self.factor if self.factor.ndim == 1 else matrix @ self.factor
        common = None if self.common is None else matrix @ self.common
        return Prior(factor, common, None if self.known is None else matrix @ self.known, self.share)


def _real(what: str, values: ArrayLike) -> Floats:
    """A copy as float64; of complex numbers the imaginary part would be lost."""
    try:
        given, masked = as_array(values)
        if masked:
            raise TypeError("masked numbers")
        if given.dtype.kind == "c":
            raise TypeError("complex numbers")
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CodeError(f"{what} must be real numbers, got {error}.") from None


def _moderate(*parts: Floats) -> list[Floats]:
    """The same arrays, divided by one power of two if squares of theirs would overflow, or all underflow."""
    _, exponent = np.frexp(max(np.abs(part).max(initial=0.0) for part in parts))
    return list(parts) if abs(exponent) <= MODERATE else [np.ldexp(part, -exponent) for part in parts]


def _noise(samples: Floats, targets: Floats | None) -> Floats:
    """A factor of noise of the energies of the unknowns, given that in each target it has the energy of the target.

    With D the energies of the unknowns and K = D Tᵀ (T D Tᵀ)⁺ it is (I − K T) D^½ beside K times the targets' sizes:
    independent noise of energies D, from which its part T is taken out and replaced.
    """
    sizes = np.linalg.norm(samples, axis=1)
    if targets is None:
        return np.diag(sizes)
    back = np.linalg.pinv(targets * sizes)  # D^½ Tᵀ (T D Tᵀ)⁺
    rest = np.eye(len(sizes)) - back @ (targets * sizes)
    noise: Floats = sizes[:, None] * np.hstack([rest, back * np.linalg.norm(targets @ samples, axis=1)])
    return noise
