"""After a fork: whoever made a pool goes on with it, and the child is told so at once or starts anew."""

from __future__ import annotations

import gc
import multiprocessing
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

import kofn
from kofn._base import _parallel as pieces
from processes import alive, slow_but, until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

EYE = np.eye(6)
PATIENCE = 20.0


def in_a_child(work: Callable[[], object]) -> str:
    """What ``work`` says in a forked child: its result, or its exception; a child that hangs is killed."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        gc.collect()
        os._exit(0)
    os.close(write)
    end = time.monotonic() + PATIENCE
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.005)
    with os.fdopen(read) as pipe:
        return pipe.read()


@contextmanager
def over(executors):
    with ExitStack() as stack:
        yield kofn.ExecutorPool([stack.enter_context(executor) for executor in executors])


def spawned() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


ENGINES: dict[str, Callable[[], Any]] = {
    "threads": lambda: kofn.ThreadPool(2),
    "local": lambda: kofn.LocalPool(2),
    "thread executors": lambda: over([ThreadPoolExecutor(1) for _ in range(2)]),
    "process executors": lambda: over([spawned() for _ in range(2)]),
    "delayed threads": lambda: kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)),
    "delayed processes": lambda: kofn.Straggling(kofn.LocalPool(2), kofn.Constant(0.0)),
}
SOME = ("threads", "local", "thread executors")


def _closed(pool):
    with pool:
        pass
    return "closed"


USES: dict[str, tuple[Callable[[Any], object], str]] = {
    "matmul": (lambda pool: kofn.matmul(EYE, EYE, workers=pool), "PoolClosed"),
    "sum": (lambda pool: kofn.sum([abs, abs], 1.0, workers=pool), "PoolClosed"),
    "map": (lambda pool: kofn.map(abs, [1.0], workers=pool, code="uncoded"), "PoolClosed"),
    "operator": (lambda pool: kofn.operator(EYE, workers=pool) @ EYE, "PoolClosed"),
    "start": (lambda pool: kofn.start(kofn.schemes.uncoded(EYE, EYE, workers=2), workers=pool).result(), "PoolClosed"),
    "submit": (lambda pool: pool.submit(0, abs, 1), "PoolClosed"),
    "put": (lambda pool: pool.put(0, "a", 1), "PoolClosed"),
    "drop": (lambda pool: pool.drop("a"), "None"),
    "state": (lambda pool: pool.state(0), "dead"),
    "stop": (lambda pool: pool.stop(0, "kill"), "nothing"),
    "with": (_closed, "closed"),
}


@pytest.mark.parametrize("engine", slow_but(ENGINES, ["threads", "local"]))
def test_every_use_of_a_pool_of_the_parent_ends_at_once_in_a_child(engine):
    with ENGINES[engine]() as pool:
        pool.put(0, "a", EYE)
        assert kofn.matmul(EYE, EYE, workers=pool).exact

        def try_all() -> str:
            wrong = {}
            for name, (use, right) in USES.items():
                try:
                    said = str(use(pool))
                except Exception as error:
                    said = f"{type(error).__name__}: {error}"
                if not said.startswith(right):
                    wrong[name] = said
            return str(wrong)

        assert in_a_child(try_all) == "{}"
        assert pool.submit(0, np.sum, keys=("a",)).result() == 6.0  # the parent's goes on, and has its data
        assert kofn.matmul(EYE, EYE, workers=pool).exact


@pytest.mark.parametrize("engine", slow_but(SOME, ["local"]))
def test_what_runs_when_a_process_forks_has_an_end_in_the_child(engine):
    with ENGINES[engine]() as pool:
        future = pool.submit(0, time.sleep, 0.5)
        asked = in_a_child(lambda: future.result(timeout=PATIENCE))
        assert asked.startswith("PoolClosed: the task runs in the process")
        assert in_a_child(lambda: wait([future], timeout=PATIENCE).not_done) == "set()"
        assert future.result() is None


def test_a_job_under_way_is_the_parents():
    with kofn.ThreadPool(2) as pool:
        gate = threading.Event()
        job = kofn.start(kofn.schemes.uncoded(EYE, EYE, workers=2), workers=pool)
        done = job.result().exact
        total = kofn.CodedSum([lambda x: gate.wait(PATIENCE) and x], workers=pool)
        slow = threading.Thread(target=lambda: total(1.0))
        slow.start()
        running = kofn.start(kofn.schemes.mds(EYE, EYE, workers=2, rows=2, blocks=(2, 1)), workers=pool)
        for use in (running.result, lambda: list(running)):
            said = in_a_child(use)
            assert said.startswith("PoolClosed: the job belongs to the process") or running.done()
        assert in_a_child(lambda: (running.done(), running.cancel())) == "(True, False)"
        assert in_a_child(lambda: job.result().exact) == str(done) == "True"
        gate.set()
        slow.join()
        assert running.result().exact


@pytest.mark.parametrize("engine", slow_but(SOME, ["local"]))
def test_what_is_resident_on_a_pool_is_refused_in_a_child_and_goes_on_in_the_parent(engine):
    with ENGINES[engine]() as pool:
        operator = kofn.operator(EYE, workers=pool, rng=0)
        total = kofn.CodedSum([abs, abs], workers=pool)
        function = kofn.CodedMap(abs, workers=pool, code="uncoded")
        uses = [lambda: operator @ EYE, lambda: total(1.0), lambda: function([1.0])]
        for use in uses:
            use()
        for use in uses:
            assert in_a_child(use).startswith("PoolClosed: what is used here belongs to the process")
        for owner in (operator, total, function):
            assert in_a_child(owner.close) == "None"
        np.testing.assert_allclose(operator @ EYE, EYE, atol=1e-12)
        assert (total(1.0).value, function([1.0]).value.tolist()) == (2.0, [1.0])


@pytest.mark.parametrize("used", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_number_of_workers_starts_anew_in_a_child(used):
    with kofn.CodedSum([abs, abs], workers=2) as total:
        if used:
            assert total(-1.0).value == 2.0
            before = total.plan._lease.pool.pids()

        def child() -> object:
            value = total(-3.0).value
            total.close()
            return value

        assert in_a_child(child) == "6.0"
        assert total(-1.0).value == 2.0
        assert not used or total.plan._lease.pool.pids() == before


@pytest.mark.parametrize("made", [lambda: ThreadPoolExecutor(1), pytest.param(spawned, marks=pytest.mark.slow)])
def test_executors_of_the_parent_are_refused_in_a_child(made):
    with made() as executor, ThreadPoolExecutor(1) as unused:
        executor.submit(abs, 1).result()
        said = in_a_child(lambda: kofn.matmul(EYE, EYE, workers=[executor]))
        assert said.startswith("PoolClosed: kofn.ExecutorPool: the executors belong to another process")
        assert in_a_child(lambda: kofn.matmul(EYE, EYE, workers=[unused]).exact) == "True"


@pytest.mark.slow
def test_a_dask_client_and_its_pool_are_refused_in_a_child():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "n_workers": 2, "dashboard_address": ":0", "set_as_default": False}
    with distributed.Client(**options) as client, kofn.DaskPool(client) as pool:
        pool.warm()
        operator = kofn.operator(EYE, workers=pool, rng=0)

        def try_all() -> str:
            said = []
            uses = [lambda: kofn.matmul(EYE, EYE, workers=client), lambda: operator @ EYE]
            for use in (*uses, *(lambda use=use: use(pool) for use, _ in USES.values())):
                try:
                    said.append(str(use()))
                except kofn.PoolClosed:
                    said.append("PoolClosed")
            return str(said)

        right = [right for _, right in USES.values()]
        assert in_a_child(try_all) == str(["PoolClosed", "PoolClosed", *right])
        np.testing.assert_allclose(operator @ EYE, EYE, atol=1e-12)


def test_a_callback_that_forks_ends_the_job_in_the_child_only():
    said: list[str] = []

    def fork_once(_: object) -> None:
        if not said:
            said.append("")
            if (child := os.fork()) == 0:
                inside.put("child")
            else:
                said[0] = str(child)

    inside: queue.SimpleQueue[str] = queue.SimpleQueue()
    scheme = kofn.schemes.uncoded(EYE, EYE, workers=2, blocks=(6, 1))
    with kofn.ThreadPool(2) as pool:
        try:
            answer = kofn.run(scheme, workers=pool, progress=fork_once)
        except BaseException as error:
            os._exit(7 if isinstance(error, kofn.PoolClosed) and not inside.empty() else 8)
        if not inside.empty():
            os._exit(9)
        assert answer.exact
        assert os.waitstatus_to_exitcode(os.waitpid(int(said[0]), 0)[1]) == 7


@pytest.mark.parametrize("engine", [kofn.LocalPool, kofn.ThreadPool])
@pytest.mark.parametrize("raises", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_task_whose_child_comes_back_too_answers_once(engine, raises):
    def forking(x: float) -> float:
        child = os.fork()
        if child == 0 and raises:
            raise SystemExit
        return float(child or -x)

    with engine(2) as pool:
        children = kofn.map(forking, [1.0, 2.0], workers=pool, code="uncoded").value
        assert min(children) > 2.0
        until(lambda: not any(alive(int(child)) for child in children))
        if engine is kofn.ThreadPool:
            for child in children:
                os.waitpid(int(child), 0)
        for i in range(10):
            np.testing.assert_allclose(kofn.matmul(EYE, EYE * i, workers=pool, code="uncoded").value, EYE * i)


@pytest.mark.parametrize("ending", slow_but(["exit", "collected"], ["exit"]))
def test_a_child_that_ends_takes_nothing_of_the_parents_along(ending):
    with kofn.LocalPool(2) as pool, kofn.ThreadPool(2) as threads:
        pids = pool.pids()
        process = multiprocessing.get_context("fork").Process(target=_end, args=([pool, threads], ending))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == 0
        assert all(alive(pid) for pid in pids if pid) and pool.pids() == pids
        assert pool.submit(0, abs, -1).result() == threads.submit(0, abs, -1).result() == 1


def _end(pools: list[Any], ending: str) -> None:
    if ending == "collected":
        pools.clear()
        gc.collect()
    else:
        for pool in pools:
            pool.close()


def test_a_pass_over_an_array_that_is_under_way_does_not_hold_up_a_child():
    began, go_on = threading.Event(), threading.Event()

    def action(start: int, stop: int) -> None:
        began.set()
        go_on.wait(PATIENCE)

    thread = threading.Thread(target=lambda: pieces.for_pieces(action, 4, pieces.WORTH_BYTES))
    with pieces._lock:
        assert in_a_child(lambda: pieces.for_pieces(lambda *_: None, 4, pieces.WORTH_BYTES)) == "None"
    thread.start()
    began.wait(PATIENCE)
    assert in_a_child(lambda: pieces.for_pieces(lambda *_: None, 4, pieces.WORTH_BYTES)) == "None"
    go_on.set()
    thread.join()


def test_a_lock_that_another_thread_holds_does_not_hold_up_a_child():
    with kofn.LocalPool(1) as pool, ThreadPoolExecutor(1) as threads:
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with pool._supervisor.lock:
                held.set()
                go_on.wait(2 * PATIENCE)

        holding = threads.submit(hold)
        assert held.wait(PATIENCE)
        said = [in_a_child(work) for work in (lambda: pool.submit(0, int), pool.close, pool._supervisor.close)]
        go_on.set()
        holding.result(PATIENCE)
        assert said[0].startswith("PoolClosed") and said[1:] == ["None", "None"]
        assert pool.submit(0, int, "3").result(PATIENCE) == 3
