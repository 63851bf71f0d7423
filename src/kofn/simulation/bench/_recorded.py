"""Delays that were recorded: in a file, on real machines, or by a pool of its own workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ... import checks
from ..._base._numbers import Floats
from ._draws import ATTEMPTS, TASKS, Draws, draws_of

SLOW = 2.0
"""Medians from which on a task counts as slow."""

PERSISTENT = 1.5
"""How much more the means of jobs may vary, in units of chance, before delays count as those of a worker in a job."""

ENOUGH = 5
"""Slow tasks that must have been computed twice before it is said whether slowness belongs to tasks."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """How long tasks took.

    Parameters
    ----------
    pace : (workers, tasks) array
        Seconds per unit of load, in the order of time; inf or NaN where nothing ever came back.
    message : (workers, tasks) array, optional
        Seconds of messages that are not proportional to work.
    job : int
        Tasks of a worker that belonged to one job: within it, a worker that is slow stays so.
    again : (pairs, 2) array, optional
        Seconds per unit of load of tasks that were computed twice, the first time and the second.

    Examples
    --------
    >>> record = Recorded(np.ones((2, 8)), job=4)
    >>> record.draw(5, 3, np.random.default_rng(0)).pace.shape
    (5, 3, 48)
    """

    pace: Floats
    message: Floats | None = None
    job: int = 1
    again: Floats | None = None

    def __post_init__(self) -> None:
        pace = np.array(self.pace, dtype=np.float64)
        call, remedy = "kofn.simulation.bench.Recorded", "use NaN for a task that never came back"
        must = "be a (workers, tasks) array of seconds > 0, some of them finite, with whole jobs of tasks"
        pace[np.isnan(pace)] = np.inf
        fits = pace.ndim == 2 and pace.size and self.job >= 1 and pace.shape[1] % self.job == 0
        if not (fits and pace.min() > 0 and np.isfinite(pace).any()):
            raise checks.refusal(call, "pace", must, f"shape {pace.shape}", remedy)
        object.__setattr__(self, "pace", pace)

    @property
    def median(self) -> float:
        """Seconds per unit of load."""
        return float(np.quantile(self.pace, 0.5, method="inverted_cdf"))

    @property
    def is_persistent(self) -> bool:
        """Whether tasks of one worker in one job are alike: an analysis of variance of their logarithms."""
        if self.job == 1:
            return False
        logs = np.log(np.minimum(self.pace, 1e3 * self.median)).reshape(len(self.pace), -1, self.job)
        within = logs.var(axis=2, ddof=1).mean()
        return bool(logs.mean(axis=2).var(ddof=1) * self.job > PERSISTENT * within)

    @property
    def belongs_to_tasks(self) -> bool:
        """Whether tasks that were slow once were slow again."""
        if self.again is None:
            return False
        first, second = np.asarray(self.again, dtype=np.float64).T
        slow = first > SLOW * self.median
        return bool(slow.sum() >= ENOUGH and np.mean(second[slow] > SLOW * self.median) > 0.5)

    def draw(self, trials: int, workers: int, rng: Generator) -> Draws:
        """Draw jobs with replacement; a `Trace`.

        Where tasks of a worker in a job are alike, whole jobs are drawn, with workers in any order; elsewhere each task
        by itself.
        """
        others: dict[str, Floats] = {}
        if self.is_persistent:
            pace, others["death"] = self._jobs(trials, workers, rng)
        else:
            pace = self._tasks(trials, workers, rng)
        if self.message is not None:
            others["message"] = rng.choice(np.ravel(self.message), (trials, workers, ATTEMPTS))
        if self.belongs_to_tasks:
            all_factors = np.ravel(self.pace) / self.median
            factors = rng.choice(all_factors, (trials, workers * TASKS))
            others["skew"] = np.where(factors > SLOW, factors, 1.0)
            usual = all_factors[all_factors <= SLOW] * self.median
            pace = np.where(pace > SLOW * self.median, rng.choice(usual, pace.shape), pace)
        return draws_of(pace, **others)

    def _tasks(self, trials: int, workers: int, rng: Generator) -> Floats:
        places = rng.integers(self.pace.shape[1], size=(trials, workers, ATTEMPTS))
        return np.asarray(self.pace[_any_workers(self.pace, trials, workers, rng)[:, :, None], places])

    def _jobs(self, trials: int, workers: int, rng: Generator) -> tuple[Floats, Floats]:
        """Whole jobs, and when workers died in them: at some moment of the first task that never came back."""
        rows = self.pace.reshape(len(self.pace), -1, self.job)
        of_job = rows[_any_workers(self.pace, trials, workers, rng), rng.integers(rows.shape[1], size=(trials, 1))]
        place = rng.integers(self.job, size=(trials, workers, ATTEMPTS))
        place[:, :, : self.job] = np.arange(self.job)
        alive = np.cumprod(np.isfinite(of_job), axis=2, dtype=bool)
        lived = (np.where(alive, of_job, 0.0).sum(axis=2) + self.median * rng.random((trials, workers))) / self.job
        pace = np.take_along_axis(np.where(alive, of_job, self.median), place, axis=2)
        return pace, np.where(alive.all(axis=2), np.inf, lived)


def _any_workers(pace: Floats, trials: int, workers: int, rng: Generator) -> NDArray[np.intp]:
    """Which recorded worker stands for each: all of them in any order, or some more than once."""
    known = np.arange(-(-workers // len(pace)) * len(pace)) % len(pace)
    return np.asarray(rng.permuted(np.tile(known, (trials, 1)), axis=1)[:, :workers])


def read_trace(path: str | os.PathLike[str]) -> Recorded:
    """Read a recorded trace: a ``.npy`` file, or text with a line a task and commas or blanks between workers.

    Parameters
    ----------
    path : path
        A (tasks, workers) array of times per unit of work, as `kofn.Trace` takes it, or (jobs, tasks, workers).

    Raises
    ------
    ArgumentError
        When there is no such file, or it holds something else.
    """
    must, remedy = "be a file of times per unit of work, a row a task and a column a worker", "save it with np.save"
    try:
        given = np.load(path) if Path(path).suffix == ".npy" else _read_text(Path(path))
        jobs = given if given.ndim == 3 else given[:, None, :]
        return Recorded(_in_units(jobs.reshape(-1, jobs.shape[-1]).T), job=jobs.shape[1])
    except (OSError, ValueError, IndexError) as error:
        raise checks.refusal("kofn bench", "--traces", must, f"{path} ({error})", remedy) from None


def _read_text(path: Path) -> NDArray[Any]:
    text = path.read_text(encoding="utf-8").replace(",", " ")
    return np.array([[float(number) for number in line.split()] for line in text.splitlines() if line.strip()])


def _in_units(pace: Floats) -> Floats:
    """Times in units of their median."""
    return np.asarray(pace / np.nanmedian(np.where(np.isfinite(pace), pace, np.nan)))


def _straggler_analysis(kind: str) -> Floats:
    with files("kofn.simulation.bench").joinpath("data", "straggler-analysis.npz").open("rb") as file:
        return np.asarray(np.load(file)[kind] / 1000.0)


def straggler_workers(trials: int, workers: int, rng: Generator) -> Draws:
    """A job of ByteDance on 16 machines, one of which is 2.3 times slower: forward and backward passes of microbatches.

    Trace AR of ByteDance's StragglerAnalysis ("Understanding Stragglers in Large Model Training Using What-if
    Analysis", 2025, Apache-2.0), times in units of the median of each stage. Its slow machine was slowed on purpose.
    """
    return Recorded(_straggler_analysis("workers"), job=32).draw(trials, workers, rng)


def straggler_data(trials: int, workers: int, rng: Generator) -> Draws:
    """A job of ByteDance on 32 machines whose microbatches differ in size: a task is slow wherever it runs.

    Trace SE of the same; both stages of its pipeline took the same
    microbatches equally long (their correlation is 0.999), so the times are those of tasks.
    """
    factors = np.ravel(_straggler_analysis("tasks"))
    pace = rng.uniform(0.98, 1.02, (trials, workers, ATTEMPTS))
    return draws_of(pace, skew=rng.choice(factors, (trials, workers * TASKS)))


MEASURED: dict[str, Callable[[int, int, Generator], Draws]] = {
    "straggler-workers": straggler_workers,
    "straggler-data": straggler_data,
}
"""Traces of real machines that come with kofn."""


def from_file(path: str) -> Callable[[int, int, Generator], Draws]:
    """The trace that a file holds."""
    return partial(Recorded.draw, read_trace(path))
