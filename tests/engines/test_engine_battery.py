"""The public battery of checks over every engine that needs no server; `test_dask` runs it over Dask."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

from kofn.engines import ExecutorPool, LocalPool, Pool, ThreadPool
from kofn.errors import ArgumentError, WorkerError
from kofn.testing._engines import ENGINE_CHECKS, check_engine
from processes import linux, opens, slow_but, until

BY_REFERENCE = "arguments are handed over by reference"
NOT_OURS = "the worker is a thread of this process"
IN_THREADS = {"private": BY_REFERENCE, "unpicklable": BY_REFERENCE, "death": NOT_OURS}


@contextmanager
def over(make: Callable[[], Executor]) -> Iterator[Pool]:
    executors = [make() for _ in range(3)]
    with ExecutorPool(executors) as pool:
        yield pool
    for executor in executors:
        executor.shutdown(wait=False, cancel_futures=True)


def processes() -> Executor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


ENGINES: dict[str, tuple[Any, dict[str, str], float]] = {
    "local": (lambda: LocalPool(3), {}, 0.6),
    "threads": (lambda: ThreadPool(3), IN_THREADS, 0.6),
    "thread executors": (lambda: over(lambda: ThreadPoolExecutor(1)), IN_THREADS, 0.6),
    "process executors": (lambda: over(processes), {}, 1.5),
}


@pytest.mark.parametrize("payload", [10_000_000, pytest.param(200_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", slow_but(ENGINES, ENGINES.keys() - {"process executors"}))
def test_every_engine_holds_or_says_why_not(engine: str, payload: int) -> None:
    make_pool, lacks, seconds = ENGINES[engine]
    found = check_engine(make_pool, lacks=lacks, payload_bytes=payload, straggler_seconds=seconds)
    assert list(found) == list(ENGINE_CHECKS)
    assert {name for name, verdict in found.items() if verdict != "held"} == set(lacks)


def test_executors_of_processes_hold_what_those_of_threads_cannot() -> None:
    make_pool, _, seconds = ENGINES["process executors"]
    others = dict.fromkeys(ENGINE_CHECKS.keys() - IN_THREADS.keys(), "in the long run")
    found = check_engine(make_pool, lacks=others, payload_bytes=1000, straggler_seconds=seconds)
    assert {name for name, verdict in found.items() if verdict == "held"} == IN_THREADS.keys()


@pytest.mark.parametrize("engine", ["local", "threads", "thread executors"])
def test_of_several_who_ask_one_worker_at_once_one_gets_it(engine: str, tmp_path: Path) -> None:
    def ask(gate: Path) -> None:
        together.wait()
        with suppress(WorkerError):
            accepted.append(pool.submit(0, opens(gate)))

    before = sys.getswitchinterval()
    with ENGINES[engine][0]() as pool, ThreadPoolExecutor(4) as askers:
        sys.setswitchinterval(1e-6)  # threads take turns between almost any two steps
        try:
            for number in range(100):
                gate = tmp_path / str(number)
                until(lambda: pool.state(0) == "idle")
                accepted: list[Any] = []
                together = threading.Barrier(4)
                wait([askers.submit(ask, gate) for _ in range(4)])
                assert len(accepted) == 1
                gate.touch()
        finally:
            sys.setswitchinterval(before)


class Broken(ThreadPool):
    """Wrong in one way."""

    def __init__(self, fault: str) -> None:
        super().__init__(3)
        self.fault = fault

    def state(self, worker: int) -> Any:
        return "idle" if self.fault == "one task" and not self._closed else super().state(worker)

    def submit(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Any:
        if self.fault == "identity":
            worker = self.calls = (getattr(self, "calls", 0) + 1) % 2
        if self.fault == "resident":
            keys = keys[::-1]
        return super().submit(worker, function, *arguments, keys=keys)

    def stop(self, worker: int, how: Any) -> Any:
        return "killed" if self.fault == "straggler" else super().stop(worker, how)

    def close(self) -> None:
        if self.fault == "closing" and not self._closed:
            time.sleep(0.5)
        if self.fault == "nothing left" and not self._closed:
            threading.Thread(target=time.sleep, args=(1.0,), name="kofn-left", daemon=True).start()
        super().close()


@pytest.mark.parametrize("fault", ["identity", "resident", "one task", "straggler", "closing", "nothing left"])
def test_the_battery_finds_what_is_wrong(fault: str) -> None:
    others = {name: "not this time" for name in ENGINE_CHECKS if name != fault}
    with pytest.raises(AssertionError, match=rf"^{fault}: .*\.$"):
        check_engine(lambda: Broken(fault), lacks=others, straggler_seconds=0.3, patience_seconds=0.5)


@pytest.mark.parametrize("fault", ["private", "unpicklable", "death"])
def test_the_battery_finds_what_threads_cannot_do(fault: str) -> None:
    others = {name: "not this time" for name in ENGINE_CHECKS if name != fault}
    with pytest.raises(AssertionError, match=rf"^{fault}: "):
        check_engine(lambda: ThreadPool(3), lacks=others, straggler_seconds=0.3, patience_seconds=0.5)


SHARES = """
import multiprocessing, os, sys
if os.fork():
    os._exit(0)  # what goes on is nobody's child
lock = multiprocessing.get_context("spawn").Lock()
print(flush=True)
sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("own", [True, False])
def test_shared_memory_of_another_program_is_not_left_by_a_pool(own: bool) -> None:
    """With each pool a lock appears that outlives it, in this program or beside it."""
    with ExitStack() as programs:
        locks: list[Any] = []

        def make_pool() -> Pool:
            if own:
                locks.append(multiprocessing.get_context("spawn").Lock())
            else:
                program = programs.enter_context(Popen([sys.executable, "-c", SHARES], stdin=PIPE, stdout=PIPE))
                assert program.wait() == 0 and program.stdout is not None and program.stdout.readline() == b"\n"
            return ThreadPool(3)

        lacks = {name: "not this time" for name in ENGINE_CHECKS if name != "nothing left"}
        finds = pytest.raises(AssertionError, match=r"^nothing left: .*'shared memory ") if own else nullcontext()
        with finds:
            check_engine(make_pool, lacks=lacks, straggler_seconds=0.3, patience_seconds=2.0 if own else 30.0)


def test_an_unknown_lack_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'lacks' must be one of"):
        check_engine(lambda: ThreadPool(3), lacks={"speed": "slow"})
