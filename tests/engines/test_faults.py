"""Whatever a task does, on every engine and face: an error that names the row or the term, and workers that go on."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
import time
import types
import warnings
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

import kofn
from awkward import (
    KeywordsError,
    ReducesToExitError,
    SpeechlessError,
    caused,
    holding,
    of_a_library_of_the_workers,
)
from kofn.errors import PoolClosed, WorkerLost
from kofn.schemes import CustomScheme
from processes import until

distributed = pytest.importorskip("distributed")
ROWS, BAD = 30, 17


def local():
    return kofn.LocalPool(2), []


def threads():
    return kofn.ThreadPool(2), []


def thread_executors():
    executors = [ThreadPoolExecutor(1) for _ in range(2)]
    return kofn.ExecutorPool(executors), executors


def process_executors():
    executors = [ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) for _ in range(2)]
    return kofn.ExecutorPool(executors), executors


def straggling():
    return kofn.Straggling(kofn.LocalPool(2), kofn.Constant(0.0)), []


def dask():
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    cluster = distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0")
    client = distributed.Client(cluster, set_as_default=False)
    return kofn.DaskPool(client), [client, cluster]


SLOW = [pytest.param(make, marks=pytest.mark.slow) for make in (thread_executors, process_executors, straggling, dask)]
BY_REFERENCE = {"threads", "thread_executors"}


@pytest.fixture(scope="module", params=[local, threads, *SLOW], ids=lambda make: make.__name__)
def engine(request):
    pool, others = request.param()
    yield request.param.__name__, pool
    pool.close()
    for other in others:
        other.shutdown() if hasattr(other, "shutdown") else other.close()


def raises(make):
    """A fault: what ``make()`` gives is raised."""

    def fault():
        raise make()

    return fault


def recursion():
    return recursion()


def a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("this one", stacklevel=1)


def a_closed_stream():
    sys.stdout = types.SimpleNamespace(write=len)  # that cannot be flushed, for ever after
    raise ValueError("this one")


RAISE = {
    "ValueError": raises(lambda: ValueError("this one")),
    "KeywordsError": raises(lambda: KeywordsError(7, where="the third table")),
    "SpeechlessError": raises(lambda: SpeechlessError(SystemExit)),
    "ReducesToExitError": raises(lambda: ReducesToExitError("this one")),
    "LibraryError": raises(lambda: of_a_library_of_the_workers("LibraryError")("no licence")),
    "ValueError with causes": raises(lambda: caused(KeywordsError(7, where="here"))),
    "ValueError with a lock": raises(lambda: holding(threading.Lock())),
    "ValueError with a large array": raises(lambda: holding(np.ones(1 << 20))),
    "ExceptionGroup": raises(lambda: ExceptionGroup("this one", [ValueError("a"), KeyError("b")])),
    "SystemExit": raises(lambda: SystemExit(3)),
    "KeyboardInterrupt": raises(KeyboardInterrupt),
    "GeneratorExit": raises(GeneratorExit),
    "MemoryError": raises(lambda: MemoryError("this one")),
    "RecursionError": recursion,
    "UserWarning": a_warning,
    # What engines raise themselves, and a task too, such as one that uses kofn:
    "CancelledError": raises(CancelledError),
    "WorkerLost": raises(lambda: WorkerLost("this one", 3)),
    "PoolClosed": raises(lambda: PoolClosed("this one")),
    "Cancelled": raises(lambda: kofn.Cancelled("this one")),
}


class LoadsOnlyThere:
    def __reduce__(self):
        return exec, ("import os\nif os.environ.get('KOFN_TEST_CLIENT'): raise ImportError('not here')",)


class ReducesToExit:
    def __reduce__(self):
        raise SystemExit(3)


class LoadsToExit:
    def __reduce__(self):
        return exec, ("raise SystemExit(4)",)


RESULT = {
    "a lock": threading.Lock,
    "a generator": lambda: (i for i in range(3)),
    "reduces to exit": ReducesToExit,
    "loads to exit": LoadsToExit,
    "loads only there": LoadsOnlyThere,
}


def tasks(fault):
    """Rows of which one does wrong; they are so short that several travel in one message."""

    def task(row):
        return fault() if row == BAD else np.full((1, 1), float(row))

    scheme = kofn.schemes.uncoded(np.zeros((ROWS, 1)), np.zeros((1, 1)), blocks=(ROWS, 1), workers=2)
    return CustomScheme(scheme.code, [kofn.Task(task, (row,)) for row in range(ROWS)], grid=scheme.grid)


def sound(pool):
    """Whether the workers still answer, all of them, once they have ended what nobody waits for."""
    until(lambda: all(pool.state(worker) == "idle" for worker in range(pool.n)), 30)
    assert [pool.submit(worker, abs, -worker).result(30) for worker in range(pool.n)] == list(range(pool.n))


@pytest.mark.parametrize("fault", RAISE)
def test_a_task_that_raises_is_named(fault, engine):
    _, pool = engine
    with pytest.raises(kofn.TaskError) as caught:
        kofn.run(tasks(RAISE[fault]), workers=pool)
    assert caught.value.row == BAD and fault.split()[0] in str(caught.value) and caught.value.traceback
    assert caught.value.__cause__ is not None
    sound(pool)


@pytest.mark.parametrize("fault", RAISE)
def test_a_term_that_raises_is_named(fault, engine):
    _, pool = engine
    raising = RAISE[fault]
    terms = [abs] * 12
    terms[7] = lambda x: raising()
    with pytest.raises(kofn.TermError, match=rf"^term 7 raised {fault.split()[0]}") as caught:
        kofn.sum(terms, 1.0, workers=pool)
    assert caught.value.term == 7 and fault.split()[0] in caught.value.traceback
    sound(pool)


@pytest.mark.parametrize("fault", RAISE)
def test_an_input_at_which_f_raises_is_named(fault, engine):
    _, pool = engine
    raising = RAISE[fault]
    f = lambda x: raising() if x == 3.0 else x  # noqa: E731
    with pytest.raises(kofn.FunctionError, match=rf"f raised {fault.split()[0]} at input 2"):
        kofn.map(f, [1.0, 2.0, 3.0], workers=pool, code="uncoded")
    sound(pool)


@pytest.mark.parametrize("result", RESULT)
def test_a_result_that_cannot_travel_is_an_error_of_its_row(result, engine, monkeypatch):
    name, pool = engine
    monkeypatch.setenv("KOFN_TEST_CLIENT", "1")  # the workers were started before
    make = RESULT[result]
    with pytest.raises(kofn.TaskError) as caught:
        kofn.run(tasks(make), workers=pool)
    assert caught.value.row == BAD
    assert name in BY_REFERENCE or "result" in str(caught.value)
    sound(pool)


def test_a_job_in_the_background_tells_the_same(engine):
    _, pool = engine
    job = kofn.start(tasks(RAISE["KeywordsError"]), workers=pool)
    with pytest.raises(kofn.TaskError, match=f"the task of row {BAD} raised KeywordsError"):
        job.result(30)


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), "1", 1j])
def test_a_result_is_awaited_for_a_number_of_seconds(timeout):
    with kofn.ThreadPool(1) as pool:
        job = kofn.start(tasks(abs), workers=pool)
        with pytest.raises(kofn.ArgumentError, match=r"'timeout' must be a finite number >= 0, .* leave it out"):
            job.result(timeout)
        job.cancel()


def test_a_result_may_be_awaited_very_long_and_not_at_all():
    gate = threading.Event()
    with kofn.ThreadPool(1) as pool:
        job = kofn.start(tasks(lambda: np.full((1, 1), float(gate.wait(20)))), workers=pool)
        for over in (0, -1):  # as for any future
            with pytest.raises(TimeoutError, match="the job goes on"):
                job.result(over)
        gate.set()
        assert job.result(1e300).exact


class Leaving(kofn.ThreadPool):
    def drop(self, key):
        raise ConnectionError("the cluster has gone")


class Unsound(kofn.ThreadPool):
    """Whose futures end with what no exception of a task is."""

    def submit(self, worker, function, *arguments, keys=()):
        future = super().submit(worker, abs, -1)
        future.result()
        future._exception = OSError("out of order")
        return future


def held(pool, kind=CustomScheme):
    """A job whose tasks keep a matrix at the workers."""
    A = np.ones((3, 4))
    scheme = kofn.schemes.uncoded(A, np.eye(4), blocks=(3, 1), workers=2)
    kept = [kofn.Task(lambda held, row: held[row : row + 1], (row,), {"A": A}) for row in range(3)]
    return kofn.start(kind(scheme.code, kept, grid=scheme.grid), workers=pool)


def _fails(*_):
    raise ArithmeticError("this one")


@pytest.mark.parametrize("part", ["encoding", "layout", "check", "learner"])
def test_a_scheme_that_raises_here_ends_its_job(part):
    broken = type("Broken", (CustomScheme,), {part: _fails})
    with kofn.ThreadPool(2) as pool, pytest.raises(ArithmeticError, match="this one"):
        held(pool, broken).result(30)


def test_a_pool_that_cannot_forget_ends_its_jobs():
    with Leaving(2) as pool:
        job = held(pool)
        with pytest.raises(ConnectionError, match="the cluster has gone"):
            job.result(30)
        assert job.done()


def test_an_engine_that_is_out_of_order_is_told_of():
    with Unsound(2) as pool, pytest.raises(kofn.TaskError, match="OSError at worker 0: out of order") as caught:
        held(pool).result(30)
    assert caught.value.row == 0


def test_what_hangs_on_a_future_ends_no_thread():
    def worse(future):
        raise SystemExit

    for pool in (kofn.ThreadPool(1), kofn.LocalPool(1)):
        with pool:
            for _ in range(2):
                future = pool.submit(0, time.sleep, 0.05)
                future.add_done_callback(worse)
                assert future.result(30) is None
                sound(pool)


def test_a_task_that_spoils_the_streams_is_heard():
    with kofn.LocalPool(1) as pool:
        with pytest.raises(kofn.TaskError, match="this one"):
            kofn.run(tasks(a_closed_stream), workers=pool)
        assert pool.submit(0, abs, -1).result(30) == 1
