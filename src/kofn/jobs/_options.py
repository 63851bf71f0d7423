"""How a job runs: one set of options for every face and the command line, checked in one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypedDict

from .. import checks
from .._base._travel import Carrying
from ..codes.decoding._estimators import Estimator, check_estimator
from ..errors import require_installed
from ._checks import LIES
from ._collector import Progress
from ._stop import StopRule, stop_rule
from .scheduling import Scheduler
from .scheduling._names import as_scheduler

CALL = "kofn.Options"

AIMS = ("p99", "median")
"""What may be made short."""

GONE = {
    "backup": "it is scheduler='speculative' now",
    "adaptive": "it is scheduler='adaptive' or 'static' now",
    "results": "kofn.start(…).results has them now",
}
"""Keywords of before, and where they went."""

ELSEWHERE = {
    "timeout": "write deadline= for the seconds that a job may take",
    "max_workers": "write workers= for how many",
    "n_jobs": "write workers= for how many",
    "chunksize": "leave it out, each input is a task of its own",
}
"""Keywords of executors and of joblib, and what is written here."""


class OptionKeywords(TypedDict, total=False):
    """The options of `Options`, as keywords of a face."""

    deadline: float | None
    tolerance: float
    stop: StopRule | None
    estimator: Estimator | None
    scheduler: str | Scheduler
    progress: Callable[[Progress], None] | Literal["bar"] | None
    memory_limit_bytes: int | None
    scratch: str | os.PathLike[str] | None
    redundancy: int | None
    aim: Literal["p99", "median"]
    verify: Literal["off", "detect", "correct"]


@dataclass(frozen=True, kw_only=True)
class Options(Carrying):
    """How a job runs.

    Every call that computes takes these as keywords, or together as ``options=``, of which keywords change some.

    Parameters
    ----------
    deadline : float, optional
        Stop after so many seconds with the best estimate. Time counts from the start of encoding; what `kofn.prepare`
        does before counts as nothing.
    tolerance : float
        Stop as soon as the expected relative error is at most this, from 0 to 1; 0.0 waits for the exact answer.
    stop : StopRule, optional
        When the job is done, instead of these two: `kofn.Decodable()` by default; `kofn.Tolerance`, `kofn.Deadline`,
        `kofn.Count`, and any two of them with ``|`` and ``&``.
    estimator : {"lmmse", "exact", "peeling"} or EstimatorRule, optional
        What an estimate uses for what is not exact yet: the least-squares best estimate, zero, or a code's own rule.
        "peeling" decodes LT codes as their papers do. By default what the scheme says of itself, which is "lmmse" for
        products and sums.
    scheduler : {"auto", "static", "adaptive", "speculative", "duplicates", "coded"} or Scheduler
        What an idle worker is given: rows of its own in their order, as papers and `kofn.simulate` have it ("static");
        what is neither in nor under way anywhere, and then repetitions of what is ("adaptive"); rows of its own, and
        then what a slow worker is late with ("speculative"); any row that waits, and then copies of what is being
        computed ("duplicates"), or combinations of all that is missing, where the scheme can make some ("coded").
        "auto" is what suits the scheme; with ``code="auto"`` it is chosen, too.
    progress : callable or "bar", optional
        Called with a `Progress` after every arrival. "bar" shows a bar on a terminal and in notebooks, and nothing
        where output is piped; it needs the extra ``kofn[progress]``.
    memory_limit_bytes : int, optional
        Most bytes for encoded blocks and results; by default half of what this machine, its control group and
        ``ulimit -v`` leave. Where not all fits, blocks are encoded when workers ask for them, and results wait in a
        file.
    scratch : path, optional
        Folder for results that do not fit into memory; that of temporary files by default, for `kofn.matmul` that of
        ``out``.
    redundancy : int, optional
        So many workers may be lost, whichever they are, at no cost in time beyond their share; fewer than there are.
        `kofn.operator`, `kofn.matmul` and `kofn.sum` choose their rows so, and say how; ``blocks`` and ``rows`` are
        left out then. `kofn.map` without a code evaluates again what is lost, whatever this is. Codes for functions,
        and schemes, have their rows: they refuse it.
    aim : {"p99", "median"}
        What ``code="auto"`` makes short: the time that all but one of a hundred jobs stay below, or the median.
    verify : {"off", "detect", "correct"}
        Whether wrong results are looked for. Block products are checked one by one, against a secret that no worker
        knows (`Freivalds`' check). Of codes with more rows than they need, results more than needed are waited for, one
        with "detect" and two with "correct", and all must agree. All else is computed by two workers and compared.
        What is wrong is never used, and stands in ``report.wrong``: others compute it, and with "correct" a worker that
        was wrong is given nothing more in this run. With "detect" a block product is computed again all the same;
        elsewhere results that contradict each other raise `kofn.Corrupted`. The page on wrong results has the prices.

    Examples
    --------
    >>> Options(tolerance=0.1, deadline=2.0).stop_rule
    Either(first=Tolerance(error=0.1), second=Deadline(seconds=2.0))
    >>> Options(stop=Options().stop_rule, deadline=2.0)
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.Options: 'stop' must be left out where 'deadline' is given, but got Decodable(); ...
    """

    deadline: float | None = None
    tolerance: float = 0.0
    stop: StopRule | None = None
    estimator: Estimator | None = None
    scheduler: str | Scheduler = "auto"
    progress: Callable[[Progress], None] | Literal["bar"] | None = None
    memory_limit_bytes: int | None = None
    scratch: str | os.PathLike[str] | None = None
    redundancy: int | None = None
    aim: Literal["p99", "median"] = "p99"
    verify: Literal["off", "detect", "correct"] = "off"

    def __new__(cls, **given: Any) -> Self:
        """Refuse names of options that there are not, before the fields are set."""
        check_names(given)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        self.stop_rule  # noqa: B018  it refuses what contradicts itself
        if self.estimator is not None:
            check_estimator(CALL, self.estimator)
        as_scheduler(CALL, self.scheduler)
        if isinstance(self.progress, str):
            checks.choice(CALL, "progress", self.progress, ("bar",), "or pass a function of a Progress")
            require_installed(f"{CALL}: progress='bar'", "tqdm")
        elif self.progress is not None:
            checks.function(CALL, "progress", self.progress, "write 'bar' for a bar, or leave it out")
        if self.memory_limit_bytes is not None:
            remedy = "leave it out for half of the memory there is"
            checks.integer(CALL, "memory_limit_bytes", self.memory_limit_bytes, 0, remedy)
        if self.scratch is not None and not _is_folder(self.scratch):
            remedy = "leave it out for that of temporary files"
            raise checks.refusal(CALL, "scratch", "be a folder that is there", repr(self.scratch), remedy)
        if self.redundancy is not None:
            remedy = "say how many workers may be lost, or leave it out"
            checks.integer(CALL, "redundancy", self.redundancy, 0, remedy)
        if not isinstance(self.verify, str) or self.verify not in LIES:
            remedy = "leave it out for 'off'"
            raise checks.refusal(CALL, "verify", "be 'off', 'detect' or 'correct'", repr(self.verify), remedy)
        checks.choice(CALL, "aim", self.aim, AIMS, "leave it out for 'p99'")
        if self.aim != "p99" and self.scheduler != "auto":
            must = "be left out where 'scheduler' is named"
            remedy = "leave out one of them: it says what code='auto' chooses a scheduler for"
            raise checks.refusal(CALL, "aim", must, repr(self.aim), remedy)

    def settled(self, call: str, workers: int) -> Options:
        """The same without ``redundancy``, which a call acts on; refused where there are not more workers."""
        if self.redundancy is None:
            return self
        if self.redundancy >= workers:
            must, remedy = f"be less than the number of workers, {workers}", "lose fewer, or use more workers"
            raise checks.refusal(call, "redundancy", must, self.redundancy, remedy)
        return replace(self, redundancy=None)

    @property
    def stop_rule(self) -> StopRule:
        """When a job is done, in one rule."""
        return stop_rule(CALL, self.tolerance, self.deadline, self.stop)

    @classmethod
    def of(cls, options: Options | None, changes: Mapping[str, Any]) -> Options:
        """The options that a face was given together, with those changed that it was given by keyword.

        Examples
        --------
        >>> Options.of(Options(deadline=2.0), {"tolerance": 0.1}).stop_rule
        Either(first=Tolerance(error=0.1), second=Deadline(seconds=2.0))
        """
        if options is not None and not isinstance(options, cls):
            remedy = "write kofn.Options(deadline=2.0), for example"
            raise checks.refusal(CALL, "options", "be an Options", repr(options), remedy)
        check_names(changes)
        return replace(options or cls(), **changes)


def check_names(given: Mapping[str, Any]) -> None:
    """Refuse what is no option, or no longer."""
    for name, value in given.items():
        if name in GONE:
            raise checks.refusal(CALL, name, "be left out", repr(value), GONE[name])
        if name not in OptionKeywords.__annotations__:
            raise checks.unknown(CALL, name, ELSEWHERE.get(name, "see kofn.Options for those there are"))


def _is_folder(given: Any) -> bool:
    return isinstance(given, str | os.PathLike) and Path(given).is_dir()
