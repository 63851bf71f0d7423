"""Delays that were recorded: in a file, on real machines, or by a pool of its own workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
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

CERTAIN = 3.0
"""By how many standard errors delays must grow less than the load before they count as pauses."""


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
    load : (workers, tasks) array, optional
        Of each task, where a worker's share of a job to come is 1. Tasks of different loads tell delays that grow with
        the load from workers that stand still for a while; without it all delays are taken to grow.

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
    load: Floats | None = None

    def __post_init__(self) -> None:
        pace = np.array(self.pace, dtype=np.float64)
        call, remedy = "kofn.simulation.bench.Recorded", "use NaN for a task that never came back"
        must = "be a (workers, tasks) array of seconds > 0, some of them finite, with whole jobs of tasks"
        pace[np.isnan(pace)] = np.inf
        fits = pace.ndim == 2 and pace.size and self.job >= 1 and pace.shape[1] % self.job == 0
        if not (fits and pace.min() > 0 and np.isfinite(pace).any()):
            raise checks.refusal(call, "pace", must, f"shape {pace.shape}", remedy)
        object.__setattr__(self, "pace", pace)
        assert self.load is None or np.shape(self.load) == pace.shape

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

    @cached_property
    def pauses(self) -> Floats:
        """For how long workers stood still, one number a time; none where delays grow with the load."""
        if self.load is None or self.belongs_to_tasks:
            return np.empty(0)
        slow = self._slow
        load = np.asarray(self.load)[slow]
        seconds = (self.pace[slow] - self.median) * load
        return seconds if _is_constant(seconds, load) else np.empty(0)

    @property
    def _slow(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.pace) & (self.pace > SLOW * self.median))

    def draw(self, trials: int, workers: int, rng: Generator) -> Draws:
        """Draw jobs with replacement; a `Trace`.

        Where tasks of a worker in a job are alike, whole jobs are drawn, with workers in any order; elsewhere each task
        by itself. Pauses come as often in time as they did, once a job at most.
        """
        if self.load is None or not self.pauses.size:
            return self._draw(trials, workers, rng)
        calm = replace(self, pace=np.where(self._slow, self.median, self.pace))
        worked = float(np.sum(self.load, where=np.isfinite(self.pace))) * self.median
        return calm._draw(trials, workers, rng)._replace(
            pause_at=rng.exponential(worked / len(self.pauses), (trials, workers)),
            pause=rng.choice(self.pauses, (trials, workers)),
        )

    def _draw(self, trials: int, workers: int, rng: Generator) -> Draws:
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
        shape = (len(self.pace), -1, self.job)
        which = (
            _any_workers(self.pace, trials, workers, rng),
            rng.integers(self.pace.shape[1] // self.job, size=(trials, 1)),
        )
        of_job = self.pace.reshape(shape)[which]
        load = np.ones_like(of_job) if self.load is None else np.reshape(self.load, shape)[which]
        load = load / load.sum(axis=2, keepdims=True)
        place = rng.integers(self.job, size=(trials, workers, ATTEMPTS))
        place[:, :, : self.job] = np.arange(self.job)
        alive = np.cumprod(np.isfinite(of_job), axis=2, dtype=bool)
        last = np.take_along_axis(load, np.minimum(alive.sum(axis=2), self.job - 1)[:, :, None], axis=2)[:, :, 0]
        lived = np.where(alive, of_job * load, 0.0).sum(axis=2) + last * self.median * rng.random((trials, workers))
        pace = np.take_along_axis(np.where(alive, of_job, self.median), place, axis=2)
        return pace, np.where(alive.all(axis=2), np.inf, lived)


def _is_constant(seconds: Floats, load: Floats) -> bool:
    """Whether delays are the same for tasks of different loads, rather than in proportion to them.

    The slope of a line through the logarithms says by which power of the load delays grow.
    """
    x, y = np.log(load), np.log(seconds)
    if len(x) < ENOUGH or not np.ptp(x) > 0.1:
        return False
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    error = np.linalg.norm(y - slope * x) / np.sqrt((len(x) - 2) * (x @ x))
    return bool(slope < 0.5 and slope + CERTAIN * error < 1.0)


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
        given = given.astype(np.float64, casting="same_kind")
        if not np.isfinite(given).any():
            raise ValueError("no time in it is finite")
        jobs = given if given.ndim == 3 else given[:, None, :]
        return Recorded(_in_units(jobs.reshape(-1, jobs.shape[-1]).T), job=jobs.shape[1])
    except Exception as error:  # NumPy's reader and parser raise anything of a file that is damaged
        raise checks.refusal("kofn bench", "--traces", must, f"{path} ({error})", remedy) from None


def _read_text(path: Path) -> NDArray[Any]:
    text = path.read_text(encoding="utf-8").replace(",", " ")
    return np.array([[float(number) for number in line.split()] for line in text.splitlines() if line.strip()])


def _in_units(pace: Floats) -> Floats:
    """Times in units of their median."""
    return np.asarray(pace / np.median(pace[np.isfinite(pace)]))


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
