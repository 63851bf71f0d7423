"""Wrong workers that are late as well, or die: the answer is right all the same, and no honest worker is named."""

from functools import partial

import numpy as np
import pytest

import kofn
from kofn.simulation import VirtualPool
from kofn.testing import faults
from kofn.testing.chaos._mishaps import Chances, Mishaps
from lies import frame
from processes import linux

WORKERS = 6
FAULTS = [
    faults.BitFlip(part="exponent"),
    faults.Scaled(1.5),
    faults.Stale(),
    faults.Tile(side=1),
    faults.Swapped(),
    faults.NotANumber(),
    faults.Truncated(),
]
ASKED = {"verify": "correct", "scheduler": "speculative"}
"""What a worker is late with is computed by another one too, so that nobody is waited for who never comes back."""

TROUBLES = ("late", "never back", "dies", "dies in the middle")


def _term(i, x):
    return np.cos(i * x)


def _value(x):
    return np.outer(x, x[::-1])


def _operands(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((60, 20)), rng.standard_normal((20, 30))


def _matmul(pool, seed):
    a, b = _operands(seed)
    code = ("uncoded", "mds", "polynomial")[seed % 3]
    yield kofn.matmul(a, b, workers=pool, code=code, rng=seed, **ASKED), a @ b


def _plan(pool, seed):
    a, b = _operands(seed)
    with kofn.prepare(kofn.schemes.mds(a, b, workers=pool.n, rng=seed), pool, **ASKED) as plan:
        for _ in range(2):
            yield plan.run(), a @ b


def _operator(pool, seed):
    a, b = _operands(seed)
    with kofn.operator(a, workers=pool, rng=seed, verify="correct", redundancy=pool.n - 2) as operator:
        for column in range(2):
            yield operator.product(b[:, [column]]), a @ b[:, [column]]


def _sum(pool, seed):
    x, terms = np.linspace(0.0, 1.0, 7), [partial(_term, i) for i in range(12)]
    code = ("auto", "uncoded", "cyclic")[seed % 3]
    right = sum(term(x) for term in terms)
    yield kofn.sum(terms, x, workers=pool, code=code, rng=seed, **ASKED), right


def _map(pool, seed):
    inputs = np.random.default_rng(seed).standard_normal((9, 4))
    yield kofn.map(_value, inputs, workers=pool, **ASKED), np.array([_value(x) for x in inputs])


def _audited(pool, seed):
    scheme, right = frame(seed, "d", WORKERS, 2)
    yield kofn.run(scheme, pool, **ASKED), right


LIARS = {_matmul: 3, _plan: 3, _operator: 3, _sum: 1, _map: 1, _audited: 2}
"""Calls, and how many workers may be wrong: with two more lost there is enough for the answer."""


def hold(call, pool, liars, seed):
    """The call's answers are right, and nobody else is named."""
    for answer, right in call(pool, seed):
        assert answer.exact and np.allclose(answer.value, right, rtol=1e-9, atol=1e-9)
        assert {one.worker for one in answer.report.wrong} <= set(liars)


def troubled(trouble, liars, seed):
    """A pool in virtual time whose liars have that trouble, and one honest worker too where it is death."""
    rng = np.random.default_rng([7, seed])
    times = rng.exponential(1.0, (WORKERS, 30)) + 0.01
    deaths = {}
    if trouble == "late":
        times[liars] *= 20.0
    elif trouble == "never back":
        times[liars] = np.where(rng.random((len(liars), 30)) < 0.5, np.inf, times[liars])
    else:
        honest = next(worker for worker in range(WORKERS) if worker not in liars)
        until = 0.5 if trouble == "dies" else 4.0
        deaths = {worker: float(rng.uniform(0.0, until)) for worker in (*liars, honest)}
    return VirtualPool(times.tolist(), deaths)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("call", LIARS)
def test_liars_in_trouble_let_no_lie_in_and_hold_nothing_up(call, trouble):
    for seed in range(len(FAULTS)):
        rng = np.random.default_rng([3, seed])
        liars = rng.choice(WORKERS, LIARS[call], replace=False).tolist()
        fault = FAULTS[seed % len(FAULTS)]
        with faults.Corrupting(troubled(trouble, liars, seed), dict.fromkeys(liars, fault), seed) as pool:
            hold(call, pool, liars, seed)


@pytest.mark.parametrize("call", LIARS)
def test_slow_liars_among_threads_are_no_better(call):
    class Slow:
        def arrivals(self, work, worker, trials, rng):
            return np.where(np.asarray(worker) < LIARS[call], 0.02, 0.0) * np.ones((trials, 1))

    liars = range(LIARS[call])
    slow = kofn.Straggling(kofn.ThreadPool(WORKERS), Slow())
    with faults.Corrupting(slow, dict(zip(liars, FAULTS[1:], strict=False))) as pool:
        hold(call, pool, liars, 0)


@linux
@pytest.mark.parametrize("call", [_matmul, _operator])
def test_a_liar_among_processes_that_also_die_is_no_better(local_pool, call):
    troubled = Mishaps(local_pool, Chances(dies=0.2, late=0.3, seconds=0.01, deaths=2), seed=1)
    pool = faults.Corrupting(troubled, {1: faults.Tile(side=1)})
    try:
        hold(call, pool, [1], 0)
    finally:
        troubled._woken.close()
