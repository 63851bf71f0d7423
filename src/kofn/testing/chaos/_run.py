"""So many jobs on an engine, and what came of them in figures."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import integer
from ...errors import LeftOut
from ...jobs._answer import Answer
from ...simulation import VirtualPool
from .._belongings import everything
from ._draws import Engine, Round, draw_round
from ._engines import ENGINES, MakePool, session
from ._play import Result, await_nothing_left, play_case, play_round
from ._programs import play_program

CALL = "kofn.testing.chaos.run"


@dataclass(frozen=True)
class Tally:
    """What came of all jobs.

    Parameters
    ----------
    engine : str
    seed : int
    results : sequence of Result
    """

    engine: str
    seed: int
    results: Sequence[Result]

    @property
    def faults(self) -> list[Result]:
        """What kofn is to blame for: answers that are wrong, errors that do not fit, what hung, and what was left."""
        return [result for result in self.results if result.is_fault]

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs ended in which way."""
        return dict(Counter(result.kind for result in self.results if result.case >= 0).most_common())

    @property
    def calibration(self) -> float:
        """Mean squared error of estimates over what they said of it: about 1, or less, where they are honest."""
        offs = [result.off for result in self.results if result.off is not None]
        return float(np.mean(offs)) if offs else 0.0

    def __str__(self) -> str:
        jobs = sum(self.counts.values())
        ends = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        lines = [f"{jobs} jobs on {self.engine}, seed {self.seed}: {ends}"]
        lines += [f"squared errors of estimates are {self.calibration:.2g} of what they say, in the mean"]
        lines += [f"FAULT ({fault.kind}, job {fault.case}): {fault.text}" for fault in self.faults]
        return "\n".join([*lines, f"{len(self.faults)} faults"])


def run(
    engine: str = "local",
    jobs: int = 200,
    seed: int = 0,
    *,
    first: int = 0,
    tell: Callable[[Round, Sequence[Result]], object] = lambda round, results: None,
    watch: Callable[[Answer], object] = lambda answer: None,
) -> Tally:
    """Run drawn jobs under drawn mishaps, and compare all that comes of them with what is right.

    Parameters
    ----------
    engine : {"local", "threads", "dask", "ray", "mpi", "virtual"}
    jobs : int
        How many.
    seed : int
        Of everything that is drawn.
    first : int
        Number of the first round: a round depends on the seed and its number alone.
    tell : callable
        Called with each round and its results.
    watch : callable
        Called with every answer.

    Returns
    -------
    Tally

    Examples
    --------
    >>> tally = run("virtual", jobs=5)
    >>> sum(tally.counts.values()), tally.faults
    (5, [])
    """
    jobs, seed = integer(CALL, "jobs", jobs, 1, "run one"), integer(CALL, "seed", seed, 0, "leave it out for 0")
    results: list[Result] = []
    with _temporary_files(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)  # liars are left out here, as they should be
        before = everything()
        with session(engine) as make_pool:
            if engine == "mpi":  # what serves the ranks ends with the program
                before = everything()
            done, number = 0, first
            while done < jobs:
                round = draw_round(seed, number, ENGINES[engine], done, jobs - done)
                came = _play(round, make_pool, watch, ENGINES[engine])
                tell(round, came)
                results += came
                done, number = done + len(round.cases), number + 1
        left = await_nothing_left(before, ENGINES[engine].cluster)
        # What a cluster's own client leaves open is its own affair.
        left = {name for name in left if not (ENGINES[engine].cluster and name.startswith("descriptor "))}
    return Tally(engine, seed, results + [Result(-1, "left", f"the end leaves {sorted(left)}")] * bool(left))


def _play(round: Round, make_pool: MakePool, watch: Callable[[Answer], object], engine: Engine) -> list[Result]:
    if round.cases[0].face == "program":
        return play_program(round, f"{engine.name}:{round.workers}")
    if not round.delays:
        return play_round(round, make_pool, watch, engine.cluster)
    results = []
    for case in round.cases:  # each begins at time 0, or a pool that died would serve no other
        with VirtualPool(round.delays, round.deaths) as pool:
            results.append(play_case(case, round, pool, watch))
    return results


@contextmanager
def _temporary_files() -> Iterator[Any]:
    """A folder of temporary files of its own, so that what is left there is seen."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="kofn-chaos-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before
