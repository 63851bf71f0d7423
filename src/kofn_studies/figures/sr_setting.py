"""The setting of Mallick, Joshi 2022, Sec. IV: every scheme in the same runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from kofn.codes import LinearCode
from kofn.schemes import lt, sr
from kofn.schemes.sums import starts_of, usual_blocks

from .._types import Floats
from ..sums.rateless import rateless, rows_peeled, rows_predicted
from ..sums.times import Delays, SumTimes, bound, hinted, shared, walked
from .figure import Series

PAPER = "Mallick, Joshi 2022"
TERMS, DEGREE, PACE, MEAN = 1000, 10, 0.005, 5.0
CAP = 100
"""Rows of a worker with LT codes."""


def paper_delays(runs: int, seed: int, terms: int = TERMS) -> Delays:
    """X ~ Exp(0.2) and τ = 0.005 for as many workers as terms."""
    return Delays.exponential(runs, terms, MEAN, PACE, [seed, 1])


def sr_code(m: int, degree: int, access: int, workers: int, rows: int, rng: np.random.Generator) -> LinearCode:
    """SR-k for the workers that are awake."""
    most = 1 + -(-(access - 1) // degree)
    return sr(m, degree=degree, access=access, sources=m, rows=min(rows, most), workers=workers, rng=rng)


def lt_code(m: int, c: float, workers: int, rows: int, rng: np.random.Generator) -> LinearCode:
    """LT for the workers that are awake."""
    return lt(m, c=c, delta=0.5, rows=rows, workers=workers, rng=rng)


def sum_recovery(delays: Delays, seed: int, access: int | None = None, degree: int = DEGREE) -> SumTimes:
    """SR(d), or SR-k with ``access``; M' = max(m, first cover), which tests compare with exact elimination."""
    m = delays.wake.shape[1]
    build = partial(sr_code, m, degree, m if access is None else access)
    return rateless(delays, build, rows_predicted, least=0.7 * degree * m, cap=m, rng=[seed, 2])[0]


def luby(delays: Delays, seed: int, c: float, cap: int = CAP) -> SumTimes:
    """LT decoded by peeling."""
    m = delays.wake.shape[1]
    return rateless(delays, partial(lt_code, m, c), rows_peeled, least=0.7 * DEGREE * m, cap=cap, rng=[seed, 3])[0]


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


def repeated(delays: Delays) -> SumTimes:
    """Rep(d): neighbours compute the same share."""
    m = delays.wake.shape[1]
    return shared(delays, np.arange(m) // DEGREE, m, m // DEGREE)


def coupons(delays: Delays, seed: int) -> SumTimes:
    """BCC(d): a share drawn at random."""
    m = delays.wake.shape[1]
    share = np.random.default_rng([seed, 4]).integers(m // DEGREE, size=delays.wake.shape)
    return shared(delays, share, m, m // DEGREE)


def single(delays: Delays) -> SumTimes:
    """One: the first worker computes everything."""
    m = delays.wake.shape[1]
    return shared(delays, np.where(np.arange(m) == 0, 0, -1), m, 1)


SCHEMES: dict[str, Callable[[Delays, int], SumTimes]] = {
    "one": lambda delays, seed: single(delays),
    "unc": lambda delays, seed: shared(delays, np.arange(delays.wake.shape[1]), *(2 * delays.wake.shape[1:])),
    "rep": lambda delays, seed: repeated(delays),
    "bcc": coupons,
    "lt": lambda delays, seed: luby(delays, seed, 0.03),
    "lt-tuned": lambda delays, seed: luby(delays, seed, 0.1),
    "sr-1000": sum_recovery,
    "sr-400": lambda delays, seed: sum_recovery(delays, seed, 400),
    "sr-100": lambda delays, seed: sum_recovery(delays, seed, 100),
    "cyclic": lambda delays, seed: cyclic(delays),
    "ring": lambda delays, seed: cyclic(delays, delays.wake.shape[1] // 20),
    "hint": lambda delays, seed: hint(delays),
    "bound": lambda delays, seed: SumTimes(bound(delays, delays.wake.shape[1]), np.zeros(delays.runs)),
}
"""Every scheme by the name of its series, in the paper's setting or with other delays."""


def tail(name: str, samples: Floats, at: Sequence[float]) -> Series:
    """P(sample > x) at some x, with its standard error; a sample of infinity is above all of them."""
    above = np.array([np.mean(samples > x) for x in at])
    # The error of a share that was never or always seen is that of one event in so many trials.
    spread = np.maximum(above * (1 - above), 1.0 / len(samples))
    return Series(name, at, above, np.sqrt(spread / len(samples)))
