"""Matrices at workers that have little memory: fewer copies, or a sentence before anything moves."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from kofn.engines import Promise
from kofn.simulation import VirtualPool
from remote_pool import RemotePool, Tiled

RNG = np.random.default_rng(21)
A, B = RNG.standard_normal((60, 30)), RNG.standard_normal((30, 40))
WORKERS = 3
BLOCK, RESULT = A[:10].nbytes, 10 * 20 * 8
"""Bytes of a block of A, of which each worker has two, and of one of the answer, of which it makes four."""

NEEDED = 2 * BLOCK + B.nbytes + 4 * RESULT
"""What a worker has, is sent and makes: B lies at one of them, and goes to the others."""


def pool_with(*least, limit=np.inf):
    return RemotePool(VirtualPool([[1.0]] * WORKERS), rooms=[(one, 0.0, limit) for one in least])


def product(pool, **options):
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % WORKERS)
    answer = kofn.matmul(a, Tiled(B, (), (), lambda n, p: 0), workers=pool, **options)
    assert answer.exact and np.allclose(answer.value, A @ B)
    return answer.report


def test_copies_are_made_where_there_is_memory_and_the_report_tells_of_the_others():
    plenty = product(pool_with(*[1e9] * WORKERS), redundancy=1)
    none = product(pool_with(*[0.0] * WORKERS), redundancy=1)
    some = product(pool_with(NEEDED + 2 * BLOCK, NEEDED, NEEDED), redundancy=1)
    moved = [sum(report.moved_bytes.values()) for report in (none, some, plenty)]
    assert np.subtract(moved, 2 * B.nbytes).tolist() == [0, 2 * BLOCK, 6 * BLOCK]
    assert not plenty.remarks and moved[0] == sum(product(pool_with(0.0, 0.0, 0.0)).moved_bytes.values())
    told = ["of 6 blocks no copy was made: workers have no memory", "of 4 blocks no copy was made"]
    assert all(any(text in one for one in report.remarks) for text, report in zip(told, (none, some), strict=True))


def test_what_lies_there_is_counted_though_the_engine_has_not_told_of_it_yet():
    own = [2 * BLOCK + B.nbytes, 2 * BLOCK, 2 * BLOCK]
    for told in ([0.0] * WORKERS, own, [1e6] * WORKERS):
        there = [max(pair) for pair in zip(told, own, strict=True)]
        rooms = [(NEEDED - had + at + BLOCK, held, np.inf) for had, at, held in zip(own, there, told, strict=True)]
        pool = RemotePool(VirtualPool([[1.0]] * WORKERS), rooms=rooms)
        assert sum(product(pool, redundancy=1).moved_bytes.values()) == 2 * B.nbytes + 3 * BLOCK


def test_a_row_for_which_no_worker_has_memory_is_refused_before_anything_moves():
    pool = pool_with(*[1e9] * WORKERS, limit=BLOCK + B.nbytes)
    with pytest.raises(kofn.ArgumentError, match=r"'workers' must have memory for a block of the answer and .* chunks"):
        product(pool)
    assert not pool.moved()
    assert product(pool_with(*[1e9] * WORKERS, limit=BLOCK + B.nbytes + RESULT)).seconds


def test_an_operator_makes_copies_where_there_is_memory_for_them():
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % WORKERS)
    x = np.ones(30)
    pool = pool_with(*[1e9] * WORKERS)
    with kofn.operator(a, workers=pool) as op:
        assert np.allclose(op @ x, A @ x) and sum(pool.moved().values()) == A.nbytes
    pool = pool_with(*[3 * BLOCK] * WORKERS)
    with pytest.warns(
        kofn.KofnWarning, match=r"no copies of the matrix, .* MB left: what lies .* redundancy=0"
    ) as told:
        op = kofn.operator(a, workers=pool)
    with op:
        assert np.allclose(op @ x, A @ x) and not pool.moved()
    assert told[0].filename == __file__
    pool = pool_with(*[3 * BLOCK] * WORKERS)
    with pytest.raises(
        kofn.ArgumentError, match=r"'redundancy' must be copies .* MB for worker 0, which has .* MB left"
    ):
        kofn.operator(a, workers=pool, redundancy=1)
    assert not pool.moved()


def test_an_operator_that_cannot_be_made_leaves_no_copies():
    class Losing(RemotePool):
        """One of its workers is lost for good as blocks are sent to it."""

        def send(self, ref, worker):
            if worker < 2:
                return super().send(ref, worker)
            self._pool._slots[worker].die()
            promise = Promise()
            promise.fail(kofn.WorkerLost("gone", worker))
            return promise.future

    pool = Losing(VirtualPool([[1.0]] * WORKERS))
    with pytest.raises(kofn.WorkerLost):
        kofn.operator(Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % WORKERS), workers=pool)
    assert pool.moved() and not pool.kept
