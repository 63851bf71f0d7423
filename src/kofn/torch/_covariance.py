"""What a master expects of the block products of one layer: their covariance, averaged over the last steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..codes._prior import Prior
from ..schemes.products._scheme import SKETCH_DIAGONAL
from ._partition import Product

WIDTH = 8
"""Width of the random sketch on either side: few numbers a step, averaged over many steps."""

FORGETTING = 1.0 / 32.0
"""Weight of a step in the average once there are more steps than 32."""


@dataclass(eq=False)
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

    Attributes
    ----------
    steps : int
        Products it has looked at.
    importance : (N, P) or (M,) array
        Running mean of how important block products are by weight: what classes are made by.
    """

    seed: int
    rule: str | None
    steps: int = field(default=0, init=False)
    importance: Any = field(default=0.0, init=False)
    _mean: Tensor | None = field(default=None, init=False)
    _random: torch.Generator | None = field(default=None, init=False)

    def look(self, product: Product) -> None:
        """Sketch a product and take note; no factor may be zero."""
        # Not in units of the sketch's own energy: a ratio of two random numbers would be biased.
        z = product.sketch(*self._sketches(product)).double() / (norm(product.a) * norm(product.b))
        gram = z @ z.T
        self.steps += 1
        weight = max(1.0 / self.steps, FORGETTING)
        if self.rule is not None:
            newest = product.importance(self.rule)
            self.importance += weight * (newest / newest.sum() - self.importance)
        self._mean = gram if self._mean is None else torch.lerp(self._mean, gram, weight)

    def prior(self) -> Prior:
        """The prior of the unknowns, of unit energy in all; equal energies as long as all was zero."""
        assert self._mean is not None
        mean = self._mean.cpu().numpy()
        energies = mean.diagonal().copy()
        if not energies.sum() > 0:
            return Prior.independent(energies + 1.0)
        mean.flat[:: len(mean) + 1] += SKETCH_DIAGONAL * (energies + 1e-6 * energies.sum())
        return Prior.correlated((mean + mean.T) / (2 * mean.trace()))

    def _sketches(self, product: Product) -> tuple[Tensor, Tensor]:
        rows, columns = product.sketch_shape
        device, dtype = product.a.device, product.a.dtype
        if self._random is None or self._random.device != device:
            self._random = torch.Generator(device).manual_seed(self.seed)
        left = torch.randn((WIDTH, rows), generator=self._random, device=device, dtype=dtype)
        right = torch.randn((columns, WIDTH), generator=self._random, device=device, dtype=dtype)
        return left, right


def norm(matrix: Tensor) -> Tensor:
    """Frobenius norm in double precision, also where squares leave the range of the matrix's own."""
    largest = matrix.abs().amax()
    return largest.double() * (matrix / largest).square().sum().sqrt().double()
