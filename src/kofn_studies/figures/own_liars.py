"""Past the papers: runs with workers that return wrong results, against how many there are.

Twelve workers have a row each of a code that any six results decode. With ``verify="correct"`` wrong results are found
by the redundancy alone; those of a product are checked with a key as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import kofn
from kofn.codes import LinearCode, gaussian_frame
from kofn.schemes import CustomScheme
from kofn.simulation import VirtualPool
from kofn.testing import faults

from .._types import Floats
from ..study import Point, Result, Results
from .drawing import panels
from .figure import Figure, Recipe, Request, Series, Study
from .sampling import mean_and_error

TITLE = "Runs with workers that return wrong results, by their number"

WORKERS, NEEDED = 12, 6
COUNTS = (0, 1, 2, 3, 4, 5, 6, 7)

FAULTS: Mapping[str, faults.Fault] = {
    "keyed": faults.Scaled(1.5),
    "scaled": faults.Scaled(1.5),
    "signs": faults.BitFlip(part="sign"),
    "colluding": faults.Colluding(),
}
"""What liars return: a wrong product, 1.5 times what is right, a wrong sign, results that fit together."""

ENDS = ("right", "refused", "wrong", "accused")

SIZE = (8, 9)

TOLERANCE = 30e3
"""In roundings, how far off a right answer may be: 30 thresholds of the check, 1000 roundings each."""


@dataclass(frozen=True)
class LiarRuns(Point):
    """How runs with so many liars end, each (runs,).

    ``right``, ``refused``, ``wrong`` and ``accused`` are 1 where the answer is right, where there is none, where it is
    wrong, and where the report names an honest worker; ``named`` counts the liars that it names. A liar whose result
    comes when there is an answer already is not looked at.

    Parameters
    ----------
    fault : str
        One of `FAULTS`.
    liars, runs, seed : int
    """

    fault: str
    liars: int
    runs: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Run them in virtual time."""
        ends = np.array([self._end(run) for run in range(self.runs)])
        return dict(zip((*ENDS, "named"), ends.T, strict=True))

    def _end(self, run: int) -> tuple[int, ...]:
        rng = np.random.default_rng([self.seed, self.liars, run])
        liars = set(rng.choice(WORKERS, self.liars, replace=False).tolist())
        pool = VirtualPool(rng.uniform(1.0, 2.0, (WORKERS, 20)).tolist())
        with faults.Corrupting(pool, dict.fromkeys(sorted(liars), FAULTS[self.fault]), run) as lying:
            try:
                answer, truth = (_product if self.fault == "keyed" else _rows)(lying, rng)
            except kofn.KofnError:
                return 0, 1, 0, 0, 0
        off = np.linalg.norm(answer.value - truth) / np.linalg.norm(truth) / max(1.0, answer.amplification)
        is_right = bool(off <= TOLERANCE * np.finfo(np.float64).eps)
        named = {one.worker for one in answer.report.wrong}
        return int(is_right), 0, int(not is_right), int(bool(named - liars)), len(named & liars)


def _rows(pool: Any, rng: np.random.Generator) -> tuple[Any, Floats]:
    """The answer of any scheme, whose results have nothing to be checked with but each other; and what is right."""
    code = LinearCode(
        "frame", gaussian_frame(WORKERS, NEEDED, rng), np.eye(NEEDED), worker=np.arange(WORKERS), threshold=NEEDED
    )
    unknowns = rng.standard_normal((NEEDED, *SIZE))
    tasks = [kofn.Task(np.copy, (row,)) for row in np.tensordot(code.generator, unknowns, axes=1)]
    return kofn.run(CustomScheme(code, tasks), pool, verify="correct"), unknowns


def _product(pool: Any, rng: np.random.Generator) -> tuple[Any, Floats]:
    """A product, whose blocks are checked with a key."""
    a, b = rng.standard_normal((NEEDED * SIZE[0], 20)), rng.standard_normal((20, SIZE[1]))
    return kofn.matmul(a, b, workers=pool, code="mds", blocks=(NEEDED, 1), rng=rng, verify="correct"), a @ b


def study(request: Request) -> Study:
    """For each fault the share of right answers; ``-refused``, ``-wrong``: the others; ``-found``: of the liars."""
    points = {
        (fault, count): LiarRuns(fault, count, request.trials, request.seed) for fault in FAULTS for count in COUNTS
    }

    def figure(results: Results) -> Figure:
        series = []
        for fault in FAULTS:
            for end in ENDS:
                runs = np.stack([results[points[fault, count]][end] for count in COUNTS], axis=1)
                series.append(Series(f"{fault}-{end}", COUNTS, *mean_and_error(runs)))
            found = np.stack([results[points[fault, count]]["named"] / count for count in COUNTS if count], axis=1)
            series.append(Series(f"{fault}-found", COUNTS[1:], *mean_and_error(found)))
        title, y = f"{TITLE}: {WORKERS} workers, any {NEEDED} results decode", "share"
        return Figure("own-liars", title, "kofn", "workers that lie", y, request.seed, request.trials, series)

    return Study(list(points.values()), figure)


def draw(figure: Figure) -> Any:
    """Right answers, liars that are found before there is an answer, runs without one, wrong answers."""
    sides = {
        "runs whose answer is right": "-right",
        "liars that are found": "-found",
        "runs without an answer": "-refused",
        "runs whose answer is wrong": "-wrong",
    }
    return panels(figure, {title: [f"{fault}{end}" for fault in FAULTS] for title, end in sides.items()})


RECIPE = Recipe("own-liars", TITLE, study, draw, trials=200, quick_trials=10)
