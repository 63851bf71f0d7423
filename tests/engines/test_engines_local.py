"""Processes of our own: deaths, replacements and memory."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kofn.engines import LocalPool, Stop
from kofn.engines.local import _supervisor
from kofn.engines.local._states import TRIES
from kofn.errors import ArgumentError, PoolClosed, WorkerLost
from kofn.simulation import Straggling
from processes import alive, descriptors, linux, pid_of, until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


PATIENCE = 15.0


@pytest.fixture
def pool(local_pool: LocalPool) -> LocalPool:
    return local_pool


@pytest.fixture
def own() -> Iterator[LocalPool]:
    """For tests that count what it sends, or break it."""
    with LocalPool(2) as opened:
        yield opened


# -- deaths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("death", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "signal SIGSEGV"),
        (lambda: os._exit(7), "exit status 7"),
    ],
)
def test_a_death_during_a_task(pool: LocalPool, death: Callable[[], None], words: str) -> None:
    pool.put(1, "x", np.full(100_000, 2.0))
    assert pool.submit(1, np.sum, keys=("x",)).result() == 200_000
    pid = pid_of(pool, 1)
    with pytest.raises(WorkerLost, match=f"worker 1 .*{words}") as caught:
        pool.submit(1, death).result(timeout=5)
    assert caught.value.worker == 1
    assert pool.submit(1, np.sum, keys=("x",)).result(timeout=5) == 200_000
    assert pid_of(pool, 1) != pid
    assert not alive(pid)


def test_a_death_in_idleness(pool: LocalPool) -> None:
    pool.put(0, "x", [1, 2])
    pid = pid_of(pool, 0)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pool.pids()[0] not in (pid, None) and pool.state(0) == "idle")
    assert pool.submit(0, sum, keys=("x",)).result() == 3


def test_a_worker_that_hangs_up_is_replaced(pool: LocalPool) -> None:
    with pytest.raises(WorkerLost):
        pool.submit(0, lambda: (os.closerange(3, 100), time.sleep(30))).result(timeout=5)
    assert pool.submit(0, int, "3").result(timeout=5) == 3


def test_a_killed_worker_is_replaced_and_has_what_it_held(pool: LocalPool) -> None:
    pool.put(0, "x", np.ones(1_000_000))
    future = pool.submit(0, time.sleep, 60)
    assert pool.stop(0, "kill") == "kill"
    assert pool.submit(0, np.sum, keys=("x",)).result(timeout=20) == 1_000_000
    assert future.cancelled()


def test_an_abandoned_task_gets_its_grace_and_no_more() -> None:
    with LocalPool(1, grace_seconds=0.3) as pool:
        pid = pid_of(pool, 0)
        pool.submit(0, time.sleep, 0.05)
        assert pool.stop(0, "abandon") == "abandon"
        until(lambda: pool.state(0) == "idle")
        assert pid_of(pool, 0) == pid
        pool.submit(0, time.sleep, 30)
        pool.stop(0, "abandon")
        assert pool.state(0) == "busy"
        until(lambda: pool.state(0) == "idle")
        assert pid_of(pool, 0) != pid


def test_grace_may_be_endless() -> None:
    with LocalPool(1, grace_seconds=math.inf) as pool:
        pid = pid_of(pool, 0)
        pool.submit(0, time.sleep, 0.2)
        pool.stop(0, "abandon")
        until(lambda: pool.state(0) == "idle")
        assert pid_of(pool, 0) == pid


def test_interrupting_python_code_keeps_the_process(pool: LocalPool) -> None:
    with LocalPool(1, grace_seconds=5.0) as patient:
        pid = pid_of(patient, 0)
        future = patient.submit(0, lambda: [time.sleep(0.01) for _ in range(3000)])
        time.sleep(0.1)
        assert patient.stop(0, "interrupt") == "interrupt"
        assert future.cancelled()
        until(lambda: patient.state(0) == "idle", 4)
        assert pid_of(patient, 0) == pid
        assert patient.submit(0, int, "3").result() == 3

    def stubborn() -> None:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(30)

    pid = pid_of(pool, 0)
    pool.submit(0, stubborn)
    time.sleep(0.05)
    pool.stop(0, "interrupt")
    until(lambda: pool.state(0) == "idle")
    assert pid_of(pool, 0) != pid


def test_late_interrupts_hit_nobody(pool: LocalPool) -> None:
    """Interrupt tasks around their end; the next task must never see it."""
    for i in range(200):
        pool.submit(0, lambda: sum(range(1000)))
        pool.stop(0, "interrupt")
        until(lambda: pool.state(0) in ("idle", "starting"))
        assert pool.submit(0, sum, range(2000)).result() == 1999000, i


def test_processes_that_a_task_started_die_with_it(pool: LocalPool) -> None:
    def start_one() -> int:
        child = subprocess.Popen(["sleep", "60"])
        child.returncode = 0  # silences its finalizer
        return child.pid

    child = pool.submit(0, start_one).result()
    assert alive(child)
    pool.submit(0, time.sleep, 60)
    pool.stop(0, "kill")
    until(lambda: not alive(child))


def test_a_value_that_kills_its_worker_on_arrival_does_not_hang(pool: LocalPool) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os._exit, (9,)

    for _ in range(4):
        with pytest.raises(WorkerLost, match="status 9"):
            pool.submit(0, id, Bomb()).result(timeout=5)
    assert pool.submit(0, int, "3").result(timeout=5) == 3


def test_the_fork_server_may_die(own: LocalPool) -> None:
    own.put(0, "x", 5)
    future = own.submit(1, time.sleep, 30)
    before = own.pids()
    own._supervisor.server.process.kill()
    with pytest.raises(WorkerLost):
        future.result(timeout=5)
    assert own.submit(0, int, keys=("x",)).result(timeout=10) == 5
    until(lambda: not any(pid and alive(pid) for pid in before))


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    servers: list[Any] = []
    make = _supervisor.ForkServerClient
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(_supervisor, "ForkServerClient", lambda threads: servers.append(make(threads)) or servers[-1])
    with pytest.raises(WorkerLost, match="no worker could be started"):
        LocalPool(2)
    assert len(servers) == TRIES


def test_all_dead_is_an_error_and_no_hang(own: LocalPool) -> None:
    future = own.submit(0, time.sleep, 30)
    own._supervisor.give_up("is gone")
    with pytest.raises(WorkerLost, match="worker 0 is gone"):
        future.result(timeout=5)
    assert own.state(0) == own.state(1) == "dead"
    with pytest.raises(WorkerLost, match="worker 1 is dead"):
        own.submit(1, int)


def test_a_kill_that_meets_the_end_of_the_pool_waits_for_nothing(
    own: LocalPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool's thread has just looked at what is posted when a kill comes, and then the pool is closed."""
    monkeypatch.setattr(_supervisor, "PATIENCE", 2 * PATIENCE)
    supervisor, looked, go_on = own._supervisor, threading.Event(), threading.Event()

    def look_and_wait() -> None:
        supervisor.on_wake()
        looked.set()
        go_on.wait(PATIENCE)

    task = own.submit(0, time.sleep, 60.0)
    supervisor.post(lambda: supervisor.selector.modify(supervisor.woken, selectors.EVENT_READ, look_and_wait))
    until(lambda: not supervisor.commands)
    supervisor.wake()
    assert looked.wait(PATIENCE)
    with ThreadPoolExecutor(2) as threads:
        kill = threads.submit(own.stop, 0, "kill")
        until(lambda: supervisor.commands)
        close = threads.submit(own.close)
        until(lambda: supervisor.closed)
        go_on.set()
        assert kill.result(PATIENCE) in Stop
        close.result(PATIENCE)
    assert own.stop(0, "kill") == Stop.NOTHING
    with pytest.raises((PoolClosed, CancelledError)):
        task.result(PATIENCE)


def test_what_a_worker_sent_before_it_died_still_counts(own: LocalPool) -> None:
    """Both are there when the pool's thread looks, and the death is heard of first."""
    supervisor, go_on = own._supervisor, threading.Event()
    supervisor.post(lambda: go_on.wait(PATIENCE))
    until(lambda: not supervisor.commands)
    connection = supervisor.slots[0].connection
    assert connection is not None
    task = own.submit(0, abs, -3)
    for heard, then in (
        (connection, lambda: os.kill(own.pids()[0], signal.SIGKILL)),
        (supervisor.server.connection, go_on.set),
    ):
        assert select.select([heard], [], [], PATIENCE)[0]
        then()
    assert task.result(PATIENCE) == 3


def test_a_model_that_lets_a_worker_die() -> None:
    class Deadly:
        def arrivals(self, work: Any, worker: Any, trials: int, rng: Any) -> Any:
            return np.full((trials, len(work)), np.inf if worker[0] else 0.0)

        def death_times(self, workers: int) -> Any:
            return np.array([np.inf, 0.1])

    with Straggling(LocalPool(2), Deadly()) as pool:
        doomed = pool.submit(1, int)
        assert pool.submit(0, int).result() == 0
        with pytest.raises(WorkerLost, match="worker 1 died"):
            doomed.result(timeout=5)
        assert pool.state(1) == "dead"
        assert pool.state(0) == "idle"
        with pytest.raises(WorkerLost):
            pool.submit(1, int)
        assert len(pool.pids()) == 2


# -- what the workers are ---------------------------------------------------------------------------------


def test_workers_have_their_own_random_numbers(pool: LocalPool) -> None:
    draws = [pool.submit(w, lambda: __import__("numpy").random.random()).result() for w in range(2)]
    assert draws[0] != draws[1]


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_threads_are_limited(threads: int) -> None:
    def blas_threads() -> set[int]:
        import numpy  # noqa: F401
        import threadpoolctl

        return {library["num_threads"] for library in threadpoolctl.threadpool_info()}

    with LocalPool(1, threads_per_worker=threads) as pool:
        assert pool.submit(0, blas_threads).result() == {threads}
        assert pool.submit(0, lambda: os.environ["OMP_NUM_THREADS"]).result() == str(threads)


def test_workers_follow_the_import_path(own: LocalPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kofn_test_module.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import kofn_test_module  # type: ignore[import-not-found]

    assert own.submit(0, kofn_test_module.double, 4).result() == 8


def test_a_task_cannot_read_our_input(pool: LocalPool) -> None:
    assert pool.submit(0, lambda: sys.stdin.read()).result() == ""


def test_bad_arguments() -> None:
    for n in (0, -1, 1.5, "2", True):
        with pytest.raises(ArgumentError, match="'n' must be"):
            LocalPool(n)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="grace_seconds"):
        LocalPool(1, grace_seconds=-1)
    with pytest.raises(ArgumentError, match="threads_per_worker"):
        LocalPool(1, threads_per_worker=0)


# -- memory -----------------------------------------------------------------------------------------------


def test_200_megabytes_there_and_back(pool: LocalPool) -> None:
    big = pool.empty((25_000_000,), np.float64)
    big[:] = 1.0
    before = pool.bytes_sent
    back = pool.submit(0, lambda x: x + 1, big).result()
    after = pool.bytes_sent
    assert back.shape == big.shape
    assert back[0] == back[-1] == 2.0
    assert after["shared"] == before["shared"]
    assert after["pipe"] - before["pipe"] < 10_000
    assert 200_000_000 <= after["returned"] - before["returned"] < 200_010_000


def test_large_values_are_copied_once_and_never_through_the_pipe(own: LocalPool) -> None:
    value = np.ones(1_000_000)
    own.put(0, "x", value)
    for _ in range(3):
        own.submit(0, np.sum, keys=("x",)).result()
    sent = own.bytes_sent
    assert 8_000_000 <= sent["shared"] < 8_001_000
    assert sent["pipe"] < 10_000


@linux
def test_memory_is_freed_with_its_last_user(own: LocalPool) -> None:
    def mapped(_: Any = None) -> int:
        return Path("/proc/self/maps").read_text().count("memfd:kofn")

    gc.collect()
    base = descriptors()
    array = own.empty((100_000,), np.float64)
    array[:] = 1.0
    own.put(0, "x", array)
    own.put(0, "y", np.ones(100_000))
    assert own.submit(0, lambda x, y, z: x.sum() + y.sum() + z.sum(), array, keys=("x", "y")).result() == 300_000
    assert own.submit(0, mapped).result() == 2
    assert descriptors() == base + 2
    del array
    own.drop("y")
    assert own.submit(0, np.sum, keys=("x",)).result() == 100_000
    own.drop("x")
    until(lambda: own.submit(0, mapped).result() == 0)
    gc.collect()
    assert descriptors() == base


@linux
def test_tasks_leave_no_descriptor_and_no_mapping(pool: LocalPool) -> None:
    def count(x: Any) -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().count("memfd:kofn")
        return len(list(Path("/proc/self/fd").iterdir())), maps

    first = pool.submit(0, count, np.ones(100_000)).result()
    gc.collect()
    base = descriptors()
    for _ in range(20):
        pool.submit(0, lambda x: x * 2, np.ones(100_000)).result()
    assert pool.submit(0, count, np.ones(100_000)).result() == first
    assert descriptors() == base


def test_many_segments_at_once(pool: LocalPool) -> None:
    """More descriptors than one message can carry."""
    arrays = [pool.empty((100,), np.float64) for _ in range(350)]
    for i, array in enumerate(arrays):
        array[:] = i
    assert pool.submit(0, lambda xs: sum(x[0] for x in xs), arrays).result() == 350 * 349 / 2


def test_many_small_values_at_once(pool: LocalPool) -> None:
    """More bytes than a socket holds."""
    keys = tuple(range(60))
    for key in keys:
        pool.put(0, key, np.full(8000, float(key)))
    assert pool.submit(0, lambda *xs: sum(x[0] for x in xs), keys=keys).result() == 60 * 59 / 2
