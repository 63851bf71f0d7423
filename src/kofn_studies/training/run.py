"""One training as a point of a study: the network, what comes first without stragglers, the contender."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from torch import nn

from ..datasets.part import Part
from ..study import Point, Result
from .methods import METHODS
from .networks import NETWORKS
from .sgd import LearningCurve, SgdSchedule, train


@dataclass(frozen=True)
class TrainingRun(Point):
    """What a run is: everything that its result depends on.

    Parameters
    ----------
    images : Part
    network : str
        One of `kofn_studies.training.networks.NETWORKS`.
    course : SgdSchedule
    contender : str
        One of `kofn_studies.training.methods.METHODS`.
    partition : {"rxc", "cxr"} or None
    deadline : float or None
        T_max, in seconds. None, as is the partition, where nothing straggles.
    seed : int
        Of initial weights, order of the images, codes and delays.
    warm_up : SgdSchedule, optional
        What comes first, without stragglers.
    device : str

    Examples
    --------
    >>> TrainingRun(Part("mnist"), "dense", SgdSchedule(), "ew", "rxc", 0.5, 0).title
    'ew-rxc, T = 0.5, seed 0'
    """

    version: ClassVar[int] = 2  # sums are in another order than in 1: after some steps other numbers

    images: Part
    network: str
    course: SgdSchedule
    contender: str
    partition: str | None
    deadline: float | None
    seed: int
    warm_up: SgdSchedule | None = None
    device: str = "cpu"

    @property
    def title(self) -> str:
        """What a user reads when it is done."""
        name = self.contender if self.partition is None else f"{self.contender}-{self.partition}"
        return name + ("" if self.deadline is None else f", T = {self.deadline:g}") + f", seed {self.seed}"

    def compute(self, data: str | None) -> Result:
        """Train, and return the accuracies as arrays; `curve_of` makes them a curve again."""
        return {name: np.array(values) for name, values in asdict(self.curve(data)).items()}

    def curve(self, data: str | None) -> LearningCurve:
        """Train as this says."""
        images = self.images.load(data)
        model = copy.deepcopy(_started(self.images, data, self.network, self.seed, self.warm_up, self.device))
        if self.partition is not None:
            model = METHODS[self.contender].network(model, self.partition, self.deadline, self.seed)
        return train(model, images, self.course, self.seed, self.device)


def curve_of(result: Result) -> LearningCurve:
    """A result as a curve."""
    return LearningCurve(**{name: tuple(values.tolist()) for name, values in result.items()})


@lru_cache(maxsize=8)
def _started(
    images: Part, data: str | None, network: str, seed: int, warm_up: SgdSchedule | None, device: str
) -> nn.Module:
    """The network as stragglers find it; the same for all contenders, so each process trains it once a seed."""
    held = images.load(data)
    model = NETWORKS[network](held.shape, len(held.classes), seed).to(device)
    if warm_up is not None:
        train(model, held, warm_up, (seed, 1), device)
    return model
