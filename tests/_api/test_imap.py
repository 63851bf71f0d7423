"""`kofn.imap`: results as they come, of inputs that are read as they are needed, and nothing left behind."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import time

import pytest

import kofn
from kofn._base import _closeable
from kofn.engines._wrapped import WrappedPool
from processes import held, until


@pytest.fixture(scope="module")
def threads():
    with kofn.ThreadPool(3) as pool:
        yield pool


def test_results_come_in_the_order_of_the_inputs_or_as_they_are_there(threads):
    gate = threading.Event()

    def f(x):
        if x == 0:
            assert gate.wait(30.0)
        return x

    with kofn.imap(f, range(50), workers=threads, ordered=False) as results:
        early = [next(results) for _ in range(49)]
        gate.set()
        assert next(results, None) == 0 and next(results, None) is None
    assert sorted(early) == list(range(1, 50))
    assert list(kofn.imap(pow, range(40), itertools.repeat(2), workers=threads)) == [k * k for k in range(40)]


def test_infinite_inputs_are_read_a_bounded_number_ahead(threads):
    read = []
    inputs = (read.append(k) or k for k in itertools.count())
    with kofn.imap(abs, inputs, workers=threads) as results:
        assert [next(results) for _ in range(500)] == list(range(500))
    assert len(read) < 500 + 30_000  # a thousand calls in a message, four messages a worker, and as much again
    assert next(results, "closed") == "closed"


def test_a_consumer_that_does_not_ask_is_not_run_ahead_of(threads):
    read = []
    inputs = (read.append(k) or k for k in itertools.count())
    with kofn.imap(lambda x: threading.Event().wait(0.05) and x, inputs, workers=threads) as results:
        next(results)
        assert len(read) < 60


def test_what_f_raises_comes_in_its_turn(threads, local_pool):
    for pool in (threads, local_pool):
        results = kofn.imap(lambda x: 1 // (3 - x), range(6), workers=pool)
        assert [next(results) for _ in range(3)] == [0, 0, 1]
        with pytest.raises(kofn.FunctionError, match=r"ZeroDivisionError at input 3") as caught:
            next(results)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert next(results, "over") == "over"
        whole = list(kofn.imap(lambda x: 1 // (3 - x), range(6), workers=pool, errors="return"))
        assert isinstance(whole[3], ZeroDivisionError) and whole[:3] + whole[4:] == [0, 0, 1, -1, -1]


def test_nothing_is_left_behind_by_one_that_is_closed_forgotten_or_at_its_end():
    with kofn.ThreadPool(2) as pool:
        list(kofn.imap(abs, range(3), workers=pool))
        before = held()
        gate = threading.Event()
        results = kofn.imap(lambda x: gate.wait(30.0), itertools.count(), workers=pool)
        results.close()
        results.close()
        del results
        forgotten = kofn.imap(abs, itertools.count(), workers=pool)
        next(forgotten)
        del forgotten
        gc.collect()
        gate.set()
        list(kofn.imap(abs, range(3), workers=pool))
        until(lambda: held() <= before)
        until(lambda: [pool.state(worker) for worker in range(2)] == ["idle"] * 2)
        assert kofn.map(abs, [-1], workers=pool).value == [1]


def test_what_is_forgotten_ends_though_garbage_is_looked_for_under_a_lock_of_its_pool(monkeypatch):
    monkeypatch.setattr(_closeable, "SOON", 0.01)
    with kofn.LocalPool(1) as pool:
        results = kofn.imap(time.sleep, itertools.repeat(60.0), workers=pool)
        until(lambda: pool.state(0) == "busy", 60.0)
        circle = [results]
        circle.append(circle)
        del results, circle
        looked = threading.Event()

        def look():
            with pool._supervisor.lock:  # as where something is made under it, which may happen at any time
                gc.collect()
            looked.set()

        threading.Thread(target=look, daemon=True).start()
        assert looked.wait(60.0)
        assert kofn.map(abs, [-1], workers=pool).value == [1]


class Collecting(WrappedPool):
    """Looks for garbage as something is placed by the thread of the calls, which has a lock then."""

    def __init__(self, pool):
        super().__init__(pool)
        self.is_there, self.may_look = threading.Event(), threading.Event()

    def put(self, worker, key, value):
        super().put(worker, key, value)
        if threading.current_thread().name == "kofn-calls":
            self.is_there.set()
            self.may_look.wait(60.0)
            gc.collect()


@pytest.mark.parametrize("face", ["imap", "joblib"])
def test_what_is_forgotten_ends_though_its_own_thread_looks_for_garbage_in_the_middle_of_something(face):
    with kofn.ThreadPool(2) as threads:
        pool = Collecting(threads)
        if face == "imap":
            circle = [kofn.imap(abs, itertools.count(), workers=pool)]
        else:
            backend = pytest.importorskip("kofn.joblib").Backend(pool)
            backend.configure(2)
            for _ in range(8):
                backend.submit(list)
            circle = [backend]
            del backend
        circle.append(circle)
        assert pool.is_there.wait(60.0)
        del circle
        pool.may_look.set()
        until(lambda: not any(slot.residents for slot in threads._slots), 60.0)


def test_its_own_workers_end_with_it():
    before = held()
    with kofn.imap(abs, itertools.count(), workers=2) as results:
        assert next(results) == 0
    until(lambda: held() <= before)


def test_inputs_that_fail_are_told_of_where_they_are_read(threads):
    def failing():
        yield 1
        raise TypeError("no second one")

    with pytest.raises(TypeError, match="no second one"):
        kofn.imap(abs, failing(), workers=threads)
    assert kofn.map(abs, [-1], workers=threads).value == [1]


def test_what_was_read_before_inputs_failed_is_not_lost(threads):
    def failing():
        yield from range(20)  # more than are read at first
        raise TypeError("no 21st one")

    results = kofn.imap(abs, failing(), workers=threads)
    came = []
    with pytest.raises(TypeError, match="no 21st one"):
        came.extend(next(results) for _ in range(21))
    assert [*came, *results] == list(range(20))


def test_a_pool_that_is_closed_is_told_of():
    with kofn.ThreadPool(1) as pool:
        results = kofn.imap(abs, itertools.count(), workers=pool)
        next(results)
    with pytest.raises(kofn.PoolClosed):
        list(results)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda pool: kofn.imap(abs, workers=pool), "'iterables' must be at least one"),
        (lambda pool: kofn.imap(3, [1], workers=pool), "'f' must be callable"),
        (lambda pool: kofn.imap(abs, 3, workers=pool), "'inputs' must be in an order"),
        (lambda pool: kofn.imap(abs, [1], errors=None, workers=pool), "'errors' must be one of"),
        (lambda pool: kofn.imap(abs, [1], verify="correct", workers=pool), "'verify' must be left out, but got 'corr"),
        (lambda pool: kofn.imap(abs, [1], deadline=2.0, workers=pool), "'deadline' must be left out, .* use kofn.map"),
        (lambda pool: kofn.imap(threading.Lock().__exit__, [1], workers=pool), "'f' must be picklable"),
    ],
)
def test_bad_arguments_are_refused_before_anything_starts(arguments, sentence, local_pool):
    before = {name for name in held() if "kofn-calls" in name}
    with pytest.raises(kofn.ArgumentError, match=rf"^kofn\.imap: {sentence}"):
        arguments(local_pool)
    assert {name for name in held() if "kofn-calls" in name} <= before


def test_a_keyword_that_is_none_is_refused_as_elsewhere(local_pool):
    with pytest.raises(
        kofn.CallError, match=r"^kofn\.imap: got an unexpected keyword argument 'chunksize'; leave it out"
    ):
        kofn.imap(abs, [1], chunksize=4, workers=local_pool)


def test_a_fork_is_told_that_the_workers_are_not_its_own(threads):
    with kofn.imap(abs, itertools.count(), workers=threads) as results:
        assert next(results) == 0
        child = os.fork()
        if child == 0:
            try:
                next(results)
            except kofn.PoolClosed:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert next(results) == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_closing_it_ends_who_waits_for_a_result(ordered):
    gate = threading.Event()
    with kofn.ThreadPool(1) as pool:
        results = kofn.imap(lambda x: gate.wait(), itertools.count(), workers=pool, ordered=ordered)
        closer = threading.Timer(0.05, results.close)
        closer.start()
        threading.Timer(0.2, gate.set).start()
        assert len(list(results)) <= 1  # nobody waits for ever
        closer.join()


@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_although_inputs_are_slow_to_come(ordered):
    done = threading.Semaphore(0)

    def inputs():
        for k in itertools.count():
            time.sleep(0.006)
            yield k
            assert done.acquire(timeout=30.0)  # the next one comes once this is computed

    with (
        kofn.ThreadPool(2) as pool,
        kofn.imap(lambda x: (done.release(), x)[1], inputs(), workers=pool, ordered=ordered) as results,
    ):
        assert [next(results) for _ in range(3)] == [0, 1, 2]
