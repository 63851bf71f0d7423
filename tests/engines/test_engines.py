"""One battery for every engine: the seam of `kofn.engines._protocol`."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from awkward import KeywordsError
from kofn.engines import ExecutorPool, LocalPool, Pool, ThreadPool, as_pool
from kofn.errors import ArgumentError, PoolClosed, WorkerError
from kofn.simulation import Straggling
from processes import opens, until

N = 3
SPAWN = multiprocessing.get_context("spawn")


def local() -> tuple[Pool, list[Executor]]:
    return LocalPool(N), []


def threads() -> tuple[Pool, list[Executor]]:
    return ThreadPool(N), []


def thread_executors() -> tuple[Pool, list[Executor]]:
    executors: list[Executor] = [ThreadPoolExecutor(1) for _ in range(N)]
    return ExecutorPool(executors), executors


def process_executors() -> tuple[Pool, list[Executor]]:
    executors: list[Executor] = [ProcessPoolExecutor(1, mp_context=SPAWN) for _ in range(N)]
    return ExecutorPool(executors), executors


MAKERS: list[Callable[[], tuple[Pool, list[Executor]]]] = [
    local,
    threads,
    thread_executors,
    process_executors,
]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda maker: maker.__name__)
def shared(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """One pool per engine for the tests that leave it as they found it."""
    pool, executors = request.param()
    yield pool
    pool.close()
    for executor in executors:
        executor.shutdown()


@pytest.fixture
def pool(shared: Pool) -> Pool:
    await_idle(shared)
    return shared


@pytest.fixture(params=MAKERS[:3], ids=lambda maker: maker.__name__)
def own(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A fresh pool, for the tests that close it."""
    pool, executors = request.param()
    yield pool
    pool.close()
    for executor in executors:
        executor.shutdown(wait=False)


def await_idle(pool: Pool, worker: int | None = None) -> None:
    workers = range(pool.n) if worker is None else [worker]
    until(lambda: all(pool.state(w) == "idle" for w in workers))


def by_reference(pool: Pool) -> bool:
    """Whether arguments are handed over as they are."""
    marker = [1]
    return pool.submit(0, lambda x: x, marker).result() is marker


def test_pools_satisfy_the_seam(pool: Pool) -> None:
    assert isinstance(pool, Pool)
    assert pool.n == N
    assert [pool.state(worker) for worker in range(N)] == ["idle"] * N


def test_each_lane_keeps_its_worker(pool: Pool) -> None:
    def who() -> tuple[int, int]:
        import os

        return os.getpid(), threading.get_ident()

    first = [pool.submit(worker, who).result() for worker in range(N)]
    assert len(set(first)) == N
    assert [pool.submit(worker, who).result() for worker in range(N)] == first


def test_lambdas_and_closures_with_arrays(pool: Pool) -> None:
    weights = np.arange(5.0)
    assert pool.submit(0, lambda x: float(weights @ x), np.ones(5)).result() == 10.0


@pytest.mark.parametrize("large", [False, True])
def test_residents_come_first_and_stay(pool: Pool, large: bool) -> None:
    size = 100_000 if large else 10
    pool.put(1, "a", np.arange(float(size)))
    pool.put(1, ("b", 2), {"factor": 2.0})
    for scale in (1.0, 3.0):
        total = pool.submit(1, lambda a, b, s: a.sum() * b["factor"] * s, scale, keys=("a", ("b", 2))).result()
        assert total == size * (size - 1) * scale
    pool.put(1, "a", np.ones(size))
    assert pool.submit(1, np.sum, keys=("a",)).result() == size
    pool.drop("a")
    pool.drop(("b", 2))
    pool.drop("never there")
    with pytest.raises(ArgumentError, match="'keys' must be resident at worker 1"):
        pool.submit(1, np.sum, keys=("a",))


def test_residents_belong_to_their_worker(pool: Pool) -> None:
    pool.put(0, "only here", 1)
    with pytest.raises(ArgumentError, match="worker 2"):
        pool.submit(2, id, keys=("only here",))
    pool.drop("only here")


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_task_that_writes_into_its_argument_spoils_nothing(pool: Pool, size: int) -> None:
    if by_reference(pool):
        pytest.skip("threads hand arrays over by reference, and say so")

    def spoil(resident: Any, other: Any) -> float:
        resident += 1
        other -= 1
        return float(resident.sum() + other.sum())

    argument = pool.empty((size,), np.float64)
    argument[:] = 1.0
    pool.put(0, "x", np.ones(size))
    for _ in range(3):
        assert pool.submit(0, spoil, argument, keys=("x",)).result() == 2.0 * size
    assert pool.submit(0, np.sum, keys=("x",)).result() == size
    assert argument.sum() == size
    pool.drop("x")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3)),
        np.zeros(()),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.asfortranarray(np.random.default_rng(0).random((300, 400))),
        np.random.default_rng(0).random((400, 400))[::2, ::3],
        np.arange(200_000, dtype=np.complex64),
        np.array(["text", None], dtype=object),
        np.arange(6, dtype=">i4"),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_of_any_kind_come_back_equal(pool: Pool, array: np.ndarray) -> None:
    back = pool.submit(0, lambda x: x, array).result()
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)
    if array.flags.f_contiguous and array.ndim > 1:
        assert back.flags.f_contiguous


def test_results_of_any_kind(pool: Pool) -> None:
    assert pool.submit(0, lambda: None).result() is None
    assert pool.submit(0, lambda: {"a": (1, "b", {2})}).result() == {"a": (1, "b", {2})}
    mixed = pool.submit(0, lambda: [np.ones(100_000), "x", np.arange(3)]).result()
    assert mixed[0].sum() == 100_000
    assert mixed[1] == "x"
    assert mixed[2].tolist() == [0, 1, 2]


def test_results_can_be_written_to(pool: Pool) -> None:
    for size in (10, 100_000):
        result = pool.submit(0, np.zeros, size).result()
        result += 1
        assert result.sum() == size


def test_an_array_from_empty_is_an_ordinary_array(pool: Pool) -> None:
    array = pool.empty((200, 300), np.float64)
    array[:] = np.arange(300.0)
    assert pool.submit(0, np.sum, array[50:100]).result() == array[50:100].sum()
    assert pool.submit(0, np.sum, array[:, 7]).result() == 1400.0
    assert pool.empty((0, 4), np.int8).shape == (0, 4)


def test_exceptions_come_back_with_their_traceback(pool: Pool) -> None:
    def fails_here() -> None:
        raise LookupError("no such thing", 42)

    with pytest.raises(LookupError) as caught:
        pool.submit(0, fails_here).result()
    assert caught.value.args == ("no such thing", 42)
    assert any("Traceback" in note and "fails_here" in note for note in caught.value.__notes__)
    assert pool.submit(0, int, "3").result() == 3


def test_an_exception_that_cannot_travel_sends_its_text(pool: Pool) -> None:
    def fails() -> None:
        raise KeywordsError(1, where="2")

    with pytest.raises((KeywordsError, RuntimeError), match="code 1 at 2") as caught:
        pool.submit(0, fails).result()
    assert any("Traceback" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("x"), GeneratorExit()])
def test_a_task_cannot_end_its_worker_or_the_program_by_raising(pool: Pool, error: BaseException) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        pool.submit(0, fails).result()
    assert pool.submit(0, int, "3").result() == 3


def test_what_cannot_travel_is_refused_and_the_worker_stays_idle(pool: Pool) -> None:
    lock = threading.Lock()
    if by_reference(pool):
        pytest.skip("nothing is pickled")
    with pytest.raises(ArgumentError, match="function and arguments"):
        pool.submit(0, lambda: lock)
    with pytest.raises(ArgumentError, match="function and arguments"):
        pool.submit(0, id, lock)
    with pytest.raises(ArgumentError, match="'value' must be picklable"):
        pool.put(0, "lock", lock)
    assert pool.state(0) == "idle"
    with pytest.raises(Exception, match=r"result, a _thread\.lock, cannot be sent back"):
        pool.submit(0, lambda: threading.Lock()).result()
    assert pool.submit(0, int, "3").result() == 3


def test_a_busy_worker_takes_no_second_task(pool: Pool) -> None:
    future = pool.submit(0, time.sleep, 0.2)
    assert pool.state(0) == "busy"
    with pytest.raises(WorkerError, match="worker 0 is busy"):
        pool.submit(0, int)
    assert pool.submit(1, int).result() == 0
    assert future.result() is None
    assert pool.state(0) == "idle"


def test_the_worker_is_idle_when_its_result_is_heard(pool: Pool) -> None:
    """So a callback can give it the next task."""
    chain: list[Any] = []
    done = threading.Event()

    def follow(future: Any) -> None:
        chain.append(future.result())
        if len(chain) == 20:
            done.set()
        else:
            pool.submit(2, lambda: 1).add_done_callback(follow)

    pool.submit(2, lambda: 1).add_done_callback(follow)
    assert done.wait(10)
    assert chain == [1] * 20


@pytest.mark.parametrize("how", ["abandon", "interrupt", "kill"])
def test_a_stopped_straggler_does_not_delay_the_next_job(pool: Pool, how: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    futures = [pool.submit(worker, time.sleep, 0.0) if worker else pool.submit(0, opens(gate)) for worker in range(N)]
    wait(futures[1:])
    happened = pool.stop(0, how)
    assert happened in ("abandon", how)
    assert futures[0].cancelled()
    with pytest.raises(CancelledError):
        futures[0].result()
    assert not wait(futures, timeout=1).not_done
    assert [pool.submit(worker, int, "7").result(20) for worker in (1, 2)] == [7, 7]
    gate.touch()
    await_idle(pool, 0)
    assert pool.submit(0, int, "8").result() == 8


def test_a_user_may_cancel_the_future_himself(pool: Pool) -> None:
    future = pool.submit(0, time.sleep, 0.3)
    future.cancel()
    assert future.done() or wait([future], timeout=5).done
    await_idle(pool, 0)
    assert pool.submit(0, int, "8").result() == 8


def test_stopping_an_idle_worker_is_nothing(pool: Pool) -> None:
    assert pool.stop(0, "kill") == "nothing"
    assert pool.submit(0, int, "8").result() == 8


def test_bad_arguments_are_refused(pool: Pool) -> None:
    for worker in (-1, N, "0", 1.5):
        with pytest.raises(ArgumentError, match="'worker' must be"):
            pool.submit(worker, int)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="'how' must be one of"):
        pool.stop(0, "gently")  # type: ignore[arg-type]


def test_closing_under_running_tasks(own: Pool, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    futures = [own.submit(worker, opens(gate)) for worker in range(N)]
    patience = threading.Timer(30, gate.touch)
    patience.start()
    own.close()
    own.close()
    assert not gate.exists(), "closing waits for tasks"
    for future in futures:
        assert isinstance(future.exception(timeout=1), PoolClosed)
    patience.cancel()
    gate.touch()
    assert own.state(0) == "dead"
    assert own.stop(0, "kill") == "nothing"
    own.drop("x")
    for call in (lambda: own.submit(0, int), lambda: own.put(0, "x", 1)):
        with pytest.raises(PoolClosed):
            call()


def test_results_outlive_the_pool(own: Pool) -> None:
    result = own.submit(0, np.ones, 1_000_000).result()
    mine = own.empty((100_000,), np.float64)
    mine[:] = 2.0
    own.close()
    assert result.sum() == 1_000_000
    assert mine.sum() == 200_000


def test_straggling_over_any_engine(pool: Pool) -> None:
    for future in [pool.submit(worker, abs, -1) for worker in range(N)]:
        future.result()  # a process that starts meanwhile would be late as well
    until(lambda: all(pool.state(worker) == "idle" for worker in range(N)))
    late, ended = Straggling(pool, Fixed([1.0, 0.0, 0.0])), []
    futures = [late.submit(worker, lambda x, y: x + y, worker, 1) for worker in range(N)]
    for worker, future in enumerate(futures):
        future.add_done_callback(lambda _, worker=worker: ended.append(worker))
    assert [future.result() for future in futures] == [1, 2, 3]
    until(lambda: len(ended) == N)
    assert ended[-1] == 0
    assert late.n == N


class Fixed:
    """Delays by worker, and deaths."""

    def __init__(self, seconds: list[float], deaths: dict[int, float] | None = None) -> None:
        self.seconds = seconds
        self.deaths = deaths or {}

    def arrivals(self, work: Any, worker: Any, trials: int, rng: np.random.Generator) -> Any:
        return np.asarray(self.seconds)[worker][None, :]

    def death_times(self, workers: int) -> Any:
        return np.array([self.deaths.get(worker, np.inf) for worker in range(workers)])


def test_as_pool() -> None:
    with ThreadPool(2) as threads:
        assert as_pool(threads) == (threads, False)
    with ThreadPoolExecutor(1) as executor:
        made, owned = as_pool([executor])
        assert isinstance(made, ExecutorPool)
        assert not owned
    made, owned = as_pool(np.int64(1))
    with made as opened:  # type: ignore[attr-defined]
        assert isinstance(opened, LocalPool)
        assert owned
        assert opened.n == 1


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "8", [], [1, 2], object()])
def test_as_pool_refuses_anything_else_in_one_sentence(workers: object) -> None:
    with pytest.raises(ArgumentError, match=r"^kofn\.sum: 'workers' must be .* but got .*\.$"):
        as_pool(workers, "kofn.sum")
