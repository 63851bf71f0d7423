"""Simulation: when would a job stop, and how wrong would its estimate be, over many trials at once.

A latency model says when rows would arrive, and the functions that a `Collector` uses
(`kofn.codes.decoding.decodable` and `decode`) say what they are worth. That depends only on the set of rows that
arrived, so every distinct set of a simulation is examined once, in stacks that fit the cache. Arguments that
cannot work are refused with `ArgumentError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import checks
from .._base._numbers import EPSILON, Floats, Seed
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes.decoding._decode import decodable, decode
from ..codes.decoding._estimators import Estimator, check_estimator
from ..jobs._collector import Collector
from ..jobs._stop import Both, Count, Deadline, Decodable, Either, StopRule, Tolerance, looks_back
from ..schemes._scheme import Scheme
from ._latency import Latency, check_latency

Rows = NDArray[np.intp]
Measure = Callable[[Rows], Any]

STACK_BYTES = 1 << 18
"""Generators are stacked up to about this size: some eight such arrays are in use at once."""


def simulate(
    code: Any,
    latency: Latency,
    trials: int = 1000,
    rng: Seed = None,
    *,
    stop: StopRule | None = None,
    prior: Prior | None = None,
    estimator: Estimator = "lmmse",
) -> Floats:
    """Draw the time at which a job stops, in many trials.

    Parameters
    ----------
    code : LinearCode or Scheme
        A scheme brings its prior and the precision of its results along.
    latency : Latency
    trials : int
        At least 1; memory is about 40 bytes a trial and row.
    rng : None, int or numpy.random.Generator
        The same int gives the same delays to every code, worker by worker.
    stop : StopRule
        `Decodable` by default.
    prior : Prior, optional
        What is expected of the unknowns, for `Tolerance`; the scheme's own, or equal energies, by default.
    estimator : {"lmmse", "exact", "peeling"} or Rule
        As for `kofn.codes.decoding.decode`.

    Returns
    -------
    (trials,) array
        Seconds since the start; inf where the rule is never met.

    Raises
    ------
    ArgumentError
        When an argument is none of these; `stop_times` does the same for arrivals that were measured.

    Examples
    --------
    Any two of three workers: the second of three exponential times is 1/3 + 1/2 on average.

    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> from kofn.simulation._latency import Exponential
    >>> round(float(simulate(code, Exponential(1.0), trials=100_000, rng=0).mean()), 2)
    0.83
    """
    judge = _Judge.of("kofn.simulate", code, prior, estimator)
    arrivals = _draw("kofn.simulate", judge.code, latency, trials, rng)
    return _find_stops(judge, arrivals, _check_rule("kofn.simulate", stop))


def stop_times(
    code: Any,
    arrivals: ArrayLike,
    *,
    stop: StopRule | None = None,
    prior: Prior | None = None,
    estimator: Estimator = "lmmse",
) -> Floats:
    """Tell when jobs with these arrivals stop.

    Parameters
    ----------
    code, stop, prior, estimator
        As for `simulate`.
    arrivals : (trials, rows) array
        Seconds since the start at which each row arrived; inf or NaN for never.

    Returns
    -------
    (trials,) array, as from `simulate`

    Examples
    --------
    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> stop_times(code, [[0.3, 0.1, 0.2], [0.3, np.inf, np.inf]])
    array([0.2, inf])
    """
    judge = _Judge.of("kofn.simulation.stop_times", code, prior, estimator)
    known = _order("kofn.simulation.stop_times", "arrivals", arrivals, judge.code.rows)
    return _find_stops(judge, known, _check_rule("kofn.simulation.stop_times", stop))


def errors_by_count(
    code: Any,
    latency: Latency | None = None,
    trials: int = 1000,
    rng: Seed = None,
    *,
    prior: Prior | None = None,
    estimator: Estimator = "lmmse",
) -> Floats:
    """Expected relative error after each number of results, in many trials.

    Parameters
    ----------
    code, trials, rng, prior, estimator
        As for `simulate`.
    latency : Latency, optional
        Gives the order of arrival; uniformly random by default.

    Returns
    -------
    (trials, rows + 1) array
        Column ``w``: √(expected loss / expected energy) once ``w`` results are in, 0 where all is exact; the
        last error stays where fewer ever arrive. Its mean square is the normalised loss of Tegin et al. 2022, Fig. 8.

    Examples
    --------
    >>> code = LinearCode("uncoded", np.eye(2), np.eye(2), worker=[0, 1], threshold=2)
    >>> errors_by_count(code, trials=1, rng=0).round(3)
    array([[1.   , 0.707, 0.   ]])
    """
    judge = _Judge.of("kofn.simulation.errors_by_count", code, prior, estimator)
    order = _RandomOrder() if latency is None else latency
    arrivals = _draw("kofn.simulation.errors_by_count", judge.code, order, trials, rng)
    return _errors(judge, arrivals, np.minimum(np.arange(judge.code.rows + 1), arrivals.came[:, None]))


def errors_at(
    code: Any,
    latency: Latency,
    times: ArrayLike,
    trials: int = 1000,
    rng: Seed = None,
    *,
    prior: Prior | None = None,
    estimator: Estimator = "lmmse",
) -> Floats:
    """Expected relative error at given times, in many trials.

    Parameters
    ----------
    code, latency, trials, rng, prior, estimator
        As for `simulate`.
    times : (times,) array
        Seconds since the start.

    Returns
    -------
    (trials, times) array
        √(expected loss / expected energy) of the estimate from what arrived by then, 0 where all is exact.
        Its mean square is the expected normalised loss at a deadline T_max (Tegin et al. 2022, eqs. (2) and (9)).

    Examples
    --------
    >>> from kofn.simulation._latency import Trace
    >>> code = LinearCode("uncoded", np.eye(2), np.eye(2), worker=[0, 1], threshold=2)
    >>> errors_at(code, Trace([[1.0, 2.0]]), [0.5, 1.0, 3.0], trials=1).round(3)
    array([[1.   , 0.707, 0.   ]])
    """
    judge = _Judge.of("kofn.simulation.errors_at", code, prior, estimator)
    moments = np.asarray(times, dtype=np.float64)
    if moments.ndim != 1 or np.isnan(moments).any():
        remedy = "write [0.5, 1.0], for example"
        raise checks.refusal("kofn.simulation.errors_at", "times", "be a vector of seconds", repr(times), remedy)
    arrivals = _draw("kofn.simulation.errors_at", judge.code, latency, trials, rng)
    return _errors(judge, arrivals, arrivals.counts_at(moments))


@dataclass(frozen=True, eq=False)
class _Judge:
    """How received sets are judged."""

    code: LinearCode
    source: Any  # the code, or the scheme that has it
    given: Prior | None
    estimator: Estimator
    epsilon: float

    @classmethod
    def of(cls, call: str, source: Any, prior: Prior | None, estimator: Estimator) -> _Judge:
        code = getattr(source, "code", source)
        if not isinstance(code, LinearCode):
            must = "be a LinearCode or a Scheme"
            raise checks.refusal(call, "code", must, repr(source), "build one with kofn.schemes")
        if prior is not None and (not isinstance(prior, Prior) or prior.unknowns != code.unknowns):
            must, remedy = f"be a Prior of {code.unknowns} unknowns", "leave it out for equal energies"
            raise checks.refusal(call, "prior", must, getattr(prior, "unknowns", repr(prior)), remedy)
        return cls(code, source, prior, check_estimator(call, estimator), getattr(source, "epsilon", EPSILON))

    @cached_property
    def prior(self) -> Prior:
        # A scheme's prior can cost a pass over the data: asked for only when a rule needs it.
        if self.given is None and isinstance(self.source, Scheme):
            return self.source.learner().prior({})
        return Prior.independent(np.ones(self.code.unknowns)) if self.given is None else self.given

    def exact(self, rows: Rows) -> NDArray[np.bool_]:
        return decodable(self.code, rows, self.epsilon, self.estimator)

    def error(self, rows: Rows) -> Floats:
        return decode(self.code, rows, self.prior, self.estimator, self.epsilon).error

    def per_set(self, measure: Measure, order: Rows, count: int) -> Any:
        """Measure the set of the first ``count`` rows of every trial, each distinct set once."""
        first, which = _find_distinct(order, count, self.code.rows)
        sets = np.sort(order[first, :count], axis=1)
        step = max(1, STACK_BYTES // (8 * max(1, count * self.code.unknowns)))
        parts = [measure(sets[start : start + step]) for start in range(0, len(sets), step)]
        return np.concatenate(parts)[which]


class _Arrivals:
    """Arrivals in order: rows ``order[t, :came[t]]`` arrive, and ``w`` of them are in at ``times[t, w]``."""

    def __init__(self, arrivals: Floats) -> None:
        self.came: Rows = np.sum(np.isfinite(arrivals), axis=1)
        self.order: Rows = np.argsort(arrivals, axis=1, kind="stable")
        self.times: Floats = np.full((len(arrivals), arrivals.shape[1] + 2), math.inf)
        self.times[:, 0] = 0.0
        self.times[:, 1:-1] = np.take_along_axis(arrivals, self.order, axis=1)

    def time_of(self, counts: Rows | int) -> Floats:
        """Seconds at which so many results are in, (trials,); inf where they never are."""
        times = self.times[np.arange(len(self.came)), np.minimum(counts, self.came + 1)]
        return np.where(counts <= self.came, times, math.inf)

    def counts_at(self, moments: Floats) -> Rows:
        """Results that are in at each moment, (trials, moments)."""
        counts = [np.sum(self.times[:, 1:] <= moment, axis=1) for moment in moments]
        return np.minimum(np.reshape(counts, (len(moments), len(self.came))).T, self.came[:, None])


class _RandomOrder:
    def arrivals(self, work: Floats, worker: Rows, trials: int, rng: np.random.Generator) -> Floats:
        return rng.random((trials, len(work)))


def _draw(call: str, code: LinearCode, latency: Latency, trials: int, rng: Seed) -> _Arrivals:
    check_latency(call, "latency", latency)
    trials = checks.integer(call, "trials", trials, 1, "ask for at least one trial")
    random = checks.generator(call, rng)
    arrivals = latency.arrivals(code.work, code.worker, trials, random)
    return _order(call, "latency", arrivals, code.rows, trials)


def _order(call: str, argument: str, given: Any, rows: int, trials: int | None = None) -> _Arrivals:
    shape = f"({'trials' if trials is None else trials}, {rows})"
    must, remedy = f"give arrivals of shape {shape} at seconds >= 0", "use inf for a row that never arrives"
    try:
        times = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise checks.refusal(call, argument, must, type(given).__name__, remedy) from None
    if times.ndim != 2 or times.shape[1] != rows or len(times) != (len(times) if trials is None else trials):
        raise checks.refusal(call, argument, must, f"shape {times.shape}", remedy)
    if times.min(initial=0.0) < 0:
        raise checks.refusal(call, argument, must, times.min(), remedy)
    return _Arrivals(times)


def _check_rule(call: str, stop: Any) -> StopRule:
    if stop is not None and not isinstance(stop, StopRule):
        raise checks.refusal(call, "stop", "be a stop rule", repr(stop), "use kofn.Decodable(), for example")
    return Decodable() if stop is None else stop


def _find_stops(judge: _Judge, arrivals: _Arrivals, stop: StopRule) -> Floats:
    """When each trial stops, (trials,): known rules for all trials at once, others arrival by arrival."""
    # With a code's own estimator, one more result can make the error larger: what is met need not stay met.
    stays = isinstance(judge.estimator, str)
    match stop:
        case Decodable():
            targets = judge.code.targets
            rank = int(np.linalg.matrix_rank(targets)) if targets.size else 0  # fewer results cannot do
            return arrivals.time_of(_first_prefix(judge, judge.exact, arrivals, rank))
        case Tolerance(bound) if stays:  # the error is 0 where all is exact
            return arrivals.time_of(_first_prefix(judge, lambda rows: judge.error(rows) <= bound, arrivals, 1))
        case Count(results):
            return arrivals.time_of(results)
        case Deadline(seconds):
            return np.full(len(arrivals.came), float(seconds))
        case Either(first, second):
            return np.minimum(_find_stops(judge, arrivals, first), _find_stops(judge, arrivals, second))
        case Both(first, second) if stays and not looks_back(stop):
            return np.maximum(_find_stops(judge, arrivals, first), _find_stops(judge, arrivals, second))
    return np.array([_replay(judge, arrivals, stop, trial) for trial in range(len(arrivals.came))])


def _replay(judge: _Judge, arrivals: _Arrivals, stop: StopRule, trial: int) -> float:
    """Drive a collector with one trial, waking it when the rule asks for that."""
    prior = lambda: judge.prior  # noqa: E731 — asked for only when the rule needs it
    collector = Collector(judge.code, prior, judge.estimator, stop, judge.epsilon)
    came = arrivals.came[trial]
    times, rows = arrivals.times[trial, 1 : came + 1], arrivals.order[trial, :came]
    for time, row in [(0.0, None), *zip(map(float, times), map(int, rows), strict=True), (math.inf, None)]:
        while collector.time < (wake := collector.next_change()) < time:
            collector.advance(wake)
            if collector.done:
                return wake
        if row is not None:
            collector.add(row, time)
        if collector.done and time < math.inf:
            return time
    return math.inf


def _first_prefix(judge: _Judge, test: Measure, arrivals: _Arrivals, least: int) -> Rows:
    """Fewest results that pass a monotone test, (trials,); one more than ever arrive where none do.

    Strides double until the test is passed, then intervals are halved, so an MDS code takes one round and a
    code of 1000 rows about twenty.
    """
    below = np.full(len(arrivals.came), least - 1)  # fails
    above = arrivals.came + 1  # passes, or is out of reach
    stride = 1
    while np.any(open_ := above - below > 1):
        galloping = np.minimum(below + stride, above - 1)
        probe = np.where(above > arrivals.came, galloping, (below + above) // 2)
        for count in np.unique(probe[open_]):
            mine = np.flatnonzero(open_ & (probe == count))
            passed = judge.per_set(test, arrivals.order[mine], int(count))
            above[mine[passed]] = count
            below[mine[~passed]] = count
        stride *= 2
    return above


def _errors(judge: _Judge, arrivals: _Arrivals, counts: Rows) -> Floats:
    errors = np.empty(counts.shape)
    for count in np.unique(counts):
        where = counts == count
        mine = np.flatnonzero(where.any(axis=1))
        values = np.zeros(len(counts))
        values[mine] = judge.per_set(judge.error, arrivals.order[mine], int(count))
        errors = np.where(where, values[:, None], errors)
    return errors


def _find_distinct(order: Rows, count: int, rows: int) -> tuple[Rows, Rows]:
    """Index one trial for each distinct set of the first ``count`` rows, and the set of every trial."""
    received = np.zeros((len(order), max(1, rows)), dtype=bool)
    np.put_along_axis(received, order[:, :count], True, axis=1)
    packed = np.packbits(received, axis=1)
    keys = packed.view(f"S{packed.shape[1]}")[:, 0]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first, which
