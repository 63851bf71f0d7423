"""Latency models: when would each row of a code arrive, in each of many trials.

A model is anything with the method of `Latency`; those here compose by wrapping::

    Dying(Slowdown(Exponential(1.0), {3: 10.0}), {5: 2.0})   worker 3 is ten times slower, 5 dies at 2 s

Draws are paired: worker ``w`` uses the ``w``-th run of ``trials`` numbers of the generator, so two codes that
are given the same seed and number of trials meet the same delays, worker by worker, also when one code uses
more workers than the other. Parameters outside the ranges stated are refused with `ArgumentError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .. import checks
from .._base._numbers import Floats
from .._base._travel import Remade

Workers = NDArray[np.intp]


@runtime_checkable
class Latency(Protocol):
    """What a latency model must have."""

    def arrivals(self, work: Floats, worker: Workers, trials: int, rng: np.random.Generator) -> Floats:
        """Draw when each row arrives.

        Parameters
        ----------
        work : (rows,) array
            Work that the row's worker has done when the row is finished (`LinearCode.work`).
        worker : (rows,) int array
            Which worker computes the row.
        trials : int
        rng : numpy.random.Generator

        Returns
        -------
        (trials, rows) array
            Seconds since the start; inf for never.
        """


def check_latency(call: str, argument: str, value: Any) -> None:
    """Refuse what is no latency model, such as the class of one."""
    if not isinstance(value, Latency) or isinstance(value, type):
        remedy = "use kofn.Exponential(1.0), for example"
        raise checks.refusal(call, argument, "be a latency model", repr(value), remedy)


def death_times(latency: Latency, workers: int) -> Floats:
    """Tell when each worker dies under a model, in seconds since the start; inf for never.

    Parameters
    ----------
    latency : Latency
        Its own method ``death_times(workers)`` is asked where it has one, as every wrapper here has.
    workers : int

    Returns
    -------
    (workers,) array

    Examples
    --------
    >>> death_times(Slowdown(Dying(Constant(1.0), {1: 0.5}), {0: 3.0}), 3)
    array([inf, 0.5, inf])
    """
    own = getattr(latency, "death_times", None)
    return np.full(workers, math.inf) if own is None else own(workers)


class _PerUnit:
    """Base of models where a worker has one delay X a unit of work: its rows are done at X·work."""

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        raise NotImplementedError

    def arrivals(self, work: Floats, worker: Workers, trials: int, rng: np.random.Generator) -> Floats:
        """Draw when each row arrives, (trials, rows), as `Latency` says."""
        delays = self._delays(int(worker.max(initial=-1)) + 1, trials, rng)
        # One worker after the other, so that the delays of the first ones agree whatever their number.
        return (delays[worker] * work[:, None]).T


@dataclass(frozen=True)
class Exponential(_PerUnit):
    """Rows are done at X·work with X exponential, drawn once per worker and trial.

    This is Tegin et al. 2022, eq. (8), with F(t) = 1 − e^(−λt) and λ = 1/``scale``; F(Ωt) of its Remark 1 is
    ``scale = 1/(λΩ)``.

    Parameters
    ----------
    scale : float
        Mean seconds per unit of work, > 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> Exponential(2.0).arrivals(np.array([1.0, 2.0]), np.array([0, 0]), 2, rng).round(2)
    array([[1.36, 2.72],
           [2.04, 4.08]])
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        _positive("kofn.Exponential", "scale", self.scale)

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        return rng.exponential(self.scale, (workers, trials))


@dataclass(frozen=True)
class ShiftedExponential(_PerUnit):
    """Rows are done at (shift + X)·work with X exponential: nobody is faster than ``shift``.

    Parameters
    ----------
    shift : float
        Least seconds per unit of work, ≥ 0.
    scale : float
        Mean of X in seconds per unit of work, > 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ShiftedExponential(1.0, 2.0).arrivals(np.array([1.0, 2.0]), np.array([0, 0]), 1, rng).round(2)
    array([[2.36, 4.72]])
    """

    shift: float
    scale: float

    def __post_init__(self) -> None:
        checks.number("kofn.ShiftedExponential", "shift", self.shift, "use 0 for no shift")
        _positive("kofn.ShiftedExponential", "scale", self.scale)

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        return self.shift + rng.exponential(self.scale, (workers, trials))


@dataclass(frozen=True)
class Pareto(_PerUnit):
    """Rows are done at X·work with P(X > x) = (scale/x)^shape for x ≥ scale: a heavy tail.

    Parameters
    ----------
    scale : float
        Least seconds per unit of work, > 0.
    shape : float
        Exponent of the tail, > 0; the mean is infinite for ``shape`` ≤ 1.

    Examples
    --------
    >>> times = Pareto(0.5, 2.0).arrivals(np.ones(3), np.arange(3), 1000, np.random.default_rng(0))
    >>> bool(times.min() >= 0.5), round(float(np.mean(times > 1.0)), 1)
    (True, 0.2)
    """

    scale: float
    shape: float

    def __post_init__(self) -> None:
        _positive("kofn.Pareto", "scale", self.scale)
        _positive("kofn.Pareto", "shape", self.shape)

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        return self.scale * (1.0 + rng.pareto(self.shape, (workers, trials)))


@dataclass(frozen=True)
class Constant(_PerUnit):
    """Rows are done at seconds·work: no randomness.

    Parameters
    ----------
    seconds : float
        Seconds per unit of work, ≥ 0.

    Examples
    --------
    >>> Constant(0.5).arrivals(np.array([1.0, 2.0]), np.array([0, 0]), 1, np.random.default_rng(0))
    array([[0.5, 1. ]])
    """

    seconds: float

    def __post_init__(self) -> None:
        checks.number("kofn.Constant", "seconds", self.seconds, "use 0 for workers that take no time")

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        return np.full((workers, trials), float(self.seconds))


@dataclass(frozen=True, eq=False)
class Trace(Remade, _PerUnit):
    """Delays that were recorded: rows are done at (the worker's recorded seconds per unit)·work.

    Parameters
    ----------
    times : (trials, workers) array
        Seconds per unit of work; NaN or inf where the worker never answered.
    shuffle : bool
        False replays the record in order, over and over; True draws one for each trial, with replacement.

    Raises
    ------
    ArgumentError
        When ``times`` is not such an array, or a code has more workers than the record.

    Examples
    --------
    >>> trace = Trace([[1.0, 2.0], [3.0, np.nan]])
    >>> trace.arrivals(np.ones(2), np.arange(2), 3, np.random.default_rng(0))
    array([[ 1.,  2.],
           [ 3., inf],
           [ 1.,  2.]])
    """

    times: Any
    shuffle: bool = False

    def __post_init__(self) -> None:
        must, remedy = "be a (trials, workers) array of seconds >= 0", "use NaN for a worker that never answered"
        try:
            given, masked = checks.as_array(self.times)
            times = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise checks.refusal("kofn.Trace", "times", must, type(self.times).__name__, remedy) from None
        if masked or times.ndim != 2 or times.size == 0:
            raise checks.refusal("kofn.Trace", "times", must, "a mask" if masked else f"shape {times.shape}", remedy)
        times[np.isnan(times)] = math.inf
        if times.min() < 0:
            raise checks.refusal("kofn.Trace", "times", must, times.min(), remedy)
        times.setflags(write=False)
        object.__setattr__(self, "times", times)

    @property
    def records(self) -> int:
        """How many trials pass until the record begins anew; 1 where each trial draws one."""
        return 1 if self.shuffle else len(self.times)

    def _delays(self, workers: int, trials: int, rng: np.random.Generator) -> Floats:
        recorded, known = self.times.shape
        if workers > known:
            remedy = "use a code on fewer workers"
            raise checks.refusal("kofn.Trace", "times", f"speak of {workers} workers", known, remedy)
        record = rng.integers(recorded, size=trials) if self.shuffle else np.arange(trials) % recorded
        delays: Floats = self.times.T[:workers, record]
        return delays


@dataclass(frozen=True)
class Delayed:
    """Rows are done at Y = X + τ·work: an initial delay, then steady work (Mallick, Joshi 2022, eq. (4)).

    Parameters
    ----------
    initial : Latency
        X, drawn as for one unit of work.
    per_unit : float
        τ, seconds per unit of work, ≥ 0.

    Examples
    --------
    >>> model = Delayed(Constant(5.0), 0.1)
    >>> model.arrivals(np.array([10.0, 20.0]), np.array([0, 0]), 1, np.random.default_rng(0))
    array([[6., 7.]])
    """

    initial: Latency
    per_unit: float

    def __post_init__(self) -> None:
        check_latency("kofn.Delayed", "initial", self.initial)
        checks.number("kofn.Delayed", "per_unit", self.per_unit, "use 0 for work that takes no time")

    def arrivals(self, work: Floats, worker: Workers, trials: int, rng: np.random.Generator) -> Floats:
        """Draw when each row arrives, (trials, rows), as `Latency` says."""
        start = self.initial.arrivals(np.ones_like(work), worker, trials, rng)
        return _end_at_death(self, start + self.per_unit * work, worker)

    def death_times(self, workers: int) -> Floats:
        """When each worker dies, (workers,): as ``initial`` says."""
        return death_times(self.initial, workers)


@dataclass(frozen=True)
class Slowdown:
    """A model in which some workers take a multiple of their time.

    Parameters
    ----------
    latency : Latency
    factors : mapping of worker to factor, or sequence of factors
        Each > 0; workers that it does not name keep their time.

    Examples
    --------
    >>> model = Slowdown(Constant(1.0), {1: 10.0})
    >>> model.arrivals(np.ones(3), np.arange(3), 1, np.random.default_rng(0))
    array([[ 1., 10.,  1.]])
    """

    latency: Latency
    factors: Mapping[int, float] | Sequence[float]

    def __post_init__(self) -> None:
        check_latency("kofn.Slowdown", "latency", self.latency)
        factors = _read_per_worker("kofn.Slowdown", "factors", self.factors, 1.0)
        for factor in factors:
            _positive("kofn.Slowdown", "factors", factor)
        object.__setattr__(self, "factors", factors)

    def arrivals(self, work: Floats, worker: Workers, trials: int, rng: np.random.Generator) -> Floats:
        """Draw when each row arrives, (trials, rows), as `Latency` says."""
        factor = _fill(self.factors, int(worker.max(initial=-1)) + 1, 1.0)
        times = self.latency.arrivals(work, worker, trials, rng) * factor[worker]
        return _end_at_death(self, times, worker)

    def death_times(self, workers: int) -> Floats:
        """When each worker dies, (workers,): as ``latency`` says; slow workers do not live longer."""
        return death_times(self.latency, workers)


@dataclass(frozen=True)
class Dying:
    """A model in which some workers die: rows that they have not finished by then never arrive.

    Parameters
    ----------
    latency : Latency
    times : mapping of worker to seconds, or sequence of seconds
        Each ≥ 0, since the start; workers that it does not name live on, as do those with inf.

    Examples
    --------
    >>> model = Dying(Constant(1.0), {0: 2.5})
    >>> model.arrivals(np.array([1.0, 2.0, 3.0]), np.zeros(3, int), 1, np.random.default_rng(0))
    array([[ 1.,  2., inf]])
    >>> model.death_times(2)
    array([2.5, inf])
    """

    latency: Latency
    times: Mapping[int, float] | Sequence[float]

    def __post_init__(self) -> None:
        check_latency("kofn.Dying", "latency", self.latency)
        times = _read_per_worker("kofn.Dying", "times", self.times, math.inf)
        for time in times:
            if time != math.inf:
                checks.number("kofn.Dying", "times", time, "leave out a worker that lives on")
        object.__setattr__(self, "times", times)

    def arrivals(self, work: Floats, worker: Workers, trials: int, rng: np.random.Generator) -> Floats:
        """Draw when each row arrives, (trials, rows), as `Latency` says."""
        return _end_at_death(self, self.latency.arrivals(work, worker, trials, rng), worker)

    def death_times(self, workers: int) -> Floats:
        """When each worker dies, (workers,): the first time that this model or the one inside names."""
        return np.minimum(_fill(self.times, workers, math.inf), death_times(self.latency, workers))


def _end_at_death(latency: Latency, times: Floats, worker: Workers) -> Floats:
    # Every wrapper applies it, so that no row arrives after its worker's death, in whatever order they wrap.
    deaths = death_times(latency, int(worker.max(initial=-1)) + 1)
    return np.where(times > deaths[worker], math.inf, times)


def _positive(call: str, argument: str, value: Any) -> None:
    checks.number(call, argument, value, "give a time or factor above 0", strict=True)


def _read_per_worker(call: str, argument: str, values: Any, missing: float) -> tuple[float, ...]:
    """Turn a mapping or sequence into one number for each worker, as far as it names workers."""
    must, remedy = "be a mapping of worker to number, or a sequence of numbers", "write {3: 2.0}, for example"
    try:
        pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
        named = {worker: float(value) for worker, value in pairs}
    except (TypeError, ValueError):
        raise checks.refusal(call, argument, must, repr(values), remedy) from None
    workers = [checks.integer(call, argument, worker, 0, remedy) for worker in named]
    return tuple(named.get(worker, missing) for worker in range(max(workers, default=-1) + 1))


def _fill(values: Any, workers: int, missing: float) -> Floats:
    filled = np.full(workers, missing)
    filled[: len(values)] = values[:workers]
    return filled
