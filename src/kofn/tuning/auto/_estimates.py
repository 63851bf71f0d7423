"""Which code tells most of a product at a deadline, or is soonest as precise as is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._decode import decode
from ...schemes._scheme import Scheme
from ...simulation.bench import Recorded

TRIALS = 200
"""Jobs that are drawn."""

SETS = 4
"""Sets of results of which the errors are averaged."""

SAME = 1e-3
"""Expected errors that differ by less are the same."""

Build = Callable[[str, int], Scheme]
"""``build(code, rows)`` gives the scheme of a job."""


@dataclass(frozen=True)
class Told:
    """The code that is best, and what is expected of it.

    Parameters
    ----------
    code : str
    rows : int
    expected, plain : float
        Relative error at the deadline, or seconds until the tolerance is met, of it and of plain rows.
    """

    code: str
    rows: int
    expected: float
    plain: float


def search(
    record: Recorded,
    share: float,
    workers: int,
    among: Sequence[tuple[str, int]],
    deadline: float | None,
    tolerance: float,
    seed: int,
) -> Generator[None, Build, Told]:
    """Try all, plain rows first, on the same draws; returns a `Told`.

    Each step is sent the `Build` of the job at hand. It and its schemes hold that job's matrices, so that neither is
    kept from one step to the next: only codes and priors are. Codes may thus be weighed on matrices of different jobs,
    all of one shape.

    Parameters
    ----------
    record : Recorded
    share : float
        Seconds that a worker needs for its share of plain work.
    among : sequence of (code, rows)
    """
    rng = np.random.default_rng([seed, workers])
    draws = record.draw(TRIALS, workers, rng)
    scores: list[float] = []
    for name, rows in among:
        code, prior = _known_of((yield)(name, rows))
        yield
        errors = yield from errors_of(code, prior, rng)
        load = workers / (code.threshold or code.rows)
        times = share * arrivals(draws.pace, draws.message, load, code.rows, steals=name == "uncoded")
        scores.append(_score(times, errors, deadline, tolerance))
    place = next(i for i, score in enumerate(scores) if score <= min(scores) + (SAME if deadline else 0.0))
    return Told(*among[place], scores[place], scores[0])


def arrivals(pace: Floats, message: Floats, load: float, rows: int, steals: bool) -> Floats:
    """When results arrive, (trials, rows), in order, in units of a worker's share of plain work.

    Examples
    --------
    >>> arrivals(np.array([[[1.0, 1.0], [4.0, 4.0]]]), np.zeros((1, 2, 1)), 0.5, 3, steals=True).tolist()
    [[0.5, 1.0, 2.0]]
    """
    workers = pace.shape[1]
    times = np.cumsum(message + pace * load, axis=2)
    if not steals:
        times = times[:, :, : -(-rows // workers)]
    return np.sort(times.reshape(len(times), -1), axis=1)[:, :rows]


def _known_of(scheme: Scheme) -> tuple[LinearCode, Prior]:
    return scheme.code, scheme.prior()


def errors_of(code: LinearCode, prior: Prior, rng: np.random.Generator) -> Generator[None, Build, Floats]:
    """Expected relative error of an estimate from so many results, (rows + 1,): the mean over some sets of them."""
    errors = np.ones(code.rows + 1)
    for count in range(1, code.rows + 1):
        sets = np.array([rng.permutation(code.rows)[:count] for _ in range(SETS)])
        errors[count] = float(np.mean([decode(code, rows, prior).error for rows in sets]))
        if errors[count] == 0.0:
            errors[count:] = 0.0
            break
        yield
    return errors


def _score(times: Floats, errors: Floats, deadline: float | None, tolerance: float) -> float:
    """What is to be small: the mean error at the deadline, or else the 99th percentile of when the tolerance is met."""
    if deadline is not None:
        return float(errors[(times <= deadline).sum(axis=1)].mean())
    enough = np.flatnonzero(errors <= tolerance)
    if not enough.size or enough[0] == 0:
        return 0.0 if enough.size else math.inf
    return float(np.quantile(times[:, enough[0] - 1], 0.99, method="inverted_cdf"))
