"""Latency models: their distributions, how they compose, that draws are paired, and what they refuse."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from kofn.errors import ArgumentError
from kofn.simulation._latency import (
    Constant,
    Delayed,
    Dying,
    Exponential,
    Latency,
    Pareto,
    ShiftedExponential,
    Slowdown,
    Trace,
    death_times,
)

TRIALS = 40_000
ONE = np.ones(1)
FIRST = np.zeros(1, dtype=int)


def draws(model, work=ONE, worker=FIRST, trials=TRIALS, seed=0):
    return model.arrivals(np.asarray(work, float), np.asarray(worker), trials, np.random.default_rng(seed))


def assert_distribution(samples, cdf):
    """Compare the empirical distribution with a closed form at several points, within 4.5 sigma."""
    for t in np.quantile(samples, [0.05, 0.25, 0.5, 0.75, 0.95]):
        p = cdf(t)
        assert abs(np.mean(samples <= t) - p) <= 4.5 * math.sqrt(p * (1 - p) / len(samples))


DISTRIBUTIONS = {
    "exponential": (Exponential(2.0), lambda t: 1 - math.exp(-t / 2)),
    "shifted": (ShiftedExponential(0.5, 2.0), lambda t: 1 - math.exp(-(t - 0.5) / 2)),
    "pareto": (Pareto(0.5, 1.5), lambda t: 1 - (0.5 / t) ** 1.5),
    "delayed": (Delayed(Exponential(5.0), 0.1), lambda t: 1 - math.exp(-(t - 0.1) / 5)),
    "slowed": (Slowdown(Exponential(2.0), {0: 3.0}), lambda t: 1 - math.exp(-t / 6)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_is_the_closed_form(name):
    model, cdf = DISTRIBUTIONS[name]
    assert_distribution(draws(model)[:, 0], cdf)


@pytest.mark.parametrize("model", [Exponential(), ShiftedExponential(1, 1), Pareto(1, 3), Constant(2), Trace([[4.0]])])
def test_rows_of_a_worker_share_one_draw_and_are_done_in_proportion_to_the_work(model):
    times = draws(model, [1.0, 3.0], [0, 0], 50)
    assert times.shape == (50, 2)
    np.testing.assert_allclose(times[:, 1], 3 * times[:, 0])


def test_workers_are_independent():
    times = draws(Exponential(), [1, 1], [0, 1])
    assert abs(np.corrcoef(times.T)[0, 1]) < 4.5 / math.sqrt(TRIALS)


def test_sum_recovery_delay_is_drawn_once_and_not_scaled_with_the_work():
    # Mallick, Joshi 2022, eq. (4): Pr(Y <= t) = 1 - exp(-mu (t - tau d n)) for n symbols of degree d.
    times = draws(Delayed(Exponential(5.0), 0.005), [10, 20, 30], [0, 0, 0])
    np.testing.assert_allclose(np.diff(times, axis=1), 0.05)
    assert_distribution(times[:, 2], lambda t: 1 - math.exp(-0.2 * (t - 0.005 * 10 * 3)))


def test_delays_of_a_worker_do_not_depend_on_how_many_others_there_are():
    for model in (
        Exponential(),
        Pareto(1, 2),
        Delayed(Exponential(), 1),
        Slowdown(Exponential(), [2]),
        Dying(Exponential(), {}),
    ):
        few = draws(model, [1, 1, 1], [0, 1, 2], 100, seed=7)
        many = draws(model, [2, 1, 1, 1, 1], [0, 1, 0, 2, 5], 100, seed=7)
        np.testing.assert_array_equal(few[:, [1, 2]], many[:, [1, 3]])


def test_dying_keeps_what_was_finished_and_loses_the_rest():
    times = draws(Dying(Exponential(), {1: 0.7}), [1, 1], [0, 1])
    free = draws(Exponential(), [1, 1], [0, 1])
    np.testing.assert_array_equal(times[:, 0], free[:, 0])
    np.testing.assert_array_equal(times[:, 1], np.where(free[:, 1] <= 0.7, free[:, 1], math.inf))


@pytest.mark.parametrize(
    "model",
    [
        Dying(Slowdown(Constant(1.0), {0: 2.0}), [2.5]),
        Slowdown(Dying(Constant(1.0), [2.5]), {0: 2.0}),
        Delayed(Dying(Constant(0.5), {0: 2.5}), 2.0),
    ],
)
def test_nothing_arrives_after_a_death_in_whatever_order_models_are_wrapped(model):
    times = draws(model, [1.0, 2.0], [0, 0], 1)
    assert times[0, 0] in (2.0, 2.5) and times[0, 1] == math.inf
    np.testing.assert_array_equal(death_times(model, 3), [2.5, math.inf, math.inf])


def test_the_first_of_several_deaths_counts():
    model = Dying(Dying(Constant(1.0), [3.0, 1.0]), {0: 2.0, 2: math.inf})
    np.testing.assert_array_equal(model.death_times(3), [2.0, 1.0, math.inf])
    np.testing.assert_array_equal(death_times(Exponential(), 2), [math.inf, math.inf])
    np.testing.assert_array_equal(model.death_times(1), [2.0])


def test_trace_replays_in_order_and_draws_whole_records_when_shuffled():
    record = [[1.0, 10.0], [2.0, 20.0], [math.nan, 30.0]]
    in_order = draws(Trace(record), [1, 1], [0, 1], 4)
    np.testing.assert_array_equal(in_order, [[1, 10], [2, 20], [math.inf, 30], [1, 10]])
    shuffled = draws(Trace(record, shuffle=True), [1, 1], [0, 1], 300)
    assert {tuple(row) for row in shuffled} == {(1, 10), (2, 20), (math.inf, 30)}


def test_models_are_data():
    model = Dying(Slowdown(Exponential(2.0), {3: 2.0}), {1: 5.0})
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(model) == hash(Dying(Slowdown(Exponential(2.0), [1, 1, 1, 2]), [math.inf, 5]))
    assert isinstance(model, Latency)
    assert "Exponential(scale=2.0)" in repr(model)


def test_a_model_of_your_own_needs_one_method():
    class Ramp:
        def arrivals(self, work, worker, trials, rng):
            return np.tile(work * (worker + 1.0), (trials, 1))

    assert isinstance(Ramp(), Latency)
    np.testing.assert_array_equal(draws(Slowdown(Ramp(), {1: 2}), [1, 1], [0, 1], 1), [[1, 4]])
    np.testing.assert_array_equal(death_times(Slowdown(Ramp(), {1: 2}), 1), [math.inf])


REFUSED = {
    "scale": (lambda: Exponential(0), "'scale' must be a finite number > 0, but got 0"),
    "scale nan": (lambda: Exponential(math.nan), "'scale'"),
    "scale text": (lambda: Exponential("fast"), "'scale'"),
    "shift": (lambda: ShiftedExponential(-1, 1), "'shift' must be a finite number >= 0, but got -1"),
    "shifted scale": (lambda: ShiftedExponential(0, -1), "'scale'"),
    "shape": (lambda: Pareto(1, 0), "'shape'"),
    "seconds": (lambda: Constant(-1), "'seconds'"),
    "per_unit": (lambda: Delayed(Exponential(), -1), "'per_unit'"),
    "initial": (lambda: Delayed(2.0, 1), "'initial' must be a latency model, but got 2.0"),
    "a class": (lambda: Slowdown(Exponential, {}), "'latency' must be a latency model"),
    "factor": (lambda: Slowdown(Exponential(), {0: 0}), "'factors' must be a finite number > 0"),
    "factor text": (lambda: Slowdown(Exponential(), {0: "x"}), "'factors'"),
    "factors": (lambda: Slowdown(Exponential(), 3), "'factors' must be a mapping"),
    "factors key": (lambda: Slowdown(Exponential(), {-1: 2}), "'factors' must be an int of at least 0"),
    "times": (lambda: Dying(Exponential(), {0: -1}), "'times'"),
    "times nan": (lambda: Dying(Exponential(), [math.nan]), "'times'"),
    "dead model": (lambda: Dying(None, {}), "'latency'"),
    "trace shape": (lambda: Trace([1.0, 2.0]), "'times' must be a .trials, workers. array"),
    "trace empty": (lambda: Trace(np.ones((0, 3))), "'times'"),
    "trace sign": (lambda: Trace([[1.0, -2.0]]), "'times'.*but got -2"),
    "trace ragged": (lambda: Trace([[1.0], [1.0, 2.0]]), "'times'"),
    "trace width": (
        lambda: draws(Trace([[1.0]]), [1, 1], [0, 1]),
        "'times' must speak of 2 workers, but got 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused_with_a_sentence(name):
    call, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        call()
