"""What the figures on training share: data, networks and courses as asked, and from runs to series.

PyTorch is imported when a figure is computed, not before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kofn.checks import refusal
from kofn.engines import processors
from kofn.errors import require

from ..datasets import Dataset, load
from .drawing import panels
from .figure import Figure, Published, Request, Series
from .sampling import mean_and_error

if TYPE_CHECKING:
    from ..training.sgd import LearningCurve, SgdSchedule
    from ..training.study import TrainingRun

PAPER = "Tegin et al. 2022, Sec. VII"

NAMES = (
    "no-straggler", "uncoded", "rep2", "now", "ew", "now-lmmse", "ew-lmmse", "kronecker", "kronecker-rescaled",
    "kronecker-rescaled-late", "uncoded-rescaled",
)  # fmt: skip
"""Contenders that all figures compare, in the order of `kofn_studies.training.methods.METHODS`."""

WIDE = (
    "uncoded-wide", "kronecker-rescaled-wide", "kronecker-principal-wide", "kronecker-principal-late-wide",
)  # fmt: skip
"""Further ones for a network with layers wide enough to distribute."""

DEADLINES = (0.25, 0.5, 1.0, 2.0)
"""T_max, Sec. VII-C."""

STORE = "training-runs.jsonl"
"""In the folder of a `Request`; figures share the runs in it."""

IMAGES_ON_CPU = (10_000, 2_000)
"""CIFAR-10 without a GPU: so many images are trained on and tested with."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What is trained how.

    Parameters
    ----------
    data : Dataset
    network : str
    course : SgdSchedule
    warm_up : SgdSchedule, optional
        What comes first, without stragglers.
    device : str
    """

    data: Dataset
    network: str
    course: SgdSchedule
    warm_up: SgdSchedule | None = None
    device: str = "cpu"

    def run(self, name: str, partition: str, deadline: float, seed: int) -> TrainingRun:
        """One training; where nothing straggles, the same whatever the partition and the deadline."""
        from ..training.study import TrainingRun

        part, seconds = (None, None) if name == "no-straggler" else (partition, deadline)
        return TrainingRun(
            self.data.name, self.network, self.course, name, part, seconds, seed, self.warm_up, self.device
        )

    @property
    def title(self) -> str:
        """What a title says."""
        warm_up = "" if self.warm_up is None else f"after {_epochs(self.warm_up)} without stragglers "
        return f"{self.data.name}, {_epochs(self.course)} {warm_up}of {len(self.data.train_labels)} images"


def _epochs(course: SgdSchedule) -> str:
    return f"{course.epochs} epoch{'s' * (course.epochs > 1)}"


def mnist(request: Request) -> Setting:
    """Sec. VII-A on MNIST with ``--data``, else on scikit-learn's digits, whose few mini-batches are learnt faster."""
    from ..training.sgd import SgdSchedule

    device = checked(request.device)
    if request.quick:
        return Setting(
            load("digits").first(512, 360), "dense", SgdSchedule(1, learning_rate=0.1, marks=2), device=device
        )
    if request.data is None:
        return Setting(load("digits"), "dense", SgdSchedule(15, learning_rate=0.1, marks=1), device=device)
    return Setting(load("mnist", request.data), "dense", SgdSchedule(), device=device)


def cifar(request: Request) -> Setting:
    """Sec. VII-A on CIFAR-10 with ``--data``: 30 + 90 epochs on a GPU; fewer, and of fewer images, on a CPU."""
    from ..training.sgd import SgdSchedule

    device = checked(request.device)
    if request.quick or request.data is None:
        epochs = 1 if request.quick else 20
        data = load("digits").first(256, 360) if request.quick else load("digits")
        courses = SgdSchedule(epochs, learning_rate=0.1, marks=1), SgdSchedule(1, learning_rate=0.1, marks=1)
        return Setting(data, "convolutional", *courses, device)
    data = load("cifar10", request.data)
    if device == "cpu":
        return Setting(
            data.first(*IMAGES_ON_CPU), "convolutional", SgdSchedule(6, marks=1), SgdSchedule(2, marks=1), device
        )
    return Setting(data, "convolutional", SgdSchedule(90, marks=1), SgdSchedule(30, marks=1), device)


def checked(device: str) -> str:
    """Refuse a device that PyTorch does not have here."""
    with require("kofn_studies.figures", "torch"):
        import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise refusal(
            "kofn figure", "--device", "be one that PyTorch has here", f"{device} ({reason})", "use cpu"
        ) from None
    return device


def trained(setting: Setting, request: Request, runs: Sequence[TrainingRun]) -> list[LearningCurve]:
    """The curve of every run: from the folder of the request where it is there already, else computed.

    On a CPU there are as many processes as processors to use, but in quick runs, which would end before these begin.
    """
    from ..training.experiment import Experiment
    from ..training.parallel import side_by_side
    from ..training.study import RunLog, complete

    experiment = Experiment(setting.data)

    def compute(missing: Sequence[TrainingRun]) -> Iterable[tuple[TrainingRun, LearningCurve]]:
        processes = min(processors(), len(missing))
        if request.quick or setting.device != "cpu" or processes < 2:
            return ((run, experiment(run)) for run in missing)
        return side_by_side(missing, experiment, processes)

    store = RunLog(None if request.folder is None else Path(request.folder) / STORE)
    complete(runs, store, compute, sys.stderr)
    return [store[run] for run in runs]


def seeds(request: Request) -> range:
    """One seed a trial; quick runs make do with two."""
    return range(request.seed, request.seed + (min(2, request.trials) if request.quick else request.trials))


def compared(
    setting: Setting, request: Request, names: Sequence[str], partitions: Sequence[str], deadlines: Sequence[float]
) -> Mapping[tuple[str, float], list[LearningCurve]]:
    """The named contenders' curves, one a seed, by name with the partition (as ``ew-rxc``) and deadline."""
    cases = [(name, part, deadline) for part in partitions for deadline in deadlines for name in names]
    runs = [setting.run(*case, seed) for case in cases for seed in seeds(request)]
    curves = iter(trained(setting, request, runs))
    return {(f"{name}-{part}", deadline): [next(curves) for _ in seeds(request)] for name, part, deadline in cases}


def spread(name: str, x: Any, values: Sequence[Any]) -> Series:
    """Mean over seeds, (seeds, x), and its standard error."""
    return Series(name, x, *mean_and_error(np.asarray(values, dtype=np.float64)))


def by_step(identity: str, title: str, partition: str, request: Request) -> Figure:
    """Figs. 13 and 14, which differ in the partition alone: test accuracy, and ``-train`` that on mini-batches."""
    setting, series = mnist(request), list[Series]()
    for (name, deadline), curves in compared(setting, request, NAMES, [partition], DEADLINES).items():
        steps = curves[0].steps
        series.append(spread(f"{name}@{deadline:g}", steps, [curve.test for curve in curves]))
        series.append(spread(f"{name}-train@{deadline:g}", steps, [curve.train for curve in curves]))
    paper = f"{PAPER}, Fig. {identity[-2:]}"
    return figure_of(identity, f"{title}: {setting.title}", paper, "mini-batch", request, series)


def figure_of(
    identity: str, title: str, paper: str, x_label: str, request: Request, series: Sequence[Series],
    published: Sequence[Published] = (),
) -> Figure:  # fmt: skip
    """A figure of accuracies."""
    return Figure(identity, title, paper, x_label, "accuracy", request.seed, len(seeds(request)), series, published)


def by_deadline(figure: Figure) -> Any:
    """Draw one panel a deadline, test accuracy."""
    tests = [name for name in figure.names if "-train" not in name]
    groups = {f"T_max = {deadline:g}": [n for n in tests if n.endswith(f"@{deadline:g}")] for deadline in DEADLINES}
    return panels(figure, groups)
