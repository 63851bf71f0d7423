"""What a master expects of the block products of one layer: their covariance, averaged over the last steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._base._numbers import Floats
from ..codes._prior import Prior
from ..schemes.products._scheme import SKETCH_DIAGONAL
from ._partition import ColumnRow, RowColumn

WIDTH = 8
"""Width of the random sketch on either side: few numbers a step, averaged over many steps."""

FORGETTING = 1.0 / 32.0
"""Weight of a step in the average once there are more steps than 32."""


class RunningCovariance:
    """Running covariance S of the unknowns, up to a factor, from two-sided sketches (Ψ A_i)(B_j Ω).

    A sketch is unbiased whatever the data (`kofn.schemes.products.sketched_prior`); it costs 2·8 of 2·H flops a
    number of A and B, and blocks are sorted by weight first, so that unknown j means the same in every step.

    Parameters
    ----------
    seed : int
        Of the sketches.
    rule : str or None
        What lines are weighed by, a name in `kofn.schemes.products.WEIGHTINGS`; None where nobody asks for importance.
    """

    def __init__(self, seed: int, rule: str | None) -> None:
        self._seed, self._rule = seed, rule
        self._importance: Any = 0.0
        self._random: torch.Generator | None = None
        self._mean: Tensor | None = None
        self._steps = 0

    @property
    def steps(self) -> int:
        """Products it has looked at."""
        return self._steps

    def look(self, product: RowColumn | ColumnRow) -> None:
        """Sketch a product and take note; no factor may be zero."""
        # Not in units of the sketch's own energy: a ratio of two random numbers would be biased.
        z = product.sketch(*self._sketches(product)).double() / (norm(product.first) * norm(product.second))
        gram = z @ z.T
        self._steps += 1
        weight = max(1.0 / self._steps, FORGETTING)
        if self._rule is not None:
            newest = product.importance(self._rule)
            self._importance += weight * (newest / newest.sum() - self._importance)
        if self._mean is None:
            self._mean = gram
        else:
            self._mean = torch.lerp(self._mean, gram, weight)

    @property
    def importance(self) -> Floats:
        """Running mean of how important block products are by weight, (N, P) or (M,): what classes are made by."""
        importance: Floats = self._importance
        return importance

    def prior(self) -> Prior:
        """The prior of the unknowns, of unit energy in all; equal energies as long as all was zero."""
        assert self._mean is not None
        mean = self._mean.cpu().numpy()
        energies = mean.diagonal().copy()
        if not energies.sum() > 0:
            return Prior.independent(energies + 1.0)
        mean.flat[:: len(mean) + 1] += SKETCH_DIAGONAL * (energies + 1e-6 * energies.sum())
        return Prior.correlated((mean + mean.T) / (2 * mean.trace()))

    def _sketches(self, product: RowColumn | ColumnRow) -> tuple[Tensor, Tensor]:
        rows, columns = product.sketch_shape
        device, dtype = product.first.device, product.first.dtype
        if self._random is None or self._random.device != device:
            self._random = torch.Generator(device).manual_seed(self._seed)
        left = torch.randn((WIDTH, rows), generator=self._random, device=device, dtype=dtype)
        right = torch.randn((columns, WIDTH), generator=self._random, device=device, dtype=dtype)
        return left, right


def norm(matrix: Tensor) -> Tensor:
    """Frobenius norm in double precision, also where squares leave the range of the matrix's own."""
    largest = matrix.abs().amax()
    return largest.double() * (matrix / largest).square().sum().sqrt().double()
