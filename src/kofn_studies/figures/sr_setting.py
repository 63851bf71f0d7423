"""The setting of Mallick, Joshi 2022, Sec. IV: every scheme in the same runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from kofn.codes import LinearCode
from kofn.schemes import lt, sr
from kofn.schemes.sums import starts_of, usual_blocks

from .._types import Floats
from ..study import Point, Result, Results
from ..sums.rateless import rateless, rows_peeled, rows_predicted
from ..sums.times import Delays, SumTimes, bound, hinted, shared, walked
from .figure import Request, Series

PAPER = "Mallick, Joshi 2022"
TERMS, DEGREE, PACE, MEAN = 1000, 10, 0.005, 5.0
SHAPE, LEAST = 1.25, 1.0
CAP = 100
"""Rows of a worker with LT codes."""
CHUNK = 100
"""Runs of a point."""


@dataclass(frozen=True, eq=False)
class Runs:
    """Some runs of a study: their delays, and what else is drawn for them depends on their numbers and the seed.

    Parameters
    ----------
    delays : Delays
    seed : int
    first : int
        Number of the first one.
    """

    delays: Delays
    seed: int
    first: int = 0

    @property
    def terms(self) -> int:
        """As many as workers."""
        return int(self.delays.wake.shape[1])


def paper_delays(runs: int, seed: int, terms: int = TERMS, first: int = 0) -> Delays:
    """X ~ Exp(0.2) and τ = 0.005 for as many workers as terms."""
    whole = Delays.exponential(first + runs, terms, MEAN, PACE, [seed, 1])
    return Delays(whole.wake[first:], PACE)  # type: ignore[arg-type]


def pareto_delays(runs: int, seed: int, terms: int = TERMS, first: int = 0) -> Delays:
    """P(X > x) = x^(−1.25) for x ≥ 1, of mean 5."""
    wake = LEAST * (1.0 + np.random.default_rng([seed, 6]).pareto(SHAPE, (first + runs, terms)))
    return Delays(wake[first:], PACE)  # type: ignore[arg-type]


DELAYS = {"exponential": paper_delays, "pareto": pareto_delays}
"""By name, each ``(runs, seed, terms, first)``."""


def sr_code(m: int, degree: int, access: int, workers: int, rows: int, rng: np.random.Generator) -> LinearCode:
    """SR-k for the workers that are awake."""
    most = 1 + -(-(access - 1) // degree)
    return sr(m, degree=degree, access=access, sources=m, rows=min(rows, most), workers=workers, rng=rng)


def lt_code(m: int, c: float, workers: int, rows: int, rng: np.random.Generator) -> LinearCode:
    """LT for the workers that are awake."""
    return lt(m, c=c, delta=0.5, rows=rows, workers=workers, rng=rng)


def sum_recovery(runs: Runs, access: int | None = None, degree: int = DEGREE) -> SumTimes:
    """SR(d), or SR-k with ``access``; M' = max(m, first cover), which tests compare with exact elimination."""
    m = runs.terms
    build = partial(sr_code, m, degree, m if access is None else access)
    least, rng = 0.7 * degree * m, [runs.seed, 2]
    return rateless(runs.delays, build, rows_predicted, least=least, cap=m, rng=rng, first=runs.first)[0]


def luby(runs: Runs, c: float) -> SumTimes:
    """LT decoded by peeling."""
    m = runs.terms
    build, least, rng = partial(lt_code, m, c), 0.7 * DEGREE * m, [runs.seed, 3]
    return rateless(runs.delays, build, rows_peeled, least=least, cap=CAP, rng=rng, first=runs.first)[0]


def cyclic(delays: Delays, blocks: int | None = None) -> SumTimes:
    """Cyclic blocks, starts spread evenly."""
    m = delays.wake.shape[1]
    blocks = usual_blocks(m, m) if blocks is None else blocks
    return walked(delays, starts_of(None, m, blocks), m, blocks)


def hint(delays: Delays) -> SumTimes:
    """One hint for each worker when it wakes up."""
    m = delays.wake.shape[1]
    blocks = usual_blocks(m, m)
    return walked(delays, hinted(delays, m, blocks), m, blocks)


def uncoded(delays: Delays) -> SumTimes:
    """Unc: every worker has a share of its own."""
    m = delays.wake.shape[1]
    return shared(delays, np.arange(m), m, m)


def repeated(delays: Delays) -> SumTimes:
    """Rep(d): neighbours compute the same share."""
    m = delays.wake.shape[1]
    return shared(delays, np.arange(m) // DEGREE, m, m // DEGREE)


def coupons(runs: Runs) -> SumTimes:
    """BCC(d): a share drawn at random."""
    m = runs.terms
    rng = np.random.default_rng([runs.seed, 4])
    share = rng.integers(m // DEGREE, size=(runs.first + runs.delays.runs, m))[runs.first :]
    return shared(runs.delays, share, m, m // DEGREE)


def single(delays: Delays) -> SumTimes:
    """One: the first worker computes everything."""
    m = delays.wake.shape[1]
    return shared(delays, np.where(np.arange(m) == 0, 0, -1), m, 1)


SCHEMES: dict[str, Callable[[Runs], SumTimes]] = {
    "one": lambda runs: single(runs.delays),
    "unc": lambda runs: uncoded(runs.delays),
    "rep": lambda runs: repeated(runs.delays),
    "bcc": coupons,
    "lt": lambda runs: luby(runs, 0.03),
    "lt-tuned": lambda runs: luby(runs, 0.1),
    "sr-1000": sum_recovery,
    "sr-400": lambda runs: sum_recovery(runs, 400),
    "sr-100": lambda runs: sum_recovery(runs, 100),
    "cyclic": lambda runs: cyclic(runs.delays),
    "ring": lambda runs: cyclic(runs.delays, runs.terms // 20),
    "hint": lambda runs: hint(runs.delays),
    "bound": lambda runs: SumTimes(bound(runs.delays, runs.terms), np.zeros(runs.delays.runs)),
}
"""Every scheme by the name of its series, in the paper's setting or with other delays."""


@dataclass(frozen=True)
class SchemeRuns(Point):
    """Seconds until the sum is there, ``times`` (runs,), in some runs of a scheme; more runs add to them."""

    scheme: str
    delays: str
    first: int
    runs: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Draw delays and codes, and wait."""
        delays = DELAYS[self.delays](self.runs, self.seed, TERMS, self.first)
        return {"times": SCHEMES[self.scheme](Runs(delays, self.seed, self.first)).times}


def chunks(runs: int) -> list[tuple[int, int]]:
    """First and number of runs of each point; those of fewer runs are among them, but for the last.

    Examples
    --------
    >>> chunks(250)
    [(0, 100), (100, 100), (200, 50)]
    """
    return [(first, min(CHUNK, runs - first)) for first in range(0, runs, CHUNK)]


def runs_of(scheme: str, delays: str, request: Request) -> list[Point]:
    """The points of a scheme, in order."""
    return [SchemeRuns(scheme, delays, *chunk, request.seed) for chunk in chunks(request.trials)]


def joined(points: Sequence[Point], results: Results, name: str) -> Floats:
    """What points add up to: the runs of all of them."""
    whole: Floats = np.concatenate([results[point][name] for point in points])
    return whole


def tails(schemes: Sequence[str], delays: str, at: Sequence[float], request: Request, results: Results) -> list[Series]:
    """P(T > t) of each scheme."""
    return [tail(name, joined(runs_of(name, delays, request), results, "times"), at) for name in schemes]


def tail(name: str, samples: Floats, at: Sequence[float]) -> Series:
    """P(sample > x) at some x, with its standard error; a sample of infinity is above all of them."""
    above = np.array([np.mean(samples > x) for x in at])
    # The error of a share that was never or always seen is that of one event in so many trials.
    spread = np.maximum(above * (1 - above), 1.0 / len(samples))
    return Series(name, at, above, np.sqrt(spread / len(samples)))
