"""From a `TrainingRun` to its `LearningCurve`: the network, what comes first without stragglers, the contender."""

from __future__ import annotations

import copy

from torch import nn

from ..datasets import Dataset
from .methods import METHODS
from .networks import NETWORKS
from .sgd import LearningCurve, SgdSchedule, train
from .study import TrainingRun


class Experiment:
    """Computes runs on one data set.

    Parameters
    ----------
    data : Dataset

    Examples
    --------
    >>> from kofn_studies.datasets import load
    >>> data = load("digits").first(128, 100)
    >>> run = TrainingRun(data.name, "dense", SgdSchedule(epochs=1, marks=1), "kronecker", "rxc", 1.0, seed=0)
    >>> Experiment(data)(run).steps
    (2,)
    """

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._warm: dict[tuple[str, str, int, SgdSchedule | None], nn.Module] = {}

    def __call__(self, run: TrainingRun) -> LearningCurve:
        """Train as ``run`` says."""
        model = copy.deepcopy(self._started(run))
        if run.partition is not None:
            model = METHODS[run.contender].network(model, run.partition, run.deadline, run.seed)
        return train(model, self._data, run.course, run.seed, run.device)

    def _started(self, run: TrainingRun) -> nn.Module:
        """The network as stragglers find it; the same for all contenders, so it is trained once a seed."""
        key = (run.network, run.device, run.seed, run.warm_up)
        if key not in self._warm:
            model = NETWORKS[run.network](self._data.shape, len(self._data.classes), run.seed).to(run.device)
            if run.warm_up is not None:
                train(model, self._data, run.warm_up, (run.seed, 1), run.device)
            self._warm[key] = model
        return self._warm[key]
