"""The same product by every code, on the same workers: when was it good, when exact, and what was wasted?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn import Answer, Progress, Report, Scheme, start
from kofn.engines import Pool
from kofn.schemes import kronecker, mds, repetition, uncoded

Array = NDArray[Any]

BLOCKS = (2, 3)
GOOD = 0.1
"""Expected relative error at which an estimate counts as good."""


@dataclass(frozen=True)
class Method:
    """A way to do the product on so many workers.

    Parameters
    ----------
    name, idea : str
    build : callable
        ``build(A, B, workers=…, rng=…)`` returns the scheme: block products of one size, whatever the code.
    scheduler : str
        What idle workers are given, as `kofn.start` calls it.
    """

    name: str
    idea: str
    build: Callable[..., Scheme]
    scheduler: str = "auto"


METHODS: Sequence[Method] = (
    Method("uncoded", "every block product once, all of them needed", partial(uncoded, blocks=BLOCKS)),
    Method(
        "repetition",
        "every block product twice, the first copy counts",
        partial(repetition, blocks=BLOCKS, rows=2 * math.prod(BLOCKS)),
    ),
    Method(
        "backup tasks",
        "uncoded, and idle workers repeat what slow ones compute",
        partial(uncoded, blocks=BLOCKS),
        scheduler="speculative",
    ),
    Method("mds", "row blocks of the left factor coded", partial(mds, blocks=(math.prod(BLOCKS), 1))),
    Method("kronecker", "both factors coded, the energy first", partial(kronecker, blocks=BLOCKS)),
)


@dataclass(frozen=True, eq=False)
class MethodResult:
    """How a contender did.

    Parameters
    ----------
    name : str
    exact_seconds, exact_error : float
        When the answer was exact, and its true relative error.
    good_seconds, good_error, good_true_error : float
        When the expected error was at most `GOOD` for the first time, and the expected and true errors then.
    curve : sequence of (seconds, expected error, true error)
        One point an estimate.
    value : array
        The exact answer.
    report : Report
    """

    name: str
    exact_seconds: float
    exact_error: float
    good_seconds: float
    good_error: float
    good_true_error: float
    curve: Sequence[tuple[float, float, float]]
    value: Array
    report: Report


def compete(
    contender: Method,
    A: Array,
    B: Array,
    truth: Array,
    pool: Pool,
    seed: int,
    watch: Callable[[Progress], None],
) -> MethodResult:
    """Run one contender on the pool and judge every estimate against the truth once it is over.

    Parameters
    ----------
    watch : callable
        Called after every arrival.
    """
    scheme = contender.build(A, B, workers=pool.n, rng=seed)
    estimates = []
    with start(scheme, workers=pool, scheduler=contender.scheduler) as job:
        for estimate in job:
            estimates.append(estimate)
            watch(progress_of(scheme, estimate))
    curve = [(e.report.seconds, e.error, relative_error(e.value, truth)) for e in estimates]
    good = next(point for point in curve if point[1] <= GOOD)
    seconds, _, true_error = curve[-1]
    answer = estimates[-1]
    return MethodResult(contender.name, seconds, true_error, *good, curve, answer.value, answer.report)


def progress_of(scheme: Scheme, estimate: Answer) -> Progress:
    """Where a job stood when it gave an estimate."""
    code = scheme.code
    arrived = [attempt.row for attempt in estimate.report.of("arrived")]
    rank = int(np.linalg.matrix_rank(code.generator[arrived])) if arrived else 0
    seconds = estimate.report.seconds
    return Progress(estimate.count, code.rows, rank, code.unknowns, estimate.error, estimate.exact, seconds)


def relative_error(value: Array, truth: Array) -> float:
    """‖value − truth‖ / ‖truth‖ in the Frobenius norm.

    Examples
    --------
    >>> round(relative_error(np.array([[3.0, 4.4]]), np.array([[3.0, 4.0]])), 6)
    0.08
    """
    return float(np.linalg.norm(value - truth) / np.linalg.norm(truth))
