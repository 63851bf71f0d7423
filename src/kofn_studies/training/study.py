"""A study is many runs: each is written down when it is done, so that a study that was killed goes on.

The file has one line of JSON a run. It is only ever appended to; a line that a kill cut short is passed over.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from kofn.errors import FileError

from .sgd import LearningCurve, SgdSchedule

Compute = Callable[[Sequence["TrainingRun"]], Iterable[tuple["TrainingRun", LearningCurve]]]
"""Runs to their curves, each given out when it is done, in any order."""


@dataclass(frozen=True)
class TrainingRun:
    """What a run is: everything that its result depends on.

    Parameters
    ----------
    data : str
        Name of the data set, as `Dataset.name` has it.
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
    >>> TrainingRun("MNIST", "dense", SgdSchedule(), "ew", "rxc", 0.5, 0).title
    'ew-rxc, T = 0.5, seed 0'
    """

    data: str
    network: str
    course: SgdSchedule
    contender: str
    partition: str | None
    deadline: float | None
    seed: int
    warm_up: SgdSchedule | None = None
    device: str = "cpu"

    @property
    def key(self) -> str:
        """The same in one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def title(self) -> str:
        """What a user reads while it runs."""
        name = self.contender if self.partition is None else f"{self.contender}-{self.partition}"
        return name + ("" if self.deadline is None else f", T = {self.deadline:g}") + f", seed {self.seed}"


class RunLog:
    """The file in which finished runs are.

    Parameters
    ----------
    path : path, optional
        Made with its folder before the first run; without it, runs are kept in memory alone.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._curves: dict[str, LearningCurve] = dict(_finished(self._path)) if self._path else {}

    def __contains__(self, run: TrainingRun) -> bool:
        return run.key in self._curves

    def __getitem__(self, run: TrainingRun) -> LearningCurve:
        return self._curves[run.key]

    def prepare(self) -> None:
        """Make the file, so that what cannot be written down is known before it is computed.

        Raises
        ------
        FileError
            The file cannot be written to.
        """
        self._append("")

    def add(self, run: TrainingRun, curve: LearningCurve) -> None:
        """Write a finished run down.

        Raises
        ------
        FileError
            The file cannot be written to.
        """
        self._curves[run.key] = curve
        # The line break comes first: it ends what a kill may have left of the line before.
        self._append("\n" + json.dumps({"run": json.loads(run.key), "curve": asdict(curve)}))

    def _append(self, text: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FileError(f"{self._path} must be a file to write runs to, but {error.strerror or error}.") from None


def complete(runs: Iterable[TrainingRun], store: RunLog, compute: Compute, log: TextIO) -> None:
    """Compute the runs that ``store`` lacks, telling on ``log`` what is done and how long the rest will take."""
    missing = list({run.key: run for run in runs if run not in store}.values())
    if missing:
        store.prepare()
        print(f"networks to train: {len(missing)}", file=log, flush=True)
    start = time.monotonic()
    for done, (run, curve) in enumerate(compute(missing), start=1):
        store.add(run, curve)
        left = _told((time.monotonic() - start) / done * (len(missing) - done))
        print(f"trained {done} of {len(missing)}: {run.title}; {left} left", file=log, flush=True)


def _finished(path: Path) -> Iterable[tuple[str, LearningCurve]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} must be a file of runs in JSON ({error}); choose another folder.") from None
    for line in lines:
        try:
            entry: Any = json.loads(line)
            curve = LearningCurve(**{name: tuple(values) for name, values in entry["curve"].items()})
            yield json.dumps(entry["run"], sort_keys=True), curve
        except (ValueError, TypeError, KeyError):
            continue


def _told(seconds: float) -> str:
    """Seconds as somebody would say them.

    Examples
    --------
    >>> _told(59.4), _told(3599), _told(7300)
    ('59 s', '60 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
