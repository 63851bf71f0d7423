"""Who submits while another closes: every future ends, no call says more than that the pool is closed."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest

import kofn
from kofn.errors import ArgumentError, PoolClosed, WorkerError
from processes import slow_but


@contextmanager
def executors():
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two, kofn.ExecutorPool([one, two]) as pool:
        yield pool


ENGINES: dict[str, tuple[Callable[[], Any], int]] = {
    "threads": (lambda: kofn.ThreadPool(2), 60),
    "executors": (executors, 40),
    "delayed": (lambda: kofn.Straggling(kofn.ThreadPool(2), kofn.Constant(0.0)), 40),
    "local": (lambda: kofn.LocalPool(2), 2),
}


@pytest.fixture
def restless():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns between almost any two steps
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("engine", slow_but(ENGINES, ["threads", "local"]))
def test_every_future_ends_whoever_closes_when(engine, restless):
    make, rounds = ENGINES[engine]
    for _ in range(rounds):
        with make() as pool:
            pool.put(0, "a", 1)
            futures: list[Future[Any]] = []
            wrong: list[BaseException] = []
            together = threading.Barrier(5)

            def submit(worker, pool=pool, futures=futures, wrong=wrong, together=together):
                together.wait()
                for _ in range(30):
                    try:
                        keys = ("a",) if worker == 0 else ()
                        futures.append(pool.submit(worker, int, *(() if keys else (1,)), keys=keys))
                        pool.put(worker, "b", 2)
                        pool.drop("b")
                        pool.stop(worker, "abandon")
                        pool.state(worker)
                    except (PoolClosed, WorkerError):
                        pass
                    except BaseException as error:
                        wrong.append(error)

            def close(pool=pool, wrong=wrong, together=together):
                together.wait()
                try:
                    pool.close()
                    pool.close()
                except BaseException as error:
                    wrong.append(error)

            threads = [threading.Thread(target=submit, args=(worker,)) for worker in (0, 0, 1)]
            threads += [threading.Thread(target=close) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20.0)
            assert not wrong and not any(thread.is_alive() for thread in threads)
            assert not wait(futures, timeout=20.0).not_done
            ends = {type(future.exception()) for future in futures if not future.cancelled()}
            assert ends <= {type(None), PoolClosed}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_callback_may_close_the_pool(engine):
    closed = threading.Event()

    def close(_: object) -> None:
        pool.close()
        closed.set()

    with ENGINES[engine][0]() as pool:
        other = pool.submit(1, abs, 1)
        pool.submit(0, abs, 1).add_done_callback(close)
        assert closed.wait(20.0)
        assert not wait([other], timeout=20.0).not_done
        with pytest.raises(PoolClosed, match="submit: the pool is closed"):
            pool.submit(0, abs, 1)
        with pytest.raises(PoolClosed, match="put: the pool is closed"):
            pool.put(0, "a", 1)
        assert (pool.state(0), pool.stop(0, "kill"), pool.drop("a")) == ("dead", "nothing", None)
        with pytest.raises(PoolClosed, match=r"kofn.matmul: the pool is closed"):
            kofn.matmul([[1.0]], [[1.0]], workers=pool)


BAD: dict[str, tuple[Callable[[Any], object], str]] = {
    "submit to nobody": (lambda pool: pool.submit(99, abs, 1), "'worker' must be less than 2"),
    "submit to minus one": (lambda pool: pool.submit(-1, abs, 1), "'worker' must be an int of at least 0"),
    "submit to a name": (lambda pool: pool.submit("0", abs, 1), "'worker' must be an int of at least 0"),
    "submit to half": (lambda pool: pool.submit(0.5, abs, 1), "'worker' must be an int of at least 0"),
    "submit nothing": (lambda pool: pool.submit(0, None), "'function' must be callable"),
    "submit with a missing key": (lambda pool: pool.submit(0, abs, keys=("b",)), "'keys' must be resident"),
    "submit with a bare key": (lambda pool: pool.submit(0, abs, keys="a"), "'keys' must be a tuple of keys"),
    "submit with a list as key": (lambda pool: pool.submit(0, abs, keys=([],)), "'key' must be hashable"),
    "put at nobody": (lambda pool: pool.put(2, "a", 1), "'worker' must be less than 2"),
    "put under a list": (lambda pool: pool.put(0, [], 1), "put: 'key' must be hashable"),
    "drop a list": (lambda pool: pool.drop([]), "drop: 'key' must be hashable"),
    "stop nobody": (lambda pool: pool.stop(2, "kill"), "'worker' must be less than 2"),
    "stop somehow": (lambda pool: pool.stop(0, "somehow"), "'how' must be one of"),
    "state of nobody": (lambda pool: pool.state(2), "'worker' must be less than 2"),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_pool_refuses_the_same_in_the_same_words(engine):
    with ENGINES[engine][0]() as pool:
        pool.put(0, "a", -1)
        for name, (call, said) in BAD.items():
            with pytest.raises(ArgumentError, match=said):
                call(pool)
                pytest.fail(f"{name} was not refused")
        assert pool.submit(0, abs, keys=["a"]).result() == 1


class Keeping(kofn.ThreadPool):
    """An engine that keeps the futures of its tasks when it is closed, as Dask's client does."""

    kept: list[Future[Any]] = []  # noqa: RUF012  they outlive the pool

    def submit(self, *arguments: Any, **keywords: Any) -> Future[Any]:
        future = super().submit(*arguments, **keywords)
        self.kept.append(future)
        return future


class Caller:
    """What only frames of the caller hold."""


@pytest.mark.parametrize("call", ["matmul", "imap"])
def test_an_engine_that_keeps_its_futures_keeps_nothing_of_who_was_told_that_it_was_closed(call):
    def run() -> weakref.ref[Caller]:
        caller, begun, end = Caller(), threading.Event(), threading.Event()

        def task(x):
            begun.set()
            end.wait(10)
            return x

        def close():
            begun.wait(10)
            pool.close()
            end.set()

        with Keeping(1) as pool, pytest.raises(PoolClosed) as told:
            closer = threading.Thread(target=close)
            closer.start()
            if call == "imap":
                list(kofn.imap(task, [1], workers=pool))
            else:
                kofn.sum([task], 1.0, workers=pool, code="one")
        closer.join()
        assert any(isinstance(future.exception(), PoolClosed) for future in Keeping.kept)
        del told
        return weakref.ref(caller)

    there = run()
    gc.collect()
    assert there() is None
    Keeping.kept.clear()
