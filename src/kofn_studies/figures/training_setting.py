"""What the figures on training share: data, networks and courses as asked, and from runs to series.

PyTorch is imported when a figure is computed, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kofn.checks import refusal
from kofn.errors import require

from ..datasets import Dataset
from ..datasets.part import Part
from ..study import Point, Results
from .drawing import panels
from .figure import Figure, Published, Request, Series, Study
from .sampling import mean_and_error

if TYPE_CHECKING:
    from ..training.run import TrainingRun
    from ..training.sgd import LearningCurve, SgdSchedule

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

IMAGES_ON_CPU = (8_000, 2_000)
"""CIFAR-10 without a GPU: so many images are trained on and tested with."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What is trained how.

    Parameters
    ----------
    images : Part
    data : Dataset
        The same, loaded.
    network : str
    course : SgdSchedule
    warm_up : SgdSchedule, optional
        What comes first, without stragglers.
    device : str
    """

    images: Part
    data: Dataset
    network: str
    course: SgdSchedule
    warm_up: SgdSchedule | None = None
    device: str = "cpu"

    def run(self, name: str, partition: str, deadline: float, seed: int) -> TrainingRun:
        """One training; where nothing straggles, the same whatever the partition and the deadline."""
        from ..training.run import TrainingRun

        part, seconds = (None, None) if name == "no-straggler" else (partition, deadline)
        return TrainingRun(self.images, self.network, self.course, name, part, seconds, seed, self.warm_up, self.device)

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

    images, course = Part("mnist"), SgdSchedule(marks=5)  # a test of all images takes as long as twenty mini-batches
    if request.quick:
        # 64 mini-batches: as few as show who is better at T_max = 1.
        images, course = Part("digits", 512, 360), SgdSchedule(8, learning_rate=0.1, marks=1)
    elif request.data is None:
        images, course = Part("digits"), SgdSchedule(15, learning_rate=0.1, marks=1)
    return _setting(request, images, "dense", course)


def cifar(request: Request) -> Setting:
    """Sec. VII-A on CIFAR-10 with ``--data``: 30 + 90 epochs on a GPU; fewer, and of fewer images, on a CPU."""
    from ..training.sgd import SgdSchedule

    images, epochs, rate = Part("cifar10"), (90, 30), 0.01
    if request.quick or request.data is None:
        images = Part("digits", 256, 360) if request.quick else Part("digits")
        epochs, rate = (1 if request.quick else 20, 1), 0.1
    elif request.device == "cpu":
        images, epochs = Part("cifar10", *IMAGES_ON_CPU), (3, 2)
    course, warm_up = (SgdSchedule(count, learning_rate=rate, marks=1) for count in epochs)
    return _setting(request, images, "convolutional", course, warm_up)


def _setting(
    request: Request, images: Part, network: str, course: SgdSchedule, warm_up: SgdSchedule | None = None
) -> Setting:
    device = checked(request.device)
    return Setting(images.found(request.data), images.load(request.data), network, course, warm_up, device)


def checked(device: str) -> str:
    """Refuse a device on which PyTorch does not compute here."""
    with require("kofn_studies.figures", "torch"):
        import torch

    try:
        float(torch.ones(1, device=device).sum())
    except (RuntimeError, AssertionError):  # unknown, not there, not built for it, or without numbers, as meta
        must = f"be one that PyTorch has here ({', '.join(available())})"
        raise refusal("kofn figure", "--device", must, device, "use cpu") from None
    return device


def available() -> list[str]:
    """Where PyTorch computes on this machine.

    Examples
    --------
    >>> "cpu" in available()
    True
    """
    import torch

    graphics = ["mps"] * torch.backends.mps.is_available()
    return ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count())), *graphics]


def seeds(request: Request) -> range:
    """One seed a trial; quick runs make do with two."""
    return range(request.seed, request.seed + (min(2, request.trials) if request.quick else request.trials))


Case = tuple[str, str, float]
"""Contender, partition, deadline."""

Curves = Mapping[tuple[str, float], "list[LearningCurve]"]
"""One curve a seed, by name with the partition (as ``ew-rxc``) and deadline."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Contenders that are trained in one setting, each in all partitions and with all deadlines.

    Parameters
    ----------
    setting : Setting
    request : Request
    names, partitions : sequence of str
    deadlines : sequence of float
    """

    setting: Setting
    request: Request
    names: Sequence[str]
    partitions: Sequence[str]
    deadlines: Sequence[float]

    @property
    def points(self) -> list[Point]:
        """The runs; some are the same."""
        return [run for case in self._cases() for run in self._runs(case)]

    def curves(self, results: Results) -> Curves:
        """The curves that came of them."""
        from ..training.run import curve_of

        return {
            (f"{case[0]}-{case[1]}", case[2]): [curve_of(results[run]) for run in self._runs(case)]
            for case in self._cases()
        }

    def _cases(self) -> Iterator[Case]:
        return ((n, part, seconds) for part in self.partitions for seconds in self.deadlines for n in self.names)

    def _runs(self, case: Case) -> list[TrainingRun]:
        return [self.setting.run(*case, seed) for seed in seeds(self.request)]


def spread(name: str, x: Any, values: Sequence[Any]) -> Series:
    """Mean over seeds, (seeds, x), and its standard error."""
    return Series(name, x, *mean_and_error(np.asarray(values, dtype=np.float64)))


def by_step(identity: str, title: str, partition: str, request: Request) -> Study:
    """Figs. 13 and 14, which differ in the partition alone: test accuracy, and ``-train`` that on mini-batches."""
    setting = mnist(request)
    comparison = Comparison(setting, request, NAMES, [partition], DEADLINES)

    def figure(results: Results) -> Figure:
        series: list[Series] = []
        for (name, deadline), curves in comparison.curves(results).items():
            steps = curves[0].steps
            series.append(spread(f"{name}@{deadline:g}", steps, [curve.test for curve in curves]))
            series.append(spread(f"{name}-train@{deadline:g}", steps, [curve.train for curve in curves]))
        paper = f"{PAPER}, Fig. {identity[-2:]}"
        return figure_of(identity, f"{title}: {setting.title}", paper, "mini-batch", request, series)

    return Study(comparison.points, figure)


def figure_of(
    identity: str, title: str, paper: str, x_label: str, request: Request, series: Sequence[Series],
    published: Sequence[Published] = (),
) -> Figure:  # fmt: skip
    """A figure of accuracies."""
    return Figure(identity, title, paper, x_label, "accuracy", request.seed, len(seeds(request)), series, published)


def by_deadline(figure: Figure) -> Any:
    """Draw one panel a deadline, test accuracy."""
    tests = [name for name in figure.names if "-train" not in name]
    groups = {f"T_max = {deadline:g} s": [n for n in tests if n.endswith(f"@{deadline:g}")] for deadline in DEADLINES}
    return panels(figure, groups)
