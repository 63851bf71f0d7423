"""A course of training: Tegin et al. 2022, Table IV, with the accuracies that its figures show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import torch
from kofn.checks import integer, number
from torch import nn

from ..datasets import Dataset

Tensor = torch.Tensor

EVALUATED = 2000
"""Test images that go through the network at once."""

AHEAD = 32
"""Mini-batches that are picked out and made floating at a time."""

DIVERGED = 1e6
"""A score beyond any use: the next gradients may not be finite."""


@dataclass(frozen=True)
class SgdSchedule:
    """How a network is trained; the defaults are Table IV's for MNIST.

    Parameters
    ----------
    epochs : int
    batch : int
        Images in a mini-batch; the last one of an epoch takes what remains.
    learning_rate : float
        Of plain stochastic gradient descent on the mean cross entropy.
    marks : int
        How often in an epoch accuracies are noted.

    Examples
    --------
    >>> SgdSchedule(epochs=1, marks=2).marked(640)
    (5, 10)
    """

    epochs: int = 3
    batch: int = 64
    learning_rate: float = 0.01
    marks: int = 20

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "marks"):
            integer(
                "kofn_studies.training.SgdSchedule", name, getattr(self, name), 1, "train at least once on one image"
            )
        number(
            "kofn_studies.training.SgdSchedule",
            "learning_rate",
            self.learning_rate,
            "use 0.01, for example",
            strict=True,
        )

    def steps_per_epoch(self, images: int) -> int:
        """Mini-batches in an epoch."""
        return -(-images // self.batch)

    def marked(self, images: int) -> tuple[int, ...]:
        """After which mini-batches, counted from 1, accuracies are noted."""
        steps = self.steps_per_epoch(images)
        inside = sorted({max(1, round(steps * mark / self.marks)) for mark in range(1, self.marks + 1)})
        return tuple(epoch * steps + step for epoch in range(self.epochs) for step in inside)


@dataclass(frozen=True)
class LearningCurve:
    """How a training went.

    Parameters
    ----------
    steps : sequence of int
        Mini-batches done.
    train : sequence of float
        Share of right answers on the mini-batches since the last mark, before they were learnt from; the paper
        plots this.
    test : sequence of float
        Share of right answers on the test images.
    """

    steps: tuple[int, ...]
    train: tuple[float, ...]
    test: tuple[float, ...]


def train(
    network: nn.Module,
    data: Dataset,
    course: SgdSchedule,
    seed: int | Sequence[int],
    device: str = "cpu",
) -> LearningCurve:
    """Train a network, in place; one that diverges learns nothing more and is marked for what it guesses.

    Parameters
    ----------
    network : nn.Module
        On ``device``; takes (images, channels, height, width) in [0, 1] and gives (images, classes).
    data : Dataset
    course : SgdSchedule
    seed : int or sequence of int
        Of the order of the images.
    device : str

    Returns
    -------
    LearningCurve
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    marks, guessed, given = set(course.marked(len(data.train_labels))), [], []
    curve: list[tuple[int, float, float]] = []
    for step, (images, labels) in enumerate(_batches(data, course, seed, device), start=1):
        guessed.append(_learn(network, parameters, course.learning_rate, images, labels))
        given.append(labels)
        if step in marks:
            right = torch.cat(guessed) == torch.cat(given)
            curve.append((step, float(right.sum()) / len(right), accuracy(network, data, device)))
            guessed, given = [], []
    return LearningCurve(*(tuple(column) for column in zip(*curve, strict=True)))


def accuracy(network: nn.Module, data: Dataset, device: str = "cpu") -> float:
    """Share of the test images that a network gets right."""
    right = 0
    with torch.no_grad():
        for start in range(0, len(data.test_labels), EVALUATED):
            part = slice(start, start + EVALUATED)
            scores = network(torch.tensor(data.test_images[part], device=device).float().div_(data.white))
            right += int(np.sum(scores.argmax(1).cpu().numpy() == data.test_labels[part]))
    return right / len(data.test_labels)


def _batches(
    data: Dataset, course: SgdSchedule, seed: int | Sequence[int], device: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of each mini-batch."""
    labels = torch.from_numpy(data.train_labels.astype(np.int64)).to(device)
    images = torch.tensor(data.train_images, device=device)
    rng = np.random.default_rng(seed)
    for _ in range(course.epochs):
        order = torch.from_numpy(rng.permutation(len(labels))).to(device)
        for chosen in torch.split(order, AHEAD * course.batch):
            white = images.index_select(0, chosen).float().div_(data.white)
            yield from zip(torch.split(white, course.batch), torch.split(labels[chosen], course.batch), strict=True)


def _learn(
    network: nn.Module, parameters: Sequence[nn.Parameter], learning_rate: float, images: Tensor, labels: Tensor
) -> Tensor:
    """Take one step down; return what the network made of the images before it."""
    scores: Tensor = network(images)
    if float(scores.detach().abs().max()) < DIVERGED:  # not so if one is NaN
        loss = nn.functional.cross_entropy(scores, labels)
        with torch.no_grad():
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.add_(slope, alpha=-learning_rate)
    return scores.detach().argmax(1)
