"""Sparsification by thresholds, with a schedule (Tegin et al. 2022, Sec. VII-B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checks import integer, number

Schedule = Callable[[int, int], tuple[float, float]]
"""(layer, step) → τ of eq. (28) for gradients, and for weights and inputs; layers from 0, steps from 1."""


def sparsify(matrix: Tensor, tau: float) -> Tensor:
    """R(x) of eq. (28): x where |x| > τ, otherwise 0.

    Examples
    --------
    >>> sparsify(torch.tensor([0.5, -0.1]), 0.2).tolist()
    [0.5, 0.0]
    """
    return torch.where(matrix.abs() > tau, matrix, torch.zeros_like(matrix)) if tau > 0 else matrix


@dataclass(frozen=True)
class Threshold:
    """τ that grows with the depth of the layer and from epoch to epoch, as Sec. VII-B describes it.

    Parameters
    ----------
    gradient, other : float
        τ of the first coded layer in the first epoch: for gradients, and for weights and inputs. The defaults are
        those of Table II.
    per_layer, per_epoch : float
        What τ is multiplied by from layer to layer and from epoch to epoch; 1 keeps it.
    steps_per_epoch : int

    Examples
    --------
    >>> Threshold(per_layer=10.0, per_epoch=2.0, steps_per_epoch=100)(layer=1, step=101)
    (0.0002, 0.002)
    """

    gradient: float = 1e-5
    other: float = 1e-4
    per_layer: float = 1.0
    per_epoch: float = 1.0
    steps_per_epoch: int = 1

    def __post_init__(self) -> None:
        for name in ("gradient", "other", "per_layer", "per_epoch"):
            number("kofn.torch.Threshold", name, getattr(self, name), "use 0 for no threshold, 1 for no growth")
        integer("kofn.torch.Threshold", "steps_per_epoch", self.steps_per_epoch, 1, "count the mini-batches")

    def __call__(self, layer: int, step: int) -> tuple[float, float]:
        """τ for gradients, and for weights and inputs."""
        factor = self.per_layer**layer * self.per_epoch ** ((step - 1) // self.steps_per_epoch)
        return self.gradient * factor, self.other * factor
