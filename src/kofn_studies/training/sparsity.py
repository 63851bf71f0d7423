"""What the matrices of a training look like: Tegin et al. 2022, Sec. VII-B, eq. (28), Fig. 5 and Table II."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

import torch
from torch import nn

from .._types import Floats
from ..datasets import Dataset
from .sgd import SgdSchedule, train

TAU: Mapping[str, float] = {"gradients": 1e-5, "weights": 1e-4, "inputs": 1e-4}
"""τ of Sec. VII-B, below which an entry counts as zero."""


@dataclass(frozen=True)
class Gaussian:
    """N(mean, variance), or for inputs ReLU(N(mean, variance)).

    Parameters
    ----------
    mean, variance : float
    """

    mean: float
    variance: float

    def density(self, x: Floats) -> Floats:
        """Of the Gaussian at x, before any ReLU."""
        result: Floats = np.exp(-((x - self.mean) ** 2) / (2 * self.variance)) / np.sqrt(2 * np.pi * self.variance)
        return result


def snapshot(
    network: nn.Module, data: Dataset, course: SgdSchedule, seed: int, device: str = "cpu"
) -> Mapping[tuple[str, int], NDArray[np.float64]]:
    """Train without stragglers, then look at the matrices of one more mini-batch.

    Parameters
    ----------
    network : nn.Module
        On ``device``; changed in place.
    data : Dataset
        The last ``course.batch`` images are what is looked at; the others are trained on.
    course : SgdSchedule
    seed : int
        Of the order of the images.
    device : str

    Returns
    -------
    mapping of (kind, layer) to numbers
        "gradients" G_{i+1}, "weights" V_i and "inputs" X_i of dense layer i, counted from 1.
    """
    count = len(data.train_labels) - course.batch
    train(network, data.first(count, len(data.test_labels)), course, seed, device)
    kept: dict[tuple[str, int], torch.Tensor] = {}
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    hooks = [_watch(layer, number, kept) for number, layer in enumerate(dense, start=1)]
    images = torch.from_numpy(data.pixels(data.train_images[count:])).to(device)
    labels = torch.from_numpy(data.train_labels[count:].astype(np.int64)).to(device)
    nn.functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    return {key: value.detach().cpu().double().numpy().ravel() for key, value in kept.items()}


def _watch(
    layer: nn.Linear, number: int, kept: dict[tuple[str, int], torch.Tensor]
) -> torch.utils.hooks.RemovableHandle:
    kept["weights", number] = layer.weight.detach().clone()

    def forward(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        kept["inputs", number] = inputs[0]
        output.register_hook(lambda gradient: kept.__setitem__(("gradients", number), gradient))  # type: ignore[no-untyped-call]

    return layer.register_forward_hook(forward)


def zero_share(values: Floats, tau: float) -> float:
    """Share of entries that eq. (28) sets to zero, |x| ≤ τ.

    Examples
    --------
    >>> zero_share(np.array([0.0, 1e-6, -0.5, 2.0]), 1e-5)
    0.5
    """
    return float(np.mean(np.abs(values) <= tau))


def fitted(values: Floats, tau: float) -> Gaussian:
    """The Gaussian with the mean and variance of the entries that are not zero.

    Examples
    --------
    >>> fitted(np.array([0.0, 1.0, 3.0]), 1e-5)
    Gaussian(mean=2.0, variance=1.0)
    """
    dense = values[np.abs(values) > tau]
    return Gaussian(float(np.mean(dense)), float(np.var(dense)))


def fitted_before_relu(values: Floats, tau: float) -> Gaussian:
    """The Gaussian of which ReLU has the same share of zeros and the same mean of what is not zero.

    With z = mean / standard deviation, the share of zeros is Φ(−z), and what is above zero has the mean
    (z + φ(z)/Φ(z)) standard deviations.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = fitted_before_relu(np.maximum(rng.normal(-0.5, 2.0, 10**6), 0), 1e-9)
    >>> round(found.mean, 2), round(found.variance, 1)
    (-0.5, 4.0)
    """
    above = values[values > tau]
    z = -ndtri(1.0 - len(above) / len(values))
    peak = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    deviation = np.mean(above) / (z + peak * len(values) / len(above))
    return Gaussian(float(z * deviation), float(deviation**2))
