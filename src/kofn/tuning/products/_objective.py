"""What a design is to be good at, as data: losses are weighed over times, or compared with a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import checks
from ..._base._numbers import Floats
from ...simulation._latency import Latency

CALL = "kofn.design"

MOMENTS = 12
"""Times at which an integral over time is evaluated."""

TRIALS = 200
"""Of a latency model, by which it is told how long to look."""


@dataclass(frozen=True, eq=False)
class Objective:
    """Σ_k weight_k · E[loss at time_k], or with a target Σ_k weight_k · P(error at time_k > target).

    Parameters
    ----------
    name : str
        How reports call it.
    times, weights : (moments,) arrays
    target : float, optional
        An expected relative error: the integral of P(error > target) is the mean time to reach it.

    Examples
    --------
    >>> deadline(0.5).of(np.array([[0.25, 0.5]]), np.array([[0.5, 0.5]]))
    0.375
    """

    name: str
    times: Floats
    weights: Floats
    target: float | None = None

    def of(self, losses: Floats, chances: Floats) -> float:
        """Value for losses, (moments, cases), that occur with these chances."""
        felt = losses if self.target is None else np.asarray(losses > self.target**2, dtype=np.float64)
        return float(self.weights @ np.sum(felt * chances, axis=1))


def deadline(seconds: float) -> Objective:
    """Expected normalised loss at a deadline, T_max of Tegin et al. 2022, eq. (2)."""
    return Objective(f"expected loss at {seconds:g} s", np.array([seconds]), np.ones(1))


def objective_of(given: dict[str, float | None], latency: Latency, rows: int, threshold: int) -> Objective:
    """The objective that exactly one of ``deadline``, ``target_error`` and ``area`` means.

    The target error counts the time until the expected relative error is at most that, or until twice the median time
    at which ``threshold`` of ``rows`` results are in; the area is that under the curve of expected loss against time.

    Raises
    ------
    ArgumentError
    """
    said = {name: value for name, value in given.items() if value is not None}
    if len(said) != 1:
        must = "be the only one of deadline=, target_error= and area= that is given"
        raise checks.refusal(CALL, "deadline", must, said or None, "say deadline=0.5, for example")
    (name, value), *_ = said.items()
    number = checks.number(CALL, name, value, "give seconds, or a relative error for target_error", strict=True)
    if name == "deadline":
        return deadline(number)
    end = number if name == "area" else _horizon(latency, rows, threshold)
    times, weights = (np.arange(MOMENTS) + 0.5) * (end / MOMENTS), np.full(MOMENTS, end / MOMENTS)
    if name == "area":
        return Objective(f"area under the loss curve up to {number:g} s", times, weights)
    return Objective(f"mean time to an expected error of {number:g}", times, weights, number)


def _horizon(latency: Latency, rows: int, threshold: int) -> float:
    """Twice the median time at which ``threshold`` of ``rows`` results of load 1 are in."""
    rng = np.random.default_rng(0)
    arrivals = np.sort(latency.arrivals(np.ones(rows), np.arange(rows), TRIALS, rng), axis=1)
    median = float(np.median(arrivals[:, threshold - 1]))
    if not np.isfinite(median):
        must, remedy = f"let {threshold} of {rows} workers answer in half of all cases", "use more workers"
        raise checks.refusal(CALL, "latency", must, "fewer", remedy)
    return 2 * median
