"""Sums that people compute: kernels, gradients, ensembles of networks, series; each against the plain computation."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

import kofn
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.schemes import SumScheme, Terms, cyclic
from kofn.simulation._virtual import VirtualPool

X, Y = load_digits(return_X_y=True)
X = X / 16.0


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(4) as threads:
        yield threads


def test_kernel_prediction_is_a_sum_over_training_points(pool):
    model = KernelRidge(kernel="rbf", gamma=0.05, alpha=1.0).fit(X[:400], Y[:400])

    def terms(indices, points):
        return model.dual_coef_[indices, None] * rbf_kernel(X[:400][indices], points, gamma=0.05)

    answer = kofn.sum(terms, X[400:450], count=400, workers=pool)
    np.testing.assert_allclose(answer.value, model.predict(X[400:450]), rtol=1e-10)


def loss_gradient(shard, weights):
    """Gradient of the softmax loss of one shard of the digits."""
    features, labels = shard
    scores = features @ weights
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(labels)), labels] -= 1.0
    return features.T @ probabilities


@pytest.mark.parametrize("code", ["cyclic", "gradient", "sum-recovery"])
def test_coded_gradient_descent_equals_centralised(pool, code):
    shards = [(X[start::20], Y[start::20]) for start in range(20)]
    terms = [lambda weights, shard=shard: loss_gradient(shard, weights) for shard in shards]
    weights = np.zeros((64, 10))
    with kofn.CodedSum(terms, workers=pool, code=code, rng=0) as gradient:
        for _ in range(10):
            answer, central = gradient(weights), loss_gradient((X, Y), weights)
            assert answer.exact
            np.testing.assert_allclose(answer.value, central, atol=1e-8)
            weights = weights - 1e-3 * answer.value
    assert np.mean(np.argmax(X @ weights, axis=1) == Y) > 0.8


def test_deep_ensemble_mean(pool):
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal((64, 32)) / 8, rng.standard_normal((32, 10)) / 6) for _ in range(12)]
    networks = [lambda x, a=a, b=b: np.tanh(x @ a) @ b for a, b in layers]
    answer = kofn.sum(networks, X[:100], workers=pool)
    np.testing.assert_allclose(answer.value / 12, np.mean([f(X[:100]) for f in networks], axis=0), atol=1e-13)


def test_taylor_series(pool):
    answer = kofn.sum(lambda k, x: [x**n / math.factorial(n) for n in k], 3.0, count=60, workers=pool)
    assert answer.value == pytest.approx(math.exp(3.0), rel=1e-14)


def virtual(code, delays, adaptive, deaths=None):
    workers = VirtualPool(delays, deaths)
    scheme = SumScheme(code, Terms.of(lambda i, x: i * 1.0, size=code.unknowns), None, adaptive=adaptive)
    answer = RunLoop(scheme, workers, Collector(code), Placement(workers)).run()
    assert answer.value == pytest.approx(sum(range(code.unknowns)))
    return answer


def test_adaptive_workers_share_what_a_straggler_leaves():
    code = cyclic(16, blocks=16, workers=4)
    slow = [[1.0], [1.0], [1.0], [50.0]]
    assert virtual(code, slow, adaptive=False).report.seconds == 8.0  # its neighbour does its own, then these
    adaptive = virtual(code, slow, adaptive=True).report
    assert adaptive.seconds == 6.0  # 15 others over three workers, then the one that is still running
    assert len(adaptive.of("arrived")) == 16


def test_adaptive_workers_take_over_from_the_dead():
    code = cyclic(16, blocks=16, workers=4)
    report = virtual(code, [[1.0]] * 4, adaptive=True, deaths={1: 0.5, 2: 2.5}).report
    assert report.seconds <= 8.0 and [a.worker for a in report.of("lost")] == [1, 2]


def test_a_plain_run_of_blocks_equals_the_simulation():
    code = cyclic(12, blocks=6, workers=3)
    paces = [1.0, 2.5, 1.7]
    arrivals = np.array([[paces[w] * work / 2 for w, work in zip(code.worker, code.work, strict=True)]])
    seconds = virtual(code, [[pace] for pace in paces], adaptive=False).report.seconds
    assert seconds == pytest.approx(kofn.simulation._simulate.stop_times(code, arrivals)[0])


def test_a_second_sum_expects_what_the_first_one_learned(pool):
    rng = np.random.default_rng(3)
    values = 5 + rng.standard_normal(200)
    with kofn.CodedSum(lambda i, x: values[i] * x, count=200, workers=pool) as total:
        assert total(1.0).exact
        # One result alone does not say whether this input is like the last one.
        first, few = (total(1.0, stop=kofn.Count(count)) for count in (1, 4))
        assert 0 < few.error < 0.3 and 0.5 < first.error <= 1
        assert abs(few.value - values.sum()) < 0.2 * values.sum()
