"""What ``workers=`` means: it starts with a job and once, and what is closed stays closed."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import kofn
from kofn.engines.local import _pool
from kofn.jobs._lease import PoolLease
from kofn.jobs._loop import RunLoop
from processes import until


@pytest.fixture
def started(monkeypatch):
    pools = []

    class Counted(kofn.ThreadPool):
        def __init__(self, n):
            pools.append(self)
            super().__init__(n)

    monkeypatch.setattr(_pool, "LocalPool", Counted)
    return pools


def test_processes_start_with_the_first_job_and_once(started):
    with kofn.CodedMap(np.square, workers=4, degree=2) as squares:
        assert not started
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(squares, [[1.0, 2.0]] * 2))
        assert len(started) == 1
    assert all(answer.exact for answer in answers)
    assert started[0].state(0) == "dead"


def test_inputs_that_a_fitted_code_refuses_start_nothing(started):
    code = kofn.fit(np.square, lambda rng: rng.random(2), inputs=2, recover=3, workers=4, samples=16, rng=0)
    with pytest.raises(kofn.ArgumentError, match=r"have shape \(2, 2\)"):
        kofn.map(np.square, np.ones((3, 2)), workers=4, code=code)
    assert not started


def test_a_pool_that_was_there_stays_and_is_left_as_it_was():
    with kofn.ThreadPool(2) as pool:
        with PoolLease(pool, "kofn.sum") as lease:
            assert lease.pool is pool and lease.n == 2
            lease.placement.ensure(0, kofn.Task(abs, (), {"x": 1}))
        with pytest.raises(kofn.ArgumentError, match="must be resident at worker 0"):
            pool.submit(0, abs, keys=("x",))
        with pytest.raises(kofn.PoolClosed, match="was closed before"):
            lease.pool  # noqa: B018
        assert pool.state(0) == "idle"


def test_a_run_that_is_over_is_gone_before_anybody_looks_for_garbage():
    """Or it would keep operands and results, which are large, and what it has at a cluster."""
    runs = lambda: {id(found) for found in gc.get_objects() if type(found) is RunLoop}  # noqa: E731
    with kofn.ThreadPool(2) as pool:
        gc.collect()
        gc.disable()
        try:
            before = runs()
            assert kofn.sum([abs] * 4, 2.0, workers=pool).value == 8.0
            assert kofn.matmul(np.eye(4), np.eye(4), workers=pool).exact
            until(lambda: runs() <= before)
        finally:
            gc.enable()


def test_a_run_that_is_over_is_gone_though_a_worker_that_nobody_waits_for_runs_on():
    runs = lambda: {id(found) for found in gc.get_objects() if type(found) is RunLoop}  # noqa: E731
    gate = threading.Event()
    late = lambda x: float(gate.wait(60.0))  # noqa: E731
    with kofn.ThreadPool(2) as pool:
        before = runs()
        answer = kofn.sum([late, abs], 2.0, workers=pool, code="uncoded", stop=kofn.Count(1))
        assert answer.count == 1 and "busy" in [pool.state(worker) for worker in range(2)]
        del answer
        try:
            until(lambda: gc.collect() >= 0 and runs() <= before)
        finally:
            gate.set()
