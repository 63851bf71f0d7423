"""Products of matrices that lie at workers: what is computed where, what moves, what is left of a worker that stops."""

from __future__ import annotations

import gc
import itertools
import queue

import numpy as np
import pytest

import kofn
from kofn.engines import Promise, RemoteMatrix, references_of
from kofn.simulation import VirtualPool
from processes import until
from remote_pool import RemotePool, Tiled

RNG = np.random.default_rng(15)
A, B = RNG.standard_normal((60, 31)), RNG.standard_normal((31, 40))
WORKERS = 3


def tiles(spread=WORKERS):
    """Six rows of blocks and two columns, dealt round."""
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % spread)
    b = Tiled(B, (), (20,), lambda n, p: p)
    return a, b


def virtual(delays=((1.0,),) * WORKERS, deaths=None, **options):
    return RemotePool(VirtualPool(delays, deaths), **options)


def close(answer, exact=A @ B):
    return np.allclose(answer.value, exact, rtol=0, atol=1e-12 * max(1.0, np.abs(exact).max()))


def test_blocks_of_the_answer_fit_those_of_the_matrices_and_each_is_computed_once():
    a, b = tiles()
    answer = kofn.matmul(a, b, workers=virtual())
    assert answer.exact and close(answer) and answer.recovered.shape == (6, 2)
    assert len(answer.report.of("arrived")) == len(answer.report.attempts) == 12
    assert [sum(x.worker == w for x in answer.report.attempts) for w in range(WORKERS)] == [4, 4, 4]
    assert answer.report.seconds == 4.0  # data that takes no time to move is never waited for
    for n, p in itertools.product(range(6), range(2)):
        assert np.allclose(answer.value[answer.where(n, p)], (A @ B)[10 * n : 10 * n + 10, 20 * p : 20 * p + 20])


def test_nothing_passes_the_client():
    a, b = tiles()
    report = kofn.matmul(a, b, workers=virtual(), redundancy=1).report
    assert report.sent_bytes == report.received_bytes == report.placed_bytes == 0
    assert sum(report.moved_bytes.values()) > 0 and all(one != other for one, other in report.moved_bytes)
    assert report.to_dict()["moved_bytes"]


def test_no_block_moves_that_need_not():
    """Three rows of A at each of two workers, and B at both of them: all of it is there."""
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % 2)
    pool = virtual([[1.0]] * 2)
    left, right = pool.adopt(a), pool.adopt(Tiled(B, (), (), lambda n, p: 0))
    assert left.shape == A.shape and right.blocks.size == 1
    answer = kofn.matmul(a, Tiled(B, (), (), lambda n, p: 0), workers=pool)
    assert answer.report.moved_bytes == {(0, 1): B.nbytes}


@pytest.mark.parametrize(
    ("rows", "columns", "inner_a", "inner_b"),
    [
        ((7, 11, 50), (1, 39), (), ()),
        ((), (), (10,), (3, 17)),
        ((30,), (20,), (5, 6, 7), (6, 30)),
        (tuple(range(1, 60)), tuple(range(1, 40)), (15,), (15,)),
    ],
)
def test_blocks_of_any_size_multiply(rows, columns, inner_a, inner_b):
    a = Tiled(A, rows, inner_a, lambda n, p: n + p)
    b = Tiled(B, inner_b, columns, lambda n, p: n + 2 * p)
    answer = kofn.matmul(a, b, workers=virtual())
    assert answer.exact and close(answer)
    assert 2 * WORKERS <= answer.recovered.size <= 9 * WORKERS


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("c16", "f8"), ("i8", "i4"), ("?", "?"), ("i4", "f8")])
def test_types_are_those_of_numpy(dtypes):
    a, b = (np.round(3 * x).astype(kind) for x, kind in zip((A, B), dtypes, strict=True))
    answer = kofn.matmul(
        Tiled(a, (13,), (9,), lambda n, p: n), Tiled(b, (20,), (15,), lambda n, p: p), workers=virtual()
    )
    assert answer.value.dtype == (a @ b).dtype
    assert np.allclose(answer.value, a @ b, rtol=1e-5)
    if (a @ b).dtype.kind in "bi":
        assert np.array_equal(answer.value, a @ b)


def test_a_matrix_in_memory_is_scattered_once():
    a, _ = tiles()
    answer = kofn.matmul(a, B, workers=virtual())
    assert answer.exact and close(answer)
    answer = kofn.matmul(A, tiles()[1], workers=virtual())
    assert answer.exact and close(answer)


@pytest.mark.parametrize("worker", range(WORKERS))
@pytest.mark.parametrize("when", [0.5, 1.5, 2.5, 3.5])
def test_a_worker_that_stops_is_done_without_where_its_blocks_have_copies(worker, when):
    a, b = tiles()
    answer = kofn.matmul(a, b, workers=virtual(stopped={worker: when}), redundancy=1)
    assert answer.exact and close(answer)
    # What it had done is computed again, by two, after half a row's time in which nobody knew.
    assert 4.0 < answer.report.seconds <= 8.5
    later = [x for x in answer.report.of("arrived") if x.ended > when]
    assert all(x.worker != worker for x in later)


@pytest.mark.parametrize("worker", range(WORKERS))
@pytest.mark.parametrize("when", [0.5, 2.5, 3.5])
def test_a_worker_that_dies_is_done_without(worker, when):
    a, b = tiles()
    answer = kofn.matmul(a, b, workers=virtual(deaths={worker: when}), redundancy=1)
    assert answer.exact and close(answer)
    assert 4.0 < answer.report.seconds <= 7.0  # a death is known at once


def test_what_a_worker_made_before_it_died_is_used_where_values_outlast_their_workers():
    a, b = tiles()
    delays = [[1.0], [1.0], [1.0, 1.0, 1.0, 5.0]]  # one is late with its last row, too
    answer = kofn.matmul(a, b, workers=virtual(delays, deaths={1: 2.5}, outlast=True))
    assert answer.exact and close(answer)
    arrived = answer.report.of("arrived")
    assert sorted(x.row for x in arrived) == list(range(12)) and not answer.report.of("late")
    assert sum(x.worker == 1 for x in arrived) == 2


def test_a_block_that_died_with_its_worker_is_said_to_be_lost():
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: 2 if n == 5 else n % 2)
    b = Tiled(B, (), (), lambda n, p: 0)
    with pytest.raises(kofn.ReferenceLost, match="have copies made with redundancy=1"):
        kofn.matmul(a, b, workers=virtual(deaths={2: 0.5}, seconds_per_byte=1e-4))


def test_a_block_that_the_engine_makes_again_is_waited_for():
    class Making(RemotePool):
        """What died with worker 2 is made again at worker 1, some time after it is asked for."""

        def send(self, ref, worker):
            if ref.worker == 2 and self.state(2) == "dead":
                promise = Promise()
                value = self._at[ref.key][2]
                self.clock.at(self.clock.now() + 3.0, lambda: promise.settle(self._put(value, worker)))
                return promise.future
            return super().send(ref, worker)

    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: 2 if n == 5 else n % 2)
    b = Tiled(B, (), (), lambda n, p: 0)
    answer = kofn.matmul(a, b, workers=Making(VirtualPool([[1.0]] * 3, {2: 0.5}), seconds_per_byte=1e-4))
    assert answer.exact and close(answer)


def test_a_worker_that_stops_when_all_is_done_is_found_out_before_the_job_ends():
    """It has done its rows by 4.0, has nothing to do, and stops; the last row arrives at 4.4."""
    a, b = tiles()
    pool = virtual([[1.0], [1.0], [1.0, 1.0, 1.0, 1.4]], stopped={0: 4.2})
    answer = kofn.matmul(a, b, workers=pool, redundancy=1)
    assert answer.exact and close(answer)
    assert any("worker 0 did not answer" in remark for remark in answer.report.remarks)


def test_a_worker_that_was_only_late_is_counted_on_again():
    a, b = tiles()
    delays = [[1.0], [1.0, 1.0, 4.0, 1.0], [1.0]]
    answer = kofn.matmul(a, b, workers=virtual(delays), redundancy=1)
    assert answer.exact and close(answer)
    assert answer.report.seconds <= 6.5


def test_what_lies_nowhere_else_is_waited_for_and_the_report_says_so():
    """Without copies only the deadline ends it, with an estimate that knows its error."""
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: 2 if n == 5 else n % 2)
    b = Tiled(B, (), (), lambda n, p: 0)
    answer = kofn.matmul(a, b, workers=virtual(stopped={2: 3.5}), deadline=20.0, rng=0)
    assert not answer.exact and 0.1 < answer.error < 0.9
    missing = ~answer.recovered
    assert missing.any() and not answer.value[50:].any()
    truth = np.linalg.norm(answer.value - A @ B) / np.linalg.norm(A @ B)
    assert answer.error == pytest.approx(truth, rel=0.5)
    assert any("worker 2 did not answer" in remark and "nowhere else" in remark for remark in answer.report.remarks)


def test_estimates_before_the_deadline_are_zero_where_nothing_came():
    a, b = tiles()
    answer = kofn.matmul(a, b, workers=virtual(), deadline=8.5)
    assert answer.exact
    answer = kofn.matmul(a, b, workers=virtual([[3.0], [3.0], [3.0]]), deadline=7.0, rng=0)
    assert not answer.exact and answer.recovered.any()
    for n, p in itertools.product(range(6), range(2)):
        block = answer.value[answer.where(n, p)]
        expected = (A @ B)[answer.where(n, p)]
        assert np.allclose(block, expected) if answer.recovered[n, p] else not block.any()


def test_moves_take_time_while_workers_compute():
    """All blocks of A take the time of a row to move, and none is waited for but the first."""
    a, b = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: 0), Tiled(B, (), (), lambda n, p: 0)
    pool = virtual([[1.0]] * 2, seconds_per_byte=0.2 / (10 * 31 * 8))
    answer = kofn.matmul(a, b, workers=pool)
    assert answer.exact and close(answer) and answer.report.seconds < 8.0


def test_copies_are_let_go_and_the_answer_is_kept():
    a, b = tiles()
    pool = virtual()
    answer = kofn.matmul(a, b, workers=pool, redundancy=1)
    assert len(pool.kept) == answer.recovered.size


def test_copies_that_arrive_when_the_job_is_over_are_let_go_as_well():
    """One has the data for the last row of another, who is late, brought to him; the row is there before."""
    a, b = tiles()
    pool = virtual([[1.0, 1.0, 1.0, 2.0], [1.0], [1.0]], seconds_per_byte=0.2 / (10 * 31 * 8))
    answer = kofn.matmul(a, b, workers=pool)
    early = set(pool.kept)
    pool.clock.wait(queue.SimpleQueue(), 1000.0)
    assert answer.exact and close(answer) and len(early) == answer.recovered.size
    assert pool.kept == early and sum(pool.moved().values()) > sum(answer.report.moved_bytes.values())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda a, b, pool: kofn.matmul(a, B, workers=pool), "A"),
        (lambda a, b, pool: kofn.matmul(A, b, workers=pool), "B"),
        (lambda a, b, pool: kofn.operator(a, workers=pool), "A"),
    ],
)
def test_what_an_engine_refuses_is_named_as_the_user_named_it(call, name):
    class Picky(RemotePool):
        def adopt(self, value):
            raise kofn.checks.refusal("adopt", "value", "be there", "one that was lost", "make it again")

    with pytest.raises(kofn.ArgumentError, match=rf"kofn\.(matmul|operator): '{name}' must be there"):
        call(*tiles(), Picky(VirtualPool([[1.0]] * WORKERS)))


def test_what_was_scattered_leaves_the_workers_before_anybody_looks_for_garbage():
    with references_of(kofn.ThreadPool(2)) as pool:
        blocks = np.array([[pool.keep(k, np.full, (2, 3), 1.0 + k).result()] for k in range(2)])
        left = RemoteMatrix(blocks, (2, 2), (3,), np.dtype(float))
        gc.collect()
        before = pool.held_bytes()
        gc.disable()
        try:
            assert kofn.matmul(left, np.ones((3, 2)), workers=pool).exact
            assert kofn.matmul(left, np.ones((3, 2)), workers=pool, tolerance=1e-9, rng=0).exact  # which sketches
            until(lambda: pool.held_bytes() == before)
        finally:
            gc.enable()


def test_threads_compute_the_same():
    a, b = tiles()
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool:
        answer = kofn.matmul(a, b, workers=pool, redundancy=1)
        assert answer.exact and close(answer)
        answer = kofn.matmul(a, b, workers=pool, tolerance=0.99, rng=0)
        assert answer.error <= 0.99


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (Tiled(A, (), (), lambda n, p: 0), Tiled(A, (), (), lambda n, p: 0), "'B' must have 31 rows"),
        (Tiled(A.astype(object), (), (), lambda n, p: 0), Tiled(B, (), (), lambda n, p: 0), "'A' must be a matrix of"),
    ],
)
def test_what_cannot_be_multiplied_is_refused_before_anything_starts(a, b, said):
    with pytest.raises(kofn.ArgumentError, match=said):
        kofn.matmul(a, b, workers=virtual())


def test_more_redundancy_than_workers_is_refused():
    with pytest.raises(kofn.ArgumentError, match="less than the number of workers"):
        kofn.matmul(*tiles(), workers=virtual(), redundancy=3)
