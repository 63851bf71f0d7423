"""Jobs on whatever engine ``KOFN_ENGINE`` names, as ``workers=`` does: ``KOFN_ENGINE=ray make test-engine``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import kofn
from kofn.engines import Pool, Stop, WorkerState, as_pool, capabilities_of
from kofn.schemes import FUNCTIONS, PRODUCTS, SUMS
from kofn.testing import faults
from processes import until

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((24, 12)), RNG.standard_normal((12, 18))


@pytest.fixture(scope="module")
def started() -> Iterator[Pool]:
    with closing(as_pool(os.environ.get("KOFN_ENGINE", "threads:3"), "make test-engine")[0]) as pool:
        yield pool


@pytest.fixture
def pool(started: Pool) -> Pool:
    until(lambda: all(started.state(worker) == WorkerState.IDLE for worker in range(started.n)), 60)
    return started


@pytest.mark.parametrize("code", PRODUCTS)
def test_a_product(code: str, pool: Pool) -> None:
    answer = kofn.matmul(A, B, workers=pool, code=code, rng=3)
    assert answer.exact and np.allclose(answer.value, A @ B, atol=1e-8)


@pytest.mark.parametrize("scheduler", ["static", "adaptive", "duplicates", "speculative", "coded"])
def test_every_scheduler(scheduler: str, pool: Pool) -> None:
    scheme = kofn.schemes.mds(A, B, workers=pool.n, rng=3)
    answer = kofn.run(scheme, workers=pool, scheduler=scheduler)
    assert answer.exact and np.allclose(answer.value, A @ B, atol=1e-8)


@pytest.mark.parametrize("code", SUMS)
def test_a_sum(code: str, pool: Pool) -> None:
    answer = kofn.sum([np.square] * 8, np.arange(3.0), workers=pool, code=code, rng=3)
    assert answer.exact and np.allclose(answer.value, 8 * np.arange(3.0) ** 2)


class Borrowed:
    """Somebody else's pool, as one's own: it is not closed with `Corrupting`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("side", [1, 4])
def test_a_worker_that_writes_into_its_result_before_it_sends_it_is_named(side: int, pool: Pool) -> None:
    lie = {1: faults.Tile(side=side)}
    with faults.Corrupting(Borrowed(pool), lie) as liars:  # type: ignore[arg-type]
        ask: Any = {"workers": liars, "code": "uncoded", "blocks": (2 * pool.n, 1), "scheduler": "static"}
        answer = kofn.matmul(A, B, verify="correct", **ask)
        assert answer.exact and np.allclose(answer.value, A @ B)
        (wrong,) = answer.report.wrong
        assert (wrong.worker, [one.worker for one in answer.report.of("wrong")]) == (1, [1])
        assert wrong.row in [one.row for one in answer.report.of("arrived")]
    with faults.Corrupting(Borrowed(pool), lie) as liars:  # type: ignore[arg-type]
        if pool.n > 2:  # a third has to tell
            told = kofn.map(lambda x: x * np.ones((4, 4)), list(range(6)), workers=liars, verify="correct")
            assert told.exact and np.array_equal(told.value[:, 0, 0], np.arange(6.0))
            assert {one.worker for one in told.report.wrong} <= {1}


def test_a_function_of_many_inputs(pool: Pool) -> None:
    assert list(kofn.map(lambda x: x + 1, list(range(20)), workers=pool).value) == list(range(1, 21))
    square = kofn.map(lambda x: x @ x, RNG.standard_normal((2, 4, 4)), workers=pool, degree=2, rows=4)
    assert square.exact and "lagrange" in FUNCTIONS


def test_a_matrix_that_stays(pool: Pool) -> None:
    with kofn.operator(A, workers=pool) as operator:
        for column in B.T:
            assert np.allclose(operator @ column, A @ column)


def test_an_error_of_a_task_is_told(pool: Pool) -> None:
    def fail(x: Any) -> Any:
        raise LookupError(f"no {x}")

    with pytest.raises(kofn.FunctionError, match="no 7"):
        kofn.map(fail, [7], workers=pool)


def test_a_worker_that_is_stopped_in_the_middle_serves_again(pool: Pool) -> None:
    for how in (Stop.ABANDON, Stop.KILL):
        if how is Stop.ABANDON or capabilities_of(pool).kills:
            pool.submit(0, sum, range(1000))
            pool.stop(0, how)
            answer = kofn.matmul(A, B, workers=pool, code="uncoded")
            assert answer.exact and np.allclose(answer.value, A @ B)
