"""The runtime under virtual time: what is sent where, what is lost, when it stops."""

from __future__ import annotations

import heapq
import json
import queue
import sys

import numpy as np
import pytest

import kofn
from kofn.errors import CodeError, NotDecodable, TaskError, WorkerLost
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.jobs._stop import StopRule
from kofn.jobs.report._attempt import Attempt
from kofn.jobs.scheduling._names import as_scheduler
from kofn.schemes import CustomScheme
from kofn.simulation._simulate import stop_times
from kofn.simulation._virtual import VirtualClock, VirtualPool

RNG = np.random.default_rng(20)
A, B = RNG.standard_normal((24, 10)), RNG.standard_normal((10, 18))


def virtual_run(scheme, delays, *, stop: StopRule | None = None, deaths=None, scheduler="auto", estimator="lmmse"):
    pool = VirtualPool(delays, deaths)
    collector = Collector(scheme.code, scheme.prior, estimator, stop, scheme.epsilon)
    scheduler = as_scheduler("kofn.run", scheduler, scheme.adaptive)
    return RunLoop(scheme, pool, collector, Placement(pool), scheduler).run()


@pytest.mark.parametrize("name", kofn.schemes.PRODUCTS)
@pytest.mark.parametrize("stop", [kofn.Decodable(), kofn.Count(4), kofn.Tolerance(0.5), kofn.Deadline(0.7)])
def test_a_run_under_the_virtual_clock_equals_the_simulation(name, stop):
    scheme = kofn.schemes.PRODUCTS[name](A, B, workers=8, rng=3)
    arrivals = kofn.Exponential(1.0).arrivals(scheme.code.work, scheme.code.worker, 20, np.random.default_rng(5))
    expected = stop_times(scheme, arrivals, stop=stop)
    for times, stopped in zip(arrivals, expected, strict=True):
        try:
            answer = virtual_run(scheme, [[t] for t in times], stop=stop)
        except NotDecodable:
            assert times.min() > stopped == 0.7  # the deadline passed with nothing
            continue
        assert answer.report.seconds == pytest.approx(stopped, abs=1e-12)
        assert answer.exact == (np.linalg.norm(answer.value - A @ B) < 1e-9 * np.linalg.norm(A) * np.linalg.norm(B))


def test_several_rows_a_worker_are_computed_in_their_order():
    scheme = kofn.schemes.mds(A, B, blocks=(6, 1), rows=9, workers=3, rng=0)
    answer = virtual_run(scheme, [[1.0], [2.0], [4.0]])
    got = [(a.worker, a.row, a.ended) for a in answer.report.of("arrived")]
    assert sorted(got) == [(0, 0, 1.0), (0, 3, 2.0), (0, 6, 3.0), (1, 1, 2.0), (1, 4, 4.0), (2, 2, 4.0)]
    assert answer.report.seconds == 4.0


def test_short_rows_travel_several_to_a_message():
    scheme = kofn.schemes.uncoded(A, B, blocks=(24, 1), workers=2)
    answer = virtual_run(scheme, [[1e-4], [1e-4]])
    messages = {(a.worker, a.submitted) for a in answer.report.attempts}
    assert answer.exact
    assert len(messages) == 4  # a single row to measure the pace, then the rest of the lane, at both workers


def test_rows_of_a_dead_worker_go_to_live_ones():
    scheme = kofn.schemes.uncoded(A, B, workers=4)
    answer = virtual_run(scheme, [[1.0], [1.0], [1.0], [1.0]], deaths={2: 0.5})
    assert answer.exact
    assert [a.worker for a in answer.report.of("lost")] == [2]
    assert answer.report.seconds == 2.0
    np.testing.assert_allclose(answer.value, A @ B, rtol=1e-12)


@pytest.mark.parametrize("seconds", [1e-18, 1e-12, 0.5])
def test_who_waits_for_less_than_virtual_time_can_tell_apart_waits_no_more(seconds):
    clock = VirtualClock()
    clock.wait(queue.SimpleQueue(), 1.0)
    clock.wait(queue.SimpleQueue(), seconds)
    assert clock.now() > 1.0
    clock.wait(queue.SimpleQueue(), 0.0)
    assert clock.now() == max(1.0 + seconds, np.nextafter(1.0, 2.0))


def test_a_worker_that_never_answers_is_abandoned():
    scheme = kofn.schemes.mds(A, B, workers=4, rng=0)
    answer = virtual_run(scheme, [[1.0], [1.0], [np.inf], [1.0]])
    assert answer.exact and answer.report.seconds == 1.0
    assert [a.worker for a in answer.report.of("abandoned")] == [2]


def test_the_end_of_a_job_leaves_alone_what_its_workers_run_for_another():
    scheme = kofn.schemes.mds(A, B, workers=2, rng=0)
    clock = VirtualClock()
    pool = VirtualPool([[1.0], [1.0]], clock=clock)
    others = []

    def meanwhile(_):
        clock.wait(queue.SimpleQueue(), 0.5)  # worker 1 answers too, which the job has not heard yet
        others.append(pool.submit(1, int, "7"))

    stop = kofn.Count(1)
    RunLoop(scheme, pool, Collector(scheme.code, stop=stop), Placement(pool)).run(meanwhile)
    clock.wait(queue.SimpleQueue(), 2.0)
    assert others[0].result(timeout=0) == 7


def test_idle_workers_repeat_what_a_slow_one_computes():
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    assert virtual_run(scheme, [[1.0], [1.5], [9.0]]).report.seconds == 9.0
    report = virtual_run(scheme, [[1.0], [1.5], [9.0]], scheduler=kofn.Speculative(0.5)).report
    assert report.seconds == 2.875  # 1.5 times the median of 1.0 and 1.5 is 1.875; worker 0 needs 1.0 more
    assert [(a.worker, a.row, a.submitted) for a in report.of("arrived")] == [(0, 0, 0.0), (1, 1, 0.0), (0, 2, 1.875)]
    assert [(a.worker, a.row) for a in report.of("abandoned")] == [(2, 2)]


def test_rows_that_wait_for_a_slow_worker_move_and_are_computed_once():
    scheme = kofn.schemes.uncoded(A, B, blocks=(8, 1), workers=2)
    slow = [[1.0], [20.0]]
    assert virtual_run(scheme, slow).report.seconds == 80.0
    report = virtual_run(scheme, slow, scheduler=kofn.Speculative()).report
    assert report.seconds < 10.0 and not report.of("late")
    assert sorted(a.row for a in report.of("arrived")) == list(range(8))


@pytest.mark.parametrize(("moving", "moves"), [(0.5, True), (30.0, False)])
def test_rows_move_unless_that_costs_more_than_to_wait(moving, moves):
    """Each row needs data of its own; to move it takes so long, as the first rows show."""

    class Far(VirtualPool):
        def put(self, worker, key, value):
            super().put(worker, key, value)
            self.clock.wait(queue.SimpleQueue(), moving)

    pool = Far([[1.0], [6.0]])
    code = kofn.LinearCode("four", np.eye(4), np.ones((1, 4)), worker=[0, 1, 0, 1])
    tasks = [kofn.Task(np.sum, (), {("part", row): np.ones(10**6)}) for row in range(4)]
    scheme = CustomScheme(code, tasks)
    answer = RunLoop(scheme, pool, Collector(code), Placement(pool), kofn.Speculative(quantile=1.0)).run()
    assert float(answer.value) == 4e6
    taken_over = [a for a in answer.report.attempts if a.worker == 0 and a.row in (1, 3)]
    assert bool(taken_over) == moves


def test_all_workers_dead_raises_with_the_best_estimate():
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    with pytest.raises(NotDecodable, match="all 3 workers are gone") as caught:
        virtual_run(scheme, [[1.0], [3.0], [3.0]], deaths={0: 1.5, 1: 1.5, 2: 1.5})
    estimate = caught.value.estimate
    assert estimate is not None and not estimate.exact and 0 < estimate.error < 1
    np.testing.assert_allclose(estimate.value[:8], (A @ B)[:8], rtol=1e-12)


def test_a_deadline_with_nothing_raises_and_with_something_estimates():
    scheme = kofn.schemes.kronecker(A, B, workers=4, rng=0)
    with pytest.raises(NotDecodable, match="before any result") as caught:
        virtual_run(scheme, [[2.0]] * 4, stop=kofn.Decodable() | kofn.Deadline(1.0))
    assert caught.value.estimate is None
    answer = virtual_run(scheme, [[0.5], [2.0], [2.0], [2.0]], stop=kofn.Decodable() | kofn.Deadline(1.0))
    assert not answer.exact and answer.count == 1 and 0 < answer.error < 1
    assert answer.report.seconds == 1.0


class Unhandy(VirtualPool):
    """A pool in which giving out a task takes 0.3 s."""

    def submit(self, *arguments, **options):
        self.clock.wait(queue.SimpleQueue(), 0.3)
        return super().submit(*arguments, **options)


def test_a_deadline_that_passes_while_rows_are_given_out_is_kept(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "VirtualPool", Unhandy)
    scheme = kofn.schemes.uncoded(A, B, workers=4)
    with pytest.raises(NotDecodable, match="before any result"):  # not at 9.3, with the first one
        virtual_run(scheme, [[9.0]] * 4, stop=kofn.Decodable() | kofn.Deadline(1.0))
    answer = virtual_run(scheme, [[0.1], [9.0], [9.0], [9.0]], stop=kofn.Deadline(0.5))
    assert answer.count == 1 and answer.report.seconds == 0.6  # when the second of four rows is out


def test_a_job_ends_when_only_time_would_end_it():
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    whole = virtual_run(scheme, [[1.0]] * 3, stop=kofn.Deadline(50.0))
    assert whole.exact and whole.report.seconds == 1.0
    gone = virtual_run(
        scheme, [[1.0], [3.0], [3.0]], deaths={0: 1.5, 1: 1.5, 2: 1.5}, stop=kofn.Decodable() | kofn.Deadline(50.0)
    )
    assert not gone.exact and gone.count == 1 and gone.report.seconds == 1.5


def test_the_exact_estimator_leaves_zeros():
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    stop = kofn.Deadline(1.5)
    answer = virtual_run(scheme, [[1.0], [2.0], [2.0]], stop=stop, estimator="exact")
    np.testing.assert_allclose(answer.value[:8], (A @ B)[:8], rtol=1e-12)
    assert not answer.value[8:].any()


def test_an_exception_of_a_task_names_worker_and_row():
    def fail(a, b):
        raise ZeroDivisionError("no such luck")

    scheme = kofn.schemes.uncoded(A, B, workers=2)
    tasks = [kofn.Task(fail, task.arguments) for task in scheme.encoding().encode(np.empty)]
    broken = CustomScheme(scheme.code, tasks, scheme.prior(), scheme.grid)
    with pytest.raises(TaskError, match="row 0 raised ZeroDivisionError at worker 0: no such luck") as caught:
        virtual_run(broken, [[1.0], [2.0]])
    assert (caught.value.worker, caught.value.row) == (0, 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_resident_data_is_placed_once_for_many_jobs():
    class Counting(VirtualPool):
        puts = 0

        def put(self, worker, key, value):
            Counting.puts += 1
            super().put(worker, key, value)

    pool = Counting([[1.0], [1.0]])
    code = kofn.LinearCode("pair", np.eye(2), np.ones((1, 2)), worker=[0, 1])
    halves = [np.arange(3.0), np.ones(3)]

    placement = Placement(pool)
    for factor in (1.0, 2.0):
        tasks = [kofn.Task(np.multiply, (factor,), {f"half{i}": half}) for i, half in enumerate(halves)]
        scheme = CustomScheme(code, tasks)
        answer = RunLoop(scheme, pool, Collector(code), placement).run()
        np.testing.assert_allclose(answer.value, factor * (halves[0] + halves[1]))
    assert Counting.puts == 2
    placement.close()
    assert not any(slot.residents for slot in pool._slots)


def test_a_worker_that_dies_while_data_is_placed_there_is_one_that_died():
    class Dying(VirtualPool):
        def put(self, worker, key, value):
            if not worker:
                self._slots[worker].die()
                raise WorkerLost("gone", worker)
            super().put(worker, key, value)

    code = kofn.LinearCode("pair", np.eye(2), np.ones((1, 2)), worker=[0, 1])
    tasks = [kofn.Task(np.multiply, (2.0,), {f"half{i}": half}) for i, half in enumerate([np.arange(3.0), np.ones(3)])]
    pool = Dying([[1.0], [1.0]])
    answer = RunLoop(CustomScheme(code, tasks), pool, Collector(code), Placement(pool)).run()
    np.testing.assert_allclose(answer.value, [2.0, 4.0, 6.0])
    assert {attempt.worker for attempt in answer.report.attempts} == {1}


def test_a_row_that_keeps_losing_workers_is_given_up():
    class Fragile(VirtualPool):
        """Row 0 kills whoever computes it, and workers come back at once."""

        def submit(self, worker, function, *arguments, keys=()):
            future = super().submit(worker, function, *arguments, keys=keys)
            if arguments[0].tobytes() == fatal:
                self.clock.at(self.clock.now() + 0.1, lambda: self._fall(worker))
            return future

        def _fall(self, worker):
            self._slots[worker].die()
            self._slots[worker].dead = False

    scheme = kofn.schemes.uncoded(A, B, workers=3)
    fatal = scheme.encoding().encode(np.empty)[0].arguments[0].tobytes()
    pool = Fragile([[1.0]] * 3)
    with pytest.raises(NotDecodable, match="row 0 was given up after 3 lost workers"):
        RunLoop(scheme, pool, Collector(scheme.code, scheme.prior), Placement(pool)).run()


def test_what_keeps_data_at_workers_is_of_no_use_once_closed():
    with kofn.ThreadPool(2) as pool:
        squares = kofn.CodedMap(np.square, workers=pool, code="uncoded")
        squares([1.0, 2.0])
        squares.close()
        with pytest.raises(kofn.PoolClosed, match="was closed before; make it anew"):
            squares([1.0, 2.0])


@pytest.mark.parametrize("bad", [{"progress": 3}, {"stop": 3}])
def test_what_cannot_be_used_in_a_job_is_refused_before_it_starts(bad):
    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.ArgumentError, match=f"'{next(iter(bad))}' must be"):
        kofn.run(kofn.schemes.uncoded(np.eye(2), np.eye(2), workers=2), workers=pool, **bad)


def test_a_closed_pool_is_said_to_be_one():
    pool = kofn.ThreadPool(2)
    pool.close()
    with pytest.raises(kofn.PoolClosed, match=r"kofn\.matmul: the pool is closed"):
        kofn.matmul(np.eye(2), np.eye(2), workers=pool)


def test_a_report_is_data_that_goes_through_json():
    scheme = kofn.schemes.uncoded(A, B, workers=3)
    report = virtual_run(scheme, [[1.0], [1.5], [9.0]], deaths={1: 1.25}, scheduler=kofn.Speculative(0.5)).report
    told = report.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["wasted"] == report.wasted and told["workers"] == 3 and told["seconds"] == report.seconds
    assert [Attempt(**attempt) for attempt in told["attempts"]] == list(report.attempts)
    assert {attempt["outcome"] for attempt in told["attempts"]} == {"arrived", "lost", "abandoned"}


def test_a_picture_starts_at_zero_and_its_legend_hides_nobody():
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(9, 3), layout="constrained")
    scheme = kofn.schemes.mds(A, B, workers=4, rng=0)
    axes = virtual_run(scheme, [[1.0], [2.0], [3.0], [9.0]]).report.plot(figure.subplots())
    figure.draw_without_rendering()
    assert axes.get_xlim()[0] == 0.0
    assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1


THIRDS = kofn.LinearCode("thirds", [[1, 1], [1, -2], [3, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)


def scheme_of(results):
    tasks = [kofn.Task(lambda result=result: result) for result in results]
    return CustomScheme(THIRDS, tasks)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.float64, np.complex64])
def test_results_of_any_numbers_are_combined_with_the_weights_as_they_are(dtype):
    unknowns = np.array([[6, 12], [2, 4]])
    answer = virtual_run(scheme_of([(row @ unknowns).astype(dtype) for row in THIRDS.generator]), [[1.0], [1.0], [2.0]])
    assert answer.exact
    np.testing.assert_allclose(answer.value, unknowns, rtol=1e-6)


def test_real_and_complex_results_go_together():
    real, imaginary = np.array([1.0, 2.0]), np.array([1j, 2j])
    answer = virtual_run(scheme_of([real, imaginary, real]), [[1.0], [1.0], [np.inf]])
    np.testing.assert_allclose(answer.value, [(2 * real + imaginary) / 3, (real - imaginary) / 3])


@pytest.mark.parametrize(
    ("results", "error", "what"),
    [
        ([None] * 3, TaskError, "row 0 returned a NoneType of dtype object, not numbers"),
        (["1"] * 3, TaskError, "row 0 returned a str of dtype"),
        ([np.ones(3), np.ones(1), np.ones(3)], CodeError, r"one shape, got \(1,\) and \(3,\)"),
        ([np.ones(3)] * 2, CodeError, r"one task per row \(3\), got 2"),
    ],
)
def test_results_that_cannot_be_combined_are_refused(results, error, what):
    with pytest.raises(error, match=what):
        virtual_run(scheme_of(results), [[1.0], [1.0], [2.0]])


class AtOnce(VirtualClock):
    """Lets all that happens within a microsecond happen together."""

    def wait(self, inbox, seconds):
        event = super().wait(inbox, seconds)
        while self._agenda and self._agenda[0][0] <= self._now + 1e-6:
            heapq.heappop(self._agenda)[2]()
        return event


@pytest.mark.parametrize("third", [ValueError("not needed"), np.nan, "no number"], ids=["raises", "NaN", "text"])
def test_a_row_that_was_not_needed_does_not_spoil_what_is_exact(third):
    def f(x):
        if x == 1.5:  # between the inputs
            if isinstance(third, Exception):
                raise third
            return third
        return 3.0 * x

    scheme = kofn.schemes.FUNCTIONS["lagrange"](f, [1.0, 2.0], degree=1, workers=3).estimating()
    clock, results = AtOnce(), {}
    pool = VirtualPool([[1.0], [1.0 + 1e-9], [1.0]], clock=clock)
    collector = Collector(scheme.code, epsilon=scheme.epsilon, judge=scheme.learner().judge, results=results)
    answer = RunLoop(scheme, pool, collector, Placement(pool), results=results).run()
    assert answer.exact and answer.value.tolist() == [3.0, 6.0]


def test_a_row_that_was_not_needed_and_contradicts_the_others_is_heard():
    scheme = kofn.schemes.FUNCTIONS["lagrange"](np.exp, [1.0, 2.0], degree=1, workers=3).estimating()
    clock, results = AtOnce(), {}
    pool = VirtualPool([[1.0], [1.0 + 1e-9], [1.0]], clock=clock)
    collector = Collector(scheme.code, epsilon=scheme.epsilon, judge=scheme.learner().judge, results=results)
    answer = RunLoop(scheme, pool, collector, Placement(pool), results=results).run()
    assert answer.recovered.all()  # both were computed at their own inputs, whatever f is
