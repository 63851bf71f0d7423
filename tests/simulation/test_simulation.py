"""The simulator against closed forms, and against a collector that gets the same arrivals one at a time."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from kofn.codes import decode, gaussian_frame
from kofn.codes._linear import LinearCode
from kofn.codes._prior import Prior
from kofn.errors import ArgumentError
from kofn.jobs._collector import Collector
from kofn.jobs._stop import Both, Count, Deadline, Decodable, Either, StopRule, Tolerance
from kofn.schemes import kronecker, matdot, mds, mds_chebyshev, repetition, uncoded
from kofn.simulation import _simulate as simulation
from kofn.simulation._latency import Constant, Delayed, Dying, Exponential, Pareto, Slowdown, Trace
from kofn.simulation._simulate import errors_at, errors_by_count, simulate, stop_times
from processes import crossed

TRIALS = 20_000


def code_of(generator, targets=None, worker=None, **rest):
    generator = np.asarray(generator, float)
    targets = np.eye(generator.shape[1]) if targets is None else targets
    return LinearCode("test", generator, targets, range(len(generator)) if worker is None else worker, **rest)


def gaussian_code(rows, unknowns, **rest):
    return code_of(gaussian_frame(rows, unknowns, np.random.default_rng(0)), threshold=unknowns, **rest)


def assert_mean(samples, mean, variance):
    assert abs(samples.mean() - mean) <= 4 * math.sqrt(variance / len(samples))


def assert_cdf(samples, cdf, points):
    for t in points:
        p = cdf(t)
        assert abs(np.mean(samples <= t) - p) <= 4 * math.sqrt(p * (1 - p) / len(samples))


def binomial_tail(n, k, p):
    """P(at least k of n have arrived)."""
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


# -- closed forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(4, 3), (10, 10), (12, 7), (30, 9), (5, 1)])
def test_any_k_of_n_under_exponential_delays_is_an_order_statistic(n, k):
    times = simulate(gaussian_code(n, k), Exponential(2.0), TRIALS, rng=1)
    assert_mean(times, sum(2 / (n - i) for i in range(k)), sum(4 / (n - i) ** 2 for i in range(k)))
    assert_cdf(times, lambda t: binomial_tail(n, k, 1 - math.exp(-t / 2)), np.quantile(times, [0.05, 0.3, 0.7, 0.95]))


def test_uncoded_waits_for_the_slowest():
    times = simulate(code_of(np.eye(6)), Exponential(), TRIALS, rng=2)
    assert_mean(times, sum(1 / i for i in range(1, 7)), sum(1 / i**2 for i in range(1, 7)))
    assert_cdf(times, lambda t: (1 - math.exp(-t)) ** 6, [1.0, 2.0, 4.0])


def test_repetition_is_the_slowest_block_of_its_fastest_copies():
    times = simulate(code_of(np.vstack([np.eye(4)] * 3)), Exponential(), TRIALS, rng=3)
    assert_cdf(times, lambda t: (1 - math.exp(-3 * t)) ** 4, [0.3, 0.6, 1.0])


def test_replicated_sum_without_full_rank():
    """A total and two halves: done with the total, or with both halves."""
    code = code_of([[1, 1], [1, 0], [0, 1]], np.ones((1, 2)))
    times = simulate(code, Exponential(), TRIALS, rng=4)
    assert_cdf(times, lambda t: 1 - math.exp(-t) * (1 - (1 - math.exp(-t)) ** 2), [0.2, 0.7, 1.5])


def test_load_and_order_of_the_rows_of_a_worker_count():
    code = gaussian_code(4, 2, worker=[0, 0, 1, 1], load=[1.0, 2.0, 1.0, 2.0])
    np.testing.assert_allclose(simulate(code, Constant(0.5), 3), 0.5)
    np.testing.assert_allclose(simulate(code, Slowdown(Constant(0.5), {1: 9.0}), 3), 1.5)
    free = simulate(gaussian_code(4, 2), Exponential(), 4)
    assert free.shape == (4,) and free.dtype == np.float64


def test_slow_workers_are_left_out_and_dead_ones_too():
    code = gaussian_code(5, 3)
    np.testing.assert_allclose(simulate(code, Slowdown(Constant(1.0), {0: 50, 1: 50}), 2), 1.0)
    np.testing.assert_allclose(simulate(code, Dying(Constant(1.0), {0: 0.5, 1: 0.5}), 2), 1.0)
    np.testing.assert_array_equal(simulate(code, Dying(Constant(1.0), {0: 0.5, 1: 0.5, 4: 0.0}), 2), math.inf)
    p = 1 - math.exp(-1)  # of five exponential workers that all die at 1, three must have been in time
    times = simulate(code, Dying(Exponential(), [1.0] * 5), TRIALS, rng=5)
    share = binomial_tail(5, 3, p)
    assert abs(np.mean(np.isfinite(times)) - share) <= 4 * math.sqrt(share * (1 - share) / TRIALS)


def test_recorded_arrivals():
    code = gaussian_code(3, 2)
    np.testing.assert_array_equal(simulate(code, Trace([[3.0, 1, 2], [math.nan, 1, 5]]), 3), [2, 5, 2])
    np.testing.assert_array_equal(stop_times(code, [[3.0, 1, 2], [math.nan, 1, math.inf]]), [2, math.inf])
    assert stop_times(code, np.ones((0, 3))).shape == (0,)


def test_expected_errors_of_an_uncoded_product_are_the_energies_that_are_missing():
    code, prior = code_of(np.eye(3)), Prior.independent([4.0, 4.0, 1.0])
    errors = errors_by_count(code, trials=TRIALS, rng=6, prior=prior)
    assert errors.shape == (TRIALS, 4)
    np.testing.assert_allclose(errors[:, [0, 3]], np.tile([1.0, 0.0], (TRIALS, 1)))
    for column in (1, 2):  # every row is equally likely to be among the first ones
        assert abs(np.mean(errors[:, column] ** 2) - (1 - column / 3)) < 4 * 0.2 / math.sqrt(TRIALS)
    at = errors_at(code, Trace([[1.0, 2.0, 3.0]]), [0.0, 1.0, 2.5, 3.0, math.inf], 1, prior=prior)
    np.testing.assert_allclose(at**2, [[1, 5 / 9, 1 / 9, 0, 0]])


def test_expected_loss_at_a_deadline_mixes_the_losses_after_each_count():
    """Tegin et al.: the loss at T_max is the loss after w results, averaged over the binomial number of results."""
    code, t = gaussian_code(6, 4), 0.8
    at = np.mean(errors_at(code, Exponential(), [t], TRIALS, rng=7) ** 2)
    by_count = np.mean(errors_by_count(code, trials=4000, rng=8) ** 2, axis=0)
    p = 1 - math.exp(-t)
    mixed = sum(math.comb(6, w) * p**w * (1 - p) ** (6 - w) * loss for w, loss in enumerate(by_count))
    assert at == pytest.approx(mixed, abs=0.02)


def test_errors_follow_the_order_that_the_latency_gives_and_stop_where_arrivals_stop():
    code, prior = code_of(np.eye(3)), Prior.independent([1.0, 1.0, 2.0])
    latency = Dying(Slowdown(Constant(1.0), [3.0, 1.0, 2.0]), {0: 2.5})
    errors = errors_by_count(code, latency, trials=2, prior=prior)
    np.testing.assert_allclose(errors**2, np.tile([1, 0.75, 0.25, 0.25], (2, 1)))


# -- the simulator is the collector -----------------------------------------------------------------


@cache
def schemes():
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((24, 24)) * np.geomspace(1, 0.05, 24)[:, None], rng.standard_normal((24, 24))
    tall = rng.standard_normal((32, 24))
    single = A.astype(np.float32), B.astype(np.float32)
    return {
        "mds": mds(A, B, blocks=(5, 1), rows=9, rng=0),
        "mds, three rows a worker": mds(A, B, blocks=(5, 1), rows=9, workers=3, rng=0),
        "mds of float32": mds(*single, blocks=(5, 1), rows=9, rng=0),
        "badly conditioned": mds_chebyshev(tall, B, blocks=(32, 1), rows=64, rng=0),
        "badly conditioned float32": mds_chebyshev(*single, blocks=(6, 1), rows=16, rng=0),
        "repetition": repetition(A, B, blocks=(2, 2), rows=12, rng=0),
        "kronecker": kronecker(A, B, blocks=(3, 3), rows=12, rng=0),
        "kronecker, two rows a worker": kronecker(A, B, blocks=(3, 3), rows=12, workers=6, rng=0),
        "matdot": matdot(A, B, rows=7, rng=0),
        "uncoded": uncoded(A, B, blocks=(2, 3), rng=0),
        "loads": gaussian_code(8, 4, worker=[0, 0, 0, 1, 1, 1, 2, 2], load=[1, 2, 3, 1, 1, 2, 4, 1]),
        "sum": code_of(np.random.default_rng(1).random((14, 6)) < 0.4, np.ones((1, 6))),
    }


@dataclass(frozen=True)
class Patient(StopRule):
    """A rule that the simulator does not know: exact, or two results and half a second."""

    def is_met(self, now):
        return now.exact or (now.count >= 2 and now.time >= 0.5)

    def next_change(self, after=-math.inf):
        return 0.5 if after < 0.5 else math.inf


RULES = [
    Decodable(),
    Count(3),
    Deadline(0.4),
    Tolerance(0.5),
    Tolerance(0.05),
    Either(Tolerance(0.2), Deadline(0.6)),
    Both(Count(6), Deadline(0.3)),
    Both(Decodable(), Either(Count(7), Deadline(1.0))),
    Patient(),
    Either(Patient(), Count(4)),
]

LATENCIES = [
    Exponential(1.0),
    Dying(Slowdown(Delayed(Pareto(0.1, 1.5), 0.1), {0: 4.0, 2: 3.0}), {1: 0.35, 4: 0.9}),
]


# The second is of no use but with two results: more of them make it worse.
OTHERS = [("exact", Tolerance(0.6)), (lambda v, g, *_: v * (g.shape[-2] == 2), Both(Tolerance(0.9), Deadline(0.2)))]


def replayed(source, arrivals, stop, estimator="lmmse"):
    """Give one trial's arrivals to a collector, one at a time, as a run would."""
    code = getattr(source, "code", source)
    prior = getattr(source, "prior", None)
    collector = Collector(code, prior, estimator, stop, getattr(source, "epsilon", np.finfo(float).eps))
    arriving = [(t, row) for row, t in enumerate(arrivals) if t < math.inf]
    events = [*arriving, *((t, None) for t in [0.0, *wakes(stop)])]
    for moment, row in sorted(events, key=lambda event: event[0]):
        collector.advance(moment) if row is None else collector.add(row, moment)
        if collector.done:
            return moment
    return math.inf


def wakes(stop):
    """All moments at which a rule asks to be looked at."""
    moments = [stop.next_change()]
    while moments[-1] < math.inf:
        moments.append(stop.next_change(moments[-1]))
    return moments[:-1]


@pytest.mark.parametrize("latency", LATENCIES, ids=["exponential", "mixed"])
@pytest.mark.parametrize(("name", "rule"), crossed(schemes(), RULES))
def test_a_simulated_run_stops_when_a_replayed_one_does(name, rule, latency):
    source = schemes()[name]
    code = getattr(source, "code", source)
    trials = 12 if isinstance(rule, Decodable) else 5
    arrivals = latency.arrivals(code.work, code.worker, trials, np.random.default_rng(9))
    expected = [replayed(source, trial, rule) for trial in arrivals]
    np.testing.assert_array_equal(simulate(source, latency, trials, rng=9, stop=rule), expected)
    np.testing.assert_array_equal(stop_times(source, arrivals, stop=rule), expected)


@pytest.mark.parametrize("estimator, rule", OTHERS)
@pytest.mark.parametrize("name", ["mds", "repetition", "kronecker", "sum"])
def test_other_estimators_are_replayed_too(name, estimator, rule):
    source, random = schemes()[name], np.random.default_rng(10)
    arrivals = random.exponential(size=(20, getattr(source, "code", source).rows))
    expected = [replayed(source, trial, rule, estimator) for trial in arrivals]
    np.testing.assert_array_equal(stop_times(source, arrivals, stop=rule, estimator=estimator), expected)


def test_a_threshold_that_conditioning_defeats_is_not_believed():
    scheme = schemes()["badly conditioned"]
    any_32 = simulate(scheme, Exponential(), 200, 0, stop=Count(scheme.code.threshold))
    later = simulate(scheme, Exponential(), 200, 0) > any_32
    assert 0 < later.sum() < 200


def test_expected_errors_are_those_of_decode():
    scheme = schemes()["kronecker"]
    arrivals = Exponential().arrivals(scheme.code.work, scheme.code.worker, 4, np.random.default_rng(11))
    errors = errors_by_count(scheme, Exponential(), 4, rng=11)
    for trial, order in enumerate(np.argsort(arrivals, axis=1)):
        expected = [float(decode(scheme.code, order[:w], scheme.prior()).error) for w in range(13)]
        np.testing.assert_allclose(errors[trial], expected, rtol=1e-6, atol=1e-12)
    at = errors_at(scheme, Exponential(), np.sort(arrivals[2]), 4, rng=11)
    np.testing.assert_allclose(at[2], errors[2, 1:])


def test_a_tolerance_that_nothing_can_miss_is_met_by_the_first_result():
    first = Exponential().arrivals(np.ones(4), np.arange(4), 3, np.random.default_rng(1)).min(axis=1)
    stopped = simulate(gaussian_code(4, 2), Exponential(), 3, rng=1, stop=Tolerance(1.0))
    np.testing.assert_array_equal(stopped, first)
    nothing = code_of(np.eye(2), np.zeros((0, 2)))
    np.testing.assert_array_equal(simulate(nothing, Exponential(), 3), 0.0)


def test_only_rules_that_need_the_prior_ask_for_it(monkeypatch):
    def costly(self):
        raise RuntimeError("the prior was asked for")

    scheme = mds(np.eye(4), np.eye(4), blocks=(2, 1), rows=4, rng=0)
    monkeypatch.setattr(type(scheme), "prior", costly)
    assert np.isfinite(simulate(scheme, Exponential(), 5, stop=Either(Decodable(), Count(3)))).all()
    with pytest.raises(RuntimeError, match="asked for"):
        simulate(scheme, Exponential(), 5, stop=Tolerance(0.1))
    given = Prior.independent([1.0, 1.0])
    assert np.isfinite(simulate(scheme, Exponential(), 5, stop=Tolerance(0.1), prior=given)).all()


# -- pairing, size and speed ------------------------------------------------------------------------


def test_the_same_seed_gives_every_code_the_same_delays():
    delays = np.random.default_rng(3).exponential(1.0, (5, 100))
    codes = {k: gaussian_code(5, k) for k in (2, 3, 5)}
    for k, code in codes.items():
        np.testing.assert_array_equal(simulate(code, Exponential(), 100, rng=3), np.sort(delays, axis=0)[k - 1])
    few, many = (simulate(code_of(np.eye(n)), Exponential(), 100, rng=3) for n in (3, 5))
    assert np.all(few <= many)  # the first three workers are the same
    generator, seed = (simulate(codes[3], Exponential(), 100, rng) for rng in (np.random.default_rng(3), 3))
    np.testing.assert_array_equal(generator, seed)


def test_more_redundancy_is_never_slower_trial_by_trial():
    two, three = (code_of(np.vstack([np.eye(4)] * copies)) for copies in (2, 3))
    assert np.all(simulate(three, Pareto(1, 2), 500, rng=0) <= simulate(two, Pareto(1, 2), 500, rng=0))


def test_each_distinct_set_is_examined_once(monkeypatch):
    seen = []

    def watched(code, rows, *rest):
        seen.extend(map(tuple, rows))
        return decodable(code, rows, *rest)

    decodable = simulation.decodable
    monkeypatch.setattr(simulation, "decodable", watched)
    simulate(gaussian_code(5, 3), Exponential(), 5000, rng=0)
    assert len(seen) == len(set(seen)) == math.comb(5, 3)


def test_many_rows_take_few_rounds(monkeypatch):
    counts = []

    def watched(code, rows, *rest):
        counts.append(rows.shape[1])
        return decodable(code, rows, *rest)

    decodable = simulation.decodable
    monkeypatch.setattr(simulation, "decodable", watched)
    code = code_of(np.repeat(np.eye(5), 60, axis=0))
    (stop,) = simulate(code, Exponential(), 1, rng=0)
    assert np.isfinite(stop) and len(counts) <= 2 * math.log2(300)


def test_the_simulator_loads_numpy_and_nothing_heavier():
    script = "import sys, kofn.simulation._simulate; print([m for m in ('scipy', 'matplotlib') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# -- bad arguments ----------------------------------------------------------------------------------


class Short:
    def arrivals(self, work, worker, trials, rng):
        return np.ones((trials, len(work) - 1))


class Early:
    def arrivals(self, work, worker, trials, rng):
        return np.full((trials, len(work)), -1.0)


OK = gaussian_code(3, 2)
REFUSED = {
    "code": (
        lambda: simulate("mds", Exponential()),
        "'code' must be a LinearCode or a Scheme, but got 'mds'",
    ),
    "latency": (lambda: simulate(OK, 1.0), "'latency' must be a latency model, but got 1.0"),
    "latency class": (lambda: simulate(OK, Exponential), "'latency' must be a latency model"),
    "latency shape": (lambda: simulate(OK, Short(), 5), "'latency' must give arrivals of shape .5, 3."),
    "latency sign": (
        lambda: simulate(OK, Early(), 5),
        "'latency' must give arrivals of shape .5, 3. at seconds >= 0, but got -1",
    ),
    "trials": (lambda: simulate(OK, Exponential(), 0), "'trials' must be an int of at least 1, but got 0"),
    "trials float": (lambda: simulate(OK, Exponential(), 1e3), "'trials' must be an int"),
    "rng": (lambda: simulate(OK, Exponential(), 5, "seed"), "'rng' must be None, an int >= 0 or"),
    "rng sign": (lambda: simulate(OK, Exponential(), 5, -1), "'rng' must be None, an int >= 0 or"),
    "stop": (lambda: simulate(OK, Exponential(), stop=3), "'stop' must be a stop rule, but got 3"),
    "prior": (lambda: simulate(OK, Exponential(), prior=[1, 1]), "'prior' must be a Prior of 2 unknowns"),
    "prior size": (
        lambda: simulate(OK, Exponential(), prior=Prior.independent(np.ones(3))),
        "'prior' must be a Prior of 2 unknowns, but got 3",
    ),
    "estimator": (
        lambda: simulate(OK, Exponential(), estimator="best"),
        "'estimator' must be one of 'lmmse', 'exact'",
    ),
    "arrivals": (lambda: stop_times(OK, [[1, 2]]), "'arrivals' must give arrivals of shape .trials, 3."),
    "arrivals vector": (lambda: stop_times(OK, [1.0, 2, 3]), "'arrivals' must give arrivals of shape"),
    "arrivals ragged": (lambda: stop_times(OK, [[1, 2, 3], [1]]), "'arrivals' must give arrivals of shape"),
    "times": (lambda: errors_at(OK, Exponential(), 3.0), "'times' must be a vector of seconds, but got 3.0"),
    "times nan": (lambda: errors_at(OK, Exponential(), [math.nan]), "'times' must be a vector of seconds"),
    "no latency": (lambda: errors_at(OK, None, [1.0]), "'latency' must be a latency model, but got None"),
    "none to simulate": (lambda: simulate(OK, None), "'latency' must be a latency model, but got None"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused_with_a_sentence(name):
    call, message = REFUSED[name]
    with pytest.raises(ArgumentError, match=message):
        call()
