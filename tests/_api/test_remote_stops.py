"""Workers that stop while matrices at workers are multiplied: who finds out, when, and what is computed again."""

from __future__ import annotations

import queue
from collections import Counter
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import kofn
from kofn.engines import Promise, Ref, WorkerState
from kofn.jobs.remote._errands import Errand, run_errands
from kofn.jobs.remote._moves import next_moves
from kofn.jobs.remote._pulse import EVERY, MOST_SECONDS, SILENT_SECONDS, Pulse
from kofn.jobs.remote._shelf import Shelf
from kofn.jobs.scheduling import InFlight
from kofn.jobs.scheduling._placed import candidates
from kofn.simulation import VirtualPool
from kofn.simulation._virtual import VirtualClock
from remote_pool import RemotePool, Tiled

RNG = np.random.default_rng(19)
A, B = RNG.standard_normal((60, 31)), RNG.standard_normal((31, 40))
WORKERS = 3
CALM = 4.0
"""Seconds of virtual time: twelve blocks of the answer of a second each."""


def product(pool, **options):
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % WORKERS)
    b = Tiled(B, (), (20,), lambda n, p: p)
    answer = kofn.matmul(a, b, workers=pool, **options)
    assert answer.exact and np.allclose(answer.value, A @ B)
    return answer.report


def virtual(delays=((1.0,),) * WORKERS, deaths=None, **options):
    return RemotePool(VirtualPool(delays, deaths), pings=True, **options)


@pytest.mark.parametrize("worker", range(WORKERS))
@pytest.mark.parametrize("when", [0.5, 1.5, 2.5, 3.5, 3.99])
def test_a_stop_costs_what_the_worker_would_have_done_and_had_done(worker, when):
    """All of it is done by the other two, n / (n - 1) of the time; one block more where they cannot share the last."""
    report = product(virtual(stopped={worker: when}), redundancy=1)
    assert report.seconds <= CALM * WORKERS / (WORKERS - 1) + SILENT_SECONDS + EVERY
    again = [x.row for x in report.of("arrived") if x.worker != worker]
    assert len(set(again)) == len(again) == 12  # each once, by those who are there


@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_two_that_stop_at_once_are_found_as_soon_as_one(seconds):
    """The others, who have nothing to do any more, answer: so it is not the machine that is slow."""
    workers, wide = 8, RNG.standard_normal((480, 31))
    a = Tiled(wide, tuple(range(60, 480, 60)), (), lambda n, p: n)
    b = Tiled(B, (), (20,), lambda n, p: p)
    pool = virtual([[seconds]] * workers, stopped={0: 3.5 * seconds, 1: 3.5 * seconds})
    answer = kofn.matmul(a, b, workers=pool, redundancy=2)
    assert answer.exact and np.allclose(answer.value, wide @ B)
    assert answer.report.seconds <= 6.0 * seconds + SILENT_SECONDS + 3 * EVERY  # eight rows once more, at six workers


def test_what_a_slow_worker_has_done_counts_as_long_as_it_answers():
    """Only its last row is computed again; where nobody can ask it, all it has done is."""
    delays = [[1.0], [1.0], [1.0, 1.0, 1.0, 100.0]]
    told = product(virtual(delays), redundancy=1)
    assert len(told.of("arrived")) == 12 and told.seconds == pytest.approx(5.5, abs=0.2)  # late after 1.5 rows
    untold = product(RemotePool(VirtualPool(delays)), redundancy=1)
    assert untold.seconds > told.seconds + 0.5


def test_nobody_is_asked_while_all_compute_in_time_but_once():
    pool = virtual([[100.0]] * WORKERS)
    assert product(pool).seconds == 100.0 * CALM
    assert pool.asked <= WORKERS


def test_a_late_worker_is_asked_ten_times_a_second_and_no_more():
    pool = virtual([[1.0], [1.0], [1.0, 1.0, 1.0, 1.4]])
    assert product(pool).seconds == pytest.approx(4.4)
    assert 1 <= pool.asked <= WORKERS * (0.4 / EVERY + 2)


def test_what_travels_from_a_worker_that_stops_is_sent_by_another_within_a_second():
    """Rows take a tenth of a second: nothing else would be worth waiting for."""
    bytes_per_block = A[:10].nbytes
    pool = virtual([[0.1]] * WORKERS, stopped={2: 0.21}, seconds_per_byte=0.05 / bytes_per_block)
    assert product(pool, redundancy=1).seconds <= 1.2 + SILENT_SECONDS


def test_one_who_has_the_data_takes_the_last_row_of_one_who_waits_for_it():
    code = SimpleNamespace(load=[1.0] * 6)
    message = InFlight((0,), 2, 0.0)
    view = SimpleNamespace(
        code=code, waiting={0: [5], 2: [3, 4]}, in_flight={2: message}, idle={0, 1}, states=["idle", "idle", "busy"],
        silent=None, now=0.5, pace=1.0, received=set(), copies=lambda row: 1,
    )  # fmt: skip
    rows = [row for row, _ in candidates(1, view, 1.5)]
    assert rows == [4, 5, 3] or rows == [4, 3, 5]  # nothing that waits is out of reach
    view.silent = {2}
    assert [row for row, _ in candidates(1, view, 1.5)][:3] == [4, 3, 0]


@pytest.mark.parametrize(("pings", "most"), [(True, 0.5), (False, 4.0)])
def test_a_worker_that_stopped_before_a_matrix_is_scattered_is_passed_over(pings, most):
    """Its part goes to another once it has been silent, or took four times as long as the others."""
    pool = RemotePool(VirtualPool([[1.0]] * WORKERS), pings=pings, stopped={2: 0.0})
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % 2)
    answer = kofn.matmul(a, B, workers=pool, redundancy=1)
    assert answer.exact and np.allclose(answer.value, A @ B)
    scattering = pool.clock.now() - answer.report.seconds
    assert 1.0 < scattering <= 2.0 + most
    assert answer.report.seconds <= CALM * WORKERS / (WORKERS - 1) + 1.0


def test_sketches_of_a_worker_that_stopped_are_made_by_others():
    pool = virtual(stopped={2: 0.0})
    a = Tiled(A, (10, 20, 30, 40, 50), (), lambda n, p: n % 2)
    answer = kofn.matmul(a, Tiled(B, (), (20,), lambda n, p: p), workers=pool, redundancy=1, tolerance=0.5, rng=0)
    assert answer.error <= 0.5 and pool.clock.now() < 20.0


def test_who_was_passed_over_is_given_work_again_once_it_has_answered():
    """One of two is late with its first errand: the other does the work alone until then, and no longer."""
    with RemotePool(VirtualPool([[1.0], [5.0, 1.0]])) as pool:
        errands = [Errand(np.full, (1, float(number)), number % 2) for number in range(12)]
        avoided: set[int] = set()
        refs = run_errands(pool, errands, 3.0, avoided)
        assert [pool.fetch(ref).result()[0] for ref in refs] == list(range(12))
        assert 1 in {ref.worker for ref in refs} and not avoided
        assert pool.clock.now() == pytest.approx(10.0, abs=0.1)  # alone it would be 12


class Asked:
    """A pool whose workers answer when they are told to."""

    def __init__(self):
        self.clock, self.open = VirtualClock(), {}

    def ping(self, worker):
        self.open[worker] = Promise()
        return self.open[worker].future

    def wait(self, seconds):
        self.clock.wait(queue.SimpleQueue(), seconds)


def test_who_answers_late_once_makes_all_others_wait_twice_as_long_at_most():
    pool = Asked()
    pulse = Pulse(pool)
    pulse.ask([0])
    pool.wait(SILENT_SECONDS + 0.01)
    assert pulse.silent() == {0}
    pool.wait(100.0)
    pool.open[0].settle(None)
    assert pulse.silent() == set()
    pulse.ask([0, 1])
    pool.wait(5.0 * 2.0 * SILENT_SECONDS)
    assert pulse.silent() == set()
    pool.wait(0.01)
    assert pulse.silent() == {0, 1}


@pytest.mark.parametrize(("answers", "soon"), [((2, 3), {0, 1}), ((3,), set())])
def test_where_most_do_not_answer_they_have_two_seconds(answers, soon):
    pool = Asked()
    pulse = Pulse(pool)
    pulse.ask(range(4))
    for worker in answers:
        pool.open[worker].settle(None)
    pool.wait(SILENT_SECONDS + 0.01)
    assert pulse.silent() == soon
    pool.wait(MOST_SECONDS - SILENT_SECONDS)
    assert pulse.silent() == set(range(4)) - set(answers)


def test_a_question_is_asked_again_once_it_is_answered_and_not_before():
    pool = Asked()
    pulse = Pulse(pool)
    pulse.ask([0])
    first = pool.open[0]
    pool.wait(2 * EVERY)
    pulse.ask([0])
    assert pool.open[0] is first
    first.settle(None)
    pulse.ask([0])
    assert pool.open[0] is not first
    pool.open[0].settle(None)
    second = pool.open[0]
    pulse.ask([0])
    assert pool.open[0] is second  # it has just answered


def test_a_pool_that_cannot_ask_is_not_asked():
    pulse = Pulse(RemotePool(VirtualPool([[1.0]])))
    pulse.ask([0])
    assert not pulse.can_ask and pulse.silent() == set()


class Restarted(RemotePool):
    """Workers die at a time, and processes without data take their places at another."""

    def __init__(self, seconds, lost, back, **options):
        super().__init__(VirtualPool([[seconds]] * WORKERS), pings=True, **options)
        self._lost, (self._from, self._until) = lost, (seconds * rows for rows in back)
        for worker in lost:
            self.clock.at(self._from, partial(self._die, worker))

    def _die(self, worker):
        slot = self._pool._slots[worker]
        slot.die()
        slot.dead = False
        for table in () if self._outlast else self._at.values():
            table.pop(worker, None)

    def state(self, worker):
        starting = worker in self._lost and self._from <= self.clock_now() < self._until
        return WorkerState.STARTING if starting else super().state(worker)


@pytest.mark.parametrize(("seconds", "helps"), [(0.1, False), (10.0, True)])
def test_who_comes_back_with_nothing_is_sent_data_where_enough_is_left_to_do(seconds, helps):
    """Some three rows are left to each of the others: a few tenths of a second do not pay for a new process."""
    report = product(Restarted(seconds, lost=[1], back=(1.5, 2.5)), redundancy=1)
    after = [x.row for x in report.of("arrived") if x.worker == 1 and x.submitted >= 2.5 * seconds]
    assert bool(after) == helps
    assert report.seconds <= CALM * seconds * WORKERS / (WORKERS - 1) + EVERY
    assert bool(report.of("lost"))


def test_who_comes_back_is_given_what_is_left_where_nobody_else_is_there():
    report = product(Restarted(0.1, lost=[0, 1, 2], back=(2.5, 3.0), outlast=True))
    assert len({x.row for x in report.of("arrived") if x.submitted >= 0.3}) >= 6


def test_data_for_a_row_of_one_who_is_late_is_brought_to_one_other_only():
    """Seven have nothing to do any more; one of them is sent the two blocks that the last row needs."""
    workers, wide = 8, RNG.standard_normal((480, 31))
    a = Tiled(wide, tuple(range(60, 480, 60)), (), lambda n, p: n)
    b = Tiled(B, (), (20,), lambda n, p: p)
    block, rest = wide[:60].nbytes, [[1.0]] * (workers - 1)
    moved = []
    for last in (1.0, 4.0):
        pool = virtual([[1.0, 1.0, 1.0, last], *rest], seconds_per_byte=0.1 / block)
        answer = kofn.matmul(a, b, workers=pool)
        assert answer.exact and np.allclose(answer.value, wide @ B)
        moved.append(sum(answer.report.moved_bytes.values()))
    assert block <= moved[1] - moved[0] <= 2 * block


def moves(shelf, view, keys_of):
    """What is sent, as long as anything is."""
    sent = []
    for move in next_moves(shelf, view, keys_of, (), 1.5):
        sent.append(move)
        shelf.expect(move.key, move.worker, move.source)
    return sent


@pytest.mark.parametrize("waiting", [{0: [1], 1: [5]}, {0: [1], 1: [5, 6]}, {1: [1, 5]}, {1: [5, 1]}])
def test_a_row_whose_data_nobody_can_send_keeps_nobody_from_others(waiting):
    """Two are silent; of one row a block lies only there, of the others at a third worker, too."""
    view = SimpleNamespace(
        code=SimpleNamespace(load=[1.0] * 7), waiting=waiting, in_flight={w: InFlight((w,), w, 0.0) for w in (0, 1)},
        idle={2}, states=["busy", "busy", "idle", "idle"], silent={0, 1}, now=0.5, pace=1.0, received=set(),
        copies=lambda row: 1,
    )  # fmt: skip
    shelf = Shelf(Ref(f"block-{row}", 0, size=8) for row in range(7))
    for row in (5, 6):
        shelf.add(f"block-{row}", Ref(f"copy-{row}", 3, size=8))
    shelf.avoided = {0, 1}
    sent = moves(shelf, view, lambda row: [f"block-{row}"])
    assert {move.key for move in sent} == {f"block-{row}" for rows in waiting.values() for row in rows if row != 1}
    assert {(move.source, move.worker) for move in sent} == {(3, 2)}


@pytest.mark.parametrize(("idle", "sent"), [({0}, {0: 2}), ({0, 1}, {0: 1, 1: 1})])
def test_data_of_two_rows_of_one_who_has_stopped_travels_at_a_time_to_each_and_of_none_twice(idle, sent):
    """Where data takes longer to come than a row to be computed, one at a time would take twice as long."""
    view = SimpleNamespace(
        code=SimpleNamespace(load=[1.0] * 5), waiting={3: [3, 4]}, in_flight={}, idle=idle, states=["idle"] * 4,
        silent={3}, now=0.5, pace=1.0, received=set(), copies=lambda row: 1,
    )  # fmt: skip
    shelf = Shelf(Ref(f"block-{row}", 2, size=8) for row in (3, 4))
    shelf.avoided = {3}
    made = moves(shelf, view, lambda row: [f"block-{row}"])
    assert Counter(move.worker for move in made) == sent and len({move.key for move in made}) == 2


@pytest.mark.parametrize(("took", "rows"), [(0.5, [5, 4]), (1.5, [5]), (2.5, [])])
def test_data_for_rows_that_wait_is_brought_to_idle_workers_if_it_comes_before_they_are_begun(took, rows):
    """One computes row 2 and has three more; of a second each, the last is begun in two at the earliest."""
    view = SimpleNamespace(
        code=SimpleNamespace(load=[1.0] * 6), waiting={2: [3, 4, 5]}, in_flight={2: InFlight((2,), 2, 0.0)},
        idle={0, 1}, states=["idle", "idle", "busy"], silent=set(), now=0.5, pace=1.0, received=set(),
        copies=lambda row: 1,
    )  # fmt: skip
    shelf = Shelf(Ref(f"block-{row}", 2, size=8) for row in range(6))
    shelf.last = took
    sent = moves(shelf, view, lambda row: [f"block-{row}"])
    assert [(move.key, move.source) for move in sent] == [(f"block-{row}", 2) for row in rows]
    assert len({move.worker for move in sent}) == len(sent)
