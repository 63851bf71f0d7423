"""A job is a future of the standard library, ends once, and holds nothing up."""

import asyncio
import gc
import math
import pickle
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, as_completed, wait
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import kofn

A = np.random.default_rng(0).standard_normal((8, 3))
PATIENCE = 20.0


def product(**options):
    return kofn.schemes.uncoded(A, A.T, **{"workers": 2, "blocks": (4, 1), "rng": 0} | options)


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(2) as pool:
        yield pool


@contextmanager
def held(**options):
    """A job whose rows wait until its gate is opened, and the gate."""
    gate = threading.Event()
    code = kofn.LinearCode("pair", np.eye(2), np.eye(2), worker=[0, 1])
    tasks = [kofn.Task(lambda row=row: np.full(3, float(gate.wait(PATIENCE) and row))) for row in range(2)]
    scheme = kofn.schemes.CustomScheme(code, tasks)
    with kofn.ThreadPool(2) as pool:
        try:
            yield kofn.start(scheme, pool, **options), gate
        finally:
            gate.set()


def test_what_is_done_is_told_as_a_future_tells_it(threads):
    job = kofn.start(product(), threads)
    answer = job.result(PATIENCE)
    assert job.done() and not job.running() and not job.cancelled() and job.exception() is None
    assert not job.cancel() and job.result() is answer
    np.testing.assert_allclose(answer.value, A @ A.T)
    assert sorted(job.results) == [0, 1, 2, 3]


def test_what_failed_is_told_as_a_future_tells_it(threads):
    def fail():
        raise ZeroDivisionError("no such luck")

    code = kofn.LinearCode("one", [[1.0]], [[1.0]], worker=[0])
    scheme = kofn.schemes.CustomScheme(code, [kofn.Task(fail)])
    job = kofn.start(scheme, threads)
    assert isinstance(job.exception(PATIENCE), kofn.TaskError)
    with pytest.raises(kofn.TaskError, match=r"row 0 raised ZeroDivisionError .*no such luck"):
        job.result()
    assert repr(job).startswith("<Job, ended by TaskError")


def test_standard_functions_wait_for_jobs(threads):
    jobs = [kofn.start(product(), threads) for _ in range(3)]
    assert {job.result().exact for job in as_completed(jobs, PATIENCE)} == {True}
    assert wait(jobs, PATIENCE).not_done == set()
    with held() as (slow, gate):
        quick = kofn.start(product(), threads)
        assert wait([slow, quick], PATIENCE, return_when=FIRST_COMPLETED).done == {quick}
        assert wait([slow], 0.01).not_done == {slow}
        gate.set()
        assert wait([slow], PATIENCE).done == {slow}


def test_a_coroutine_awaits_a_job_and_cancels_it(threads):
    async def both():
        answer = await asyncio.wrap_future(kofn.start(product(), threads))
        with held() as (job, _):
            wrapped = asyncio.wrap_future(job)
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
            await asyncio.sleep(0)  # the loop passes it on
            return answer, job.cancelled()

    answer, cancelled = asyncio.run(both())
    assert answer.exact and cancelled


def test_to_cancel_succeeds_at_once_and_whoever_waits_is_told():
    with held() as (job, gate):
        assert job.running() and repr(job) == "<Job, running: pair, 0 of 2 results>"
        waiting = threading.Thread(target=wait, args=([job],))
        waiting.start()
        assert job.cancel() and job.cancel()
        waiting.join(PATIENCE)
        assert not waiting.is_alive() and not gate.is_set()
        assert job.cancelled() and job.done() and repr(job) == "<Job, cancelled>"
        for ask in (job.result, job.exception, lambda: list(job)):
            with pytest.raises(kofn.Cancelled) as caught:
                ask()
            assert isinstance(caught.value, CancelledError)
        job.close()
        assert not job._thread.is_alive()  # though a task of it still waits for the gate


def test_a_block_that_is_left_early_waits_until_nothing_of_the_job_runs():
    with held() as (job, _):
        with job:
            pass
        assert job.cancelled() and not job._thread.is_alive()


def test_estimates_get_better_and_everybody_sees_the_last(threads):
    with kofn.Straggling(kofn.ThreadPool(2), kofn.Trace([[0.0, 0.02]])) as pool:
        job = kofn.start(product(), pool)
        estimates = list(job)
    errors = [estimate.error for estimate in estimates]
    assert errors == sorted(errors, reverse=True) and errors[-1] == 0.0
    assert estimates[-1] is job.result() and list(job) == [job.result()]


def test_callbacks_run_without_a_lock_and_their_errors_are_nobody_elses(threads, caplog):
    told = []

    def ask(job):  # from the job's own thread
        told.append((job.done(), job.result().exact, job.cancel(), threading.current_thread().name))
        job.close()

    def fail(job):
        raise ValueError("a callback's own")

    with held() as (job, gate):
        job.add_done_callback(fail)
        job.add_done_callback(ask)
        gate.set()
        assert job.result(PATIENCE).count == 2
        job.close()
    job.add_done_callback(ask)  # it has ended: at once
    assert [entry[:3] for entry in told] == [(True, True, False)] * 2
    assert [entry[3] for entry in told] == ["kofn-job", threading.current_thread().name]
    assert "a callback's own" in caplog.text


def test_a_callback_of_a_cancelled_job_may_start_another(threads):
    started = []
    with held() as (job, _):
        job.add_done_callback(lambda _: started.append(kofn.start(product(), threads)))
        job.cancel()
    assert started[0].result(PATIENCE).exact


def test_a_job_that_nobody_holds_is_cancelled_unless_somebody_wants_to_hear_of_it():
    ended = threading.Event()
    with held() as (job, _):
        thread = job._thread
        del job
        gc.collect()
    # The tuple that the block yields holds the job until it is left; now its thread ends.
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with kofn.ThreadPool(2) as pool:
        kofn.start(product(), pool).add_done_callback(lambda job: job.result().exact and ended.set())
        gc.collect()
        assert ended.wait(PATIENCE)


def test_a_job_stays_in_its_process(threads):
    job = kofn.start(product(), threads)
    with pytest.raises(kofn.StaysHere):
        pickle.dumps(job)
    job.result()


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_to_wait_takes_a_number_of_seconds(ask):
    with held() as (job, _):
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s; the job goes on"):
            getattr(job, ask)(0.01)
        with pytest.raises(kofn.ArgumentError, match=rf"kofn\.Job\.{ask}: 'timeout' must be a finite number >= 0"):
            getattr(job, ask)("soon")
        job.cancel()


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_time_that_is_up_is_no_mistake(ask, threads):
    with held() as (job, _):
        for late in (-0.5, -math.inf):
            with pytest.raises(TimeoutError, match="the job goes on"):
                getattr(job, ask)(late)
        job.cancel()
    with kofn.start(product(), threads) as job:
        job.result(20)
        assert getattr(job, ask)(-0.5) is (job.result() if ask == "result" else None)


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_a_wait_named_as_before_says_what_it_is_called_now(ask, threads):
    with kofn.start(product(), threads) as job:
        with pytest.raises(TypeError, match=rf"^kofn\.Job\.{ask}: .*'timeout_seconds'; it is timeout= now\.$"):
            getattr(job, ask)(timeout_seconds=5)
        assert getattr(job, ask)(timeout=20) is (job.result() if ask == "result" else None)


def test_a_ctrl_c_while_a_job_is_cancelled_leaves_nobody_waiting(monkeypatch):
    with held() as (job, _):
        loop, told = job._execution.loop, []
        cancel = loop.cancel

        def interrupted():
            cancel()
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "cancel", interrupted)
        job.add_done_callback(told.append)
        with pytest.raises(KeyboardInterrupt):
            job.cancel()
        assert job.cancelled() and told == [job] and not wait([job], 0).not_done


def test_many_cancel_at_once_and_each_is_told_that_it_is_cancelled():
    with held() as (job, _):
        said, start = [], threading.Barrier(8)

        def cancel():
            start.wait()
            said.append(job.cancel())

        threads = [threading.Thread(target=cancel) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == [True] * 8


def test_threads_that_look_at_a_value_at_once_have_it_computed_once(threads):
    answer = kofn.run(product(), threads)
    computed, looking, inside = [], threading.Barrier(3), threading.Event()

    def assemble():
        computed.append(1)
        inside.wait(0.05)  # a second thread that comes in says so
        if len(computed) > 1:
            inside.set()
        return object()

    hollow, seen = replace(answer, assemble=assemble), []

    def look():
        looking.wait(PATIENCE)
        seen.append(hollow.value)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for one in lookers:
        one.start()
    for one in lookers:
        one.join(PATIENCE)
    assert len(computed) == 1 and len(seen) == 3 and len({id(value) for value in seen}) == 1


def test_a_value_that_could_not_be_computed_is_tried_again(threads):
    outcomes = iter([kofn.KofnError("not yet"), None])

    def assemble():
        if (error := next(outcomes)) is not None:
            raise error
        return 3

    hollow = replace(kofn.run(product(), threads), assemble=assemble)
    with pytest.raises(kofn.KofnError, match="not yet"):
        _ = hollow.value
    assert hollow.value == hollow.value == 3
