"""Linear regression from sums over samples that add up, batch by batch, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of products of columns over samples, for each of V outputs by itself.

    Columns are the constant 1, the features, and last the output. They are shifted and scaled as the first batch
    says, because sums of squares of numbers with a large mean lose the digits that matter.

    Parameters
    ----------
    sums : (V, columns, columns) array
    count : int
    """

    sums: Floats
    count: int

    @classmethod
    def of(cls, columns: Sequence[Floats], outputs: int) -> Moments:
        """Moments of one batch of (samples, V) or (samples, 1) columns."""
        samples = len(columns[0])
        stack = np.empty((outputs, samples, len(columns)))
        for number, column in enumerate(columns):
            stack[:, :, number] = np.broadcast_to(column, (samples, outputs)).T
        return cls(stack.swapaxes(1, 2) @ stack, samples)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.sums + other.sums, self.count + other.count)

    @property
    def energy(self) -> float:
        """Σ y² over samples and outputs."""
        return float(np.sum(self.sums[:, -1, -1]))

    def fit(self, own: Sequence[int], shared: Sequence[int]) -> Floats:
        """Coefficients of least squares, (V, columns), with −1 for the output.

        Parameters
        ----------
        own : sequence of int
            Columns with a coefficient for each output.
        shared : sequence of int
            Columns with one coefficient for all outputs.

        Examples
        --------
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> moments = Moments.of([np.ones((3, 1)), x, 2 * x + 1], outputs=1)
        >>> moments.fit([0, 1], []).round(12)
        array([[ 1.,  2., -1.]])
        """
        coefficients = np.zeros(self.sums.shape[:2])
        coefficients[:, -1] = -1.0
        wanted = [*shared, self.sums.shape[1] - 1]
        inner = self.sums[np.ix_(range(len(self.sums)), own, own)]
        # What each output's own columns explain of the shared ones and of the output (Frisch, Waugh and Lovell).
        explained = _solve(inner, self.sums[np.ix_(range(len(self.sums)), own, wanted)])
        if shared:
            rest = self.sums[np.ix_(range(len(self.sums)), wanted, wanted)].sum(0)
            rest -= np.einsum("vos,vot->st", self.sums[np.ix_(range(len(self.sums)), own, wanted)], explained)
            coefficients[:, list(shared)] = _solve(rest[None, :-1, :-1], rest[None, :-1, -1:])[0, :, 0]
        taken = np.einsum("vos,vs->vo", explained[:, :, :-1], coefficients[:, list(shared)])
        coefficients[:, list(own)] = explained[:, :, -1] - taken
        return coefficients

    def loss(self, coefficients: Floats) -> float:
        """Σ (y − ŷ)² over these samples, which may be others than those that the coefficients were fitted to."""
        return float(np.einsum("vc,vcd,vd->", coefficients, self.sums, coefficients, optimize=True))


def _solve(matrices: Floats, right: Floats) -> Floats:
    """Least-norm solutions of symmetric positive semidefinite systems, scaled to a unit diagonal first."""
    size = np.sqrt(np.clip(np.diagonal(matrices, axis1=-2, axis2=-1), 0.0, None))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    inverse = np.linalg.pinv(matrices * scale[..., :, None] * scale[..., None, :], rcond=1e-13, hermitian=True)
    solved: Floats = scale[..., :, None] * (inverse @ (scale[..., :, None] * right))
    return solved
