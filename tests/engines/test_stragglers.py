"""Real processes: stragglers are outrun, the dead are replaced, and nothing waits behind either."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import kofn
from processes import until

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((240, 60)), RNG.standard_normal((60, 50))
SHARD_SECONDS = 0.08


def _kill(pool, worker):
    pid = pool.pids()[worker]
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("jobs", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_mds_6_of_8_outruns_a_slow_and_a_dying_worker(jobs):
    """The slow worker would take a minute; worker 2 gets SIGKILL in the middle of every job."""
    with kofn.LocalPool(8) as pool:
        kofn.matmul(A, B, workers=pool)  # everything is up
        slow = kofn.Straggling(pool, kofn.Slowdown(kofn.Constant(SHARD_SECONDS), {7: 800.0}), seed=0)
        for seed in range(jobs):
            killer = threading.Timer(SHARD_SECONDS / 2, _kill, (pool, 2))
            killer.start()
            answer = kofn.matmul(A, B, workers=slow, code="mds", rng=seed)
            killer.join()
            assert answer.exact and 7 not in {attempt.worker for attempt in answer.report.of("arrived")}
            np.testing.assert_allclose(answer.value, A @ B, atol=1e-9)


def test_a_killed_worker_loses_a_row_not_the_job():
    with kofn.LocalPool(3) as pool:
        delayed = kofn.Straggling(pool, kofn.Constant(0.3), seed=0)
        threading.Timer(0.1, _kill, (pool, 1)).start()
        answer = kofn.matmul(A, B, workers=delayed, code="uncoded")
    assert answer.exact
    assert [attempt.worker for attempt in answer.report.of("lost")] == [1]
    np.testing.assert_allclose(answer.value, A @ B, rtol=1e-12)


def test_iterating_over_a_job_gives_better_and_better_estimates():
    with kofn.LocalPool(8) as pool:
        kofn.matmul(A, B, workers=pool)
        staggered = kofn.Straggling(pool, kofn.Slowdown(kofn.Constant(0.1), range(1, 9)), seed=0)
        job = kofn.start(kofn.schemes.kronecker(A, B, blocks=(2, 3), workers=8, rng=0), workers=staggered)
        estimates = list(job)
    errors = [estimate.error for estimate in estimates]
    true = [np.linalg.norm(estimate.value - A @ B) / np.linalg.norm(A @ B) for estimate in estimates]
    assert len(errors) >= 5
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0.0 and true[-1] < 1e-10
    assert all(0.3 < t / e < 3 for t, e in zip(true[:-1], errors[:-1], strict=True))


def test_cancel_abandons_and_the_pool_serves_on():
    with kofn.LocalPool(3) as pool:
        kofn.matmul(A, B, workers=pool)
        job = kofn.start(kofn.schemes.mds(A, B, workers=3, rng=0), workers=kofn.Straggling(pool, kofn.Constant(1e6)))
        until(lambda: "busy" in {pool.state(worker) for worker in range(3)})
        job.cancel()
        with pytest.raises(kofn.Cancelled):
            job.result()
        assert kofn.start(kofn.schemes.mds(A, B, workers=3, rng=0), workers=pool).result(30).exact


def test_a_job_that_is_dropped_is_cancelled():
    with kofn.LocalPool(2) as pool:
        late = kofn.Straggling(pool, kofn.Trace([[0.0, 30.0]]))
        for estimate in kofn.start(kofn.schemes.uncoded(A, B, workers=2), workers=late):
            assert 0 < estimate.error < 1
            break
        until(lambda: pool.state(1) == "idle")  # nobody waits for the task of worker 1 any more


def test_an_exception_at_a_real_worker_names_it_and_carries_the_traceback():
    def fails(a, b):
        raise ZeroDivisionError("no such luck")

    scheme = kofn.schemes.uncoded(A, B, workers=2)
    broken = kofn.schemes.CustomScheme(scheme.code, [kofn.Task(fails, (1, 2))] * 2)
    with kofn.LocalPool(2) as pool, pytest.raises(kofn.TaskError, match="raised ZeroDivisionError") as caught:
        kofn.run(broken, workers=pool)
    assert caught.value.worker in (0, 1)
    assert "in fails" in caught.value.traceback


def test_two_jobs_share_a_pool():
    with kofn.LocalPool(3) as pool:
        delayed = kofn.Straggling(pool, kofn.Constant(0.05), seed=0)
        schemes = [kofn.schemes.uncoded(A, B, blocks=(6, 1), workers=3) for _ in range(2)]
        jobs = [kofn.start(scheme, workers=delayed) for scheme in schemes]
        for job in jobs:
            np.testing.assert_allclose(job.result(60).value, A @ B, atol=1e-9)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"pool": 4}, "kofn.Straggling: 'pool' must be a pool"),
        ({"latency": 0.1}, "kofn.Straggling: 'latency' must be a latency model"),
        ({"latency": kofn.Exponential}, "kofn.Straggling: 'latency' must be a latency model"),
        ({"latency": kofn.Trace([[0.1]])}, "kofn.Trace: 'times' must speak of 2 workers, but got 1"),
        ({"seed": -1}, "kofn.Straggling: 'seed' must be an int of at least 0"),
    ],
)
def test_delays_that_cannot_be_drawn_are_refused_at_once(bad, what):
    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.ArgumentError, match=what):
        kofn.Straggling(**{"pool": pool, "latency": kofn.Exponential(0.1), "seed": 0, **bad})
