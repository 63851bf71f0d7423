"""References whose values lie in the client, and the public battery for engines that have references."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

from kofn._api._remote import scatter
from kofn.engines import (
    ClientReferences,
    Engine,
    ExecutorPool,
    LocalPool,
    Ref,
    ReferencePool,
    RemoteMatrix,
    ThreadPool,
    WorkerState,
    references_of,
)
from kofn.engines._future import Promise
from kofn.engines._protocol import capabilities_of
from kofn.engines._wrapped import WrappedPool
from kofn.errors import ArgumentError, PoolClosed, ReferenceLost, StaysHere, WorkerLost
from kofn.simulation import Straggling, VirtualPool
from kofn.testing import REFERENCE_CHECKS, check_references, faults
from processes import slow_but

BY_REFERENCE = "arguments are handed over by reference"
IN_THREADS = {"private": BY_REFERENCE, "unpicklable": BY_REFERENCE, "loss": "the worker is a thread of this process"}


@contextmanager
def over_processes() -> Iterator[ReferencePool]:
    executors: list[Executor] = [
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) for _ in range(3)
    ]
    with ExecutorPool(executors) as pool:
        yield references_of(pool)
    for executor in executors:
        executor.shutdown(wait=False, cancel_futures=True)


ENGINES: dict[str, tuple[Any, dict[str, str], float]] = {
    "local": (lambda: ClientReferences(LocalPool(3)), {}, 0.6),
    "threads": (lambda: ClientReferences(ThreadPool(3)), IN_THREADS, 0.6),
    "late threads": (lambda: Straggling(ClientReferences(ThreadPool(3)), Late(0.001)), IN_THREADS, 0.6),
    "references to late threads": (lambda: ClientReferences(Straggling(ThreadPool(3), Late(0.001))), IN_THREADS, 0.6),
    "honest threads": (lambda: faults.Corrupting(ClientReferences(ThreadPool(3)), {}), IN_THREADS, 0.6),
}


class Late:
    """Each task of each worker is late by so many seconds; worker 0 dies at a time."""

    def __init__(self, seconds: float, death: float = np.inf) -> None:
        self.seconds, self.death = seconds, death

    def arrivals(self, work: Any, worker: Any, trials: int, rng: Any) -> Any:
        return np.full((trials, len(work)), self.seconds)

    def death_times(self, workers: int) -> Any:
        return np.array([self.death] + [np.inf] * (workers - 1))


@pytest.mark.parametrize("engine", slow_but(ENGINES, ENGINES.keys() - {"honest threads"}))
def test_every_engine_has_references(engine: str) -> None:
    make_pool, lacks, seconds = ENGINES[engine]
    count = (lambda pool: pool.held_bytes()) if engine != "references to late threads" else ClientReferences.held_bytes
    found = check_references(
        make_pool, lacks=lacks, held_bytes=count, payload_bytes=4_000_000, straggler_seconds=seconds
    )
    assert list(found) == list(REFERENCE_CHECKS)
    assert {name for name, verdict in found.items() if verdict != "held"} == set(lacks)


@pytest.mark.slow
def test_executors_have_references() -> None:
    assert set(check_references(over_processes, straggler_seconds=1.5).values()) == {"held"}


class Broken(ClientReferences):
    """Wrong in one way."""

    def __init__(self, fault: str) -> None:
        super().__init__(ThreadPool(3))
        self.fault = fault

    def keep(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Future[Ref]:
        if self.fault == "exception":
            function = swallowing(function)
        kept = super().keep(worker, function, *arguments, keys=keys)
        if self.fault == "round trip":
            return changed(kept, lambda ref: Ref(ref.key, ref.worker, None, ref.handle))
        return kept

    def submit(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Future[Any]:
        if self.fault == "arguments":  # at the top level only
            arguments = tuple(part.handle.value if isinstance(part, Ref) else part for part in arguments)
            return self._pool.submit(worker, function, *arguments, keys=keys)
        if self.fault == "threads":
            self.last, function = function, self.call_last
        return super().submit(worker, function, *arguments, keys=keys)

    def call_last(self, *values: Any) -> Any:
        time.sleep(0.002)
        return self.last(*values)

    def fetch(self, ref: Ref) -> Future[Any]:
        if self.fault == "while busy":
            while self.state(0) == "busy":
                time.sleep(0.01)
        return super().fetch(ref)

    def send(self, ref: Ref, worker: int) -> Future[Ref]:
        sent = super().send(ref, worker)
        if self.fault == "send":  # a copy that goes with the value
            return changed(sent, lambda copy: Ref(copy.key, worker, copy.spec, ref.handle))
        return sent

    def release(self, ref: Ref) -> None:
        if self.fault != "release":
            super().release(ref)

    def export(self, matrix: RemoteMatrix) -> Any:
        whole = super().export(matrix)
        return whole.T if self.fault == "matrix" else whole

    def moved(self) -> dict[tuple[int, int], int]:
        return {(0, 1): 0.5} if self.fault == "members" else super().moved()  # type: ignore[dict-item]

    def close(self) -> None:
        if self.fault == "nothing left" and self.is_open:
            threading.Thread(target=time.sleep, args=(1.0,), name="kofn-left", daemon=True).start()
        if self.fault == "closing" and self.is_open:
            time.sleep(0.5)
        super().close()


def swallowing(function: Any) -> Any:
    def run(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            return error

    return run


def changed(future: Future[Any], change: Callable[[Any], Any]) -> Future[Any]:
    promise = Promise()
    future.add_done_callback(lambda done: promise.end_like(done, change))
    return promise.future


@pytest.mark.parametrize(
    "fault",
    [
        "members", "round trip", "arguments", "exception", "send", "while busy", "release", "matrix", "threads",
        "closing", "nothing left",
    ],
)  # fmt: skip
def test_the_battery_finds_what_is_wrong(fault: str) -> None:
    others = {name: "not this time" for name in REFERENCE_CHECKS if name != fault}
    options: Any = {"payload_bytes": 1000, "straggler_seconds": 0.3, "patience_seconds": 0.5}
    with pytest.raises(AssertionError, match=rf"^{fault}: .*\.$"):
        check_references(lambda: Broken(fault), lacks=others, **options)


def test_the_battery_counts_what_is_released() -> None:
    """An engine that forgets the reference and keeps the value."""

    hoard: list[Any] = []

    class Hoarding(ClientReferences):
        def release(self, ref: Ref) -> None:
            hoard.append(getattr(ref.handle, "value", None))
            super().release(ref)

        def held_bytes(self) -> int:
            return super().held_bytes() + sum(value.nbytes for value in hoard if isinstance(value, np.ndarray))

    others = {name: "not this time" for name in REFERENCE_CHECKS if name != "release"}
    with pytest.raises(AssertionError, match=r"^release: released values must be gone, but \d+ bytes"):
        check_references(
            lambda: Hoarding(ThreadPool(3)), lacks=others, held_bytes=Hoarding.held_bytes, payload_bytes=1000,
            patience_seconds=0.3,
        )  # fmt: skip


@pytest.mark.parametrize("fault", ["private", "unpicklable", "loss"])
def test_the_battery_finds_what_threads_cannot_do(fault: str) -> None:
    others = {name: "not this time" for name in REFERENCE_CHECKS if name != fault}
    with pytest.raises(AssertionError, match=rf"^{fault}: "):
        check_references(lambda: ClientReferences(ThreadPool(3)), lacks=others, straggler_seconds=0.3)


# -- values in the client -----------------------------------------------------------------------------


def test_a_pool_with_references_is_taken_as_it_is() -> None:
    with ThreadPool(2) as pool:
        keeping = references_of(pool)
        assert isinstance(keeping, ClientReferences)
        assert references_of(keeping) is keeping
        assert capabilities_of(keeping).references and capabilities_of(keeping).by_reference
        assert isinstance(pool, Engine) and keeping.delays is pool.delays
        assert capabilities_of(Straggling(keeping, Late(0.0))).references


def test_references_of_two_wrappers_of_one_pool_are_as_good() -> None:
    with ThreadPool(2) as pool:
        ref = references_of(pool).keep(0, np.ones, 3).result()
        assert references_of(pool).submit(1, np.sum, ref).result() == 3.0


def test_a_value_goes_with_its_last_reference() -> None:
    class Thing: ...

    with ClientReferences(ThreadPool(2)) as pool:
        thing = pool.keep(0, Thing).result()
        alive = weakref.ref(pool.fetch(thing).result())
        other = pool.send(thing, 1).result()
        pool.release(thing)
        gc.collect()
        assert alive() is not None
        del other
        gc.collect()
        assert alive() is None


def test_a_closed_pool_holds_nothing() -> None:
    with ClientReferences(ThreadPool(2)) as pool:
        ref = pool.keep(0, np.ones, 1000).result()
        assert pool.held_bytes() == 8000
    assert pool.held_bytes() == 0
    with pytest.raises(PoolClosed):
        pool.fetch(ref)


class ClosedAtALook(WrappedPool):
    """Somebody closes the wrapped pool when a worker is first looked at."""

    def state(self, worker: int) -> WorkerState:
        self._pool.close()
        return super().state(worker)


def test_a_pool_that_is_closed_in_the_middle_is_not_taken_for_one_whose_workers_died() -> None:
    with ClientReferences(ClosedAtALook(ThreadPool(2))) as pool:
        with pytest.raises(PoolClosed, match="closed while"):
            scatter(np.ones((4, 2)), pool)
        assert not pool.is_open
    with ClosedAtALook(ThreadPool(2)) as pool, pytest.raises(PoolClosed, match="warm: the pool was closed"):
        pool.warm()


def test_an_array_that_is_fetched_cannot_be_written_to() -> None:
    with ClientReferences(ThreadPool(2)) as pool:
        ref = pool.keep(0, np.ones, 3).result()
        with pytest.raises(ValueError, match="read-only"):
            pool.fetch(ref).result()[0] = 2.0
        assert pool.submit(1, np.sum, ref).result() == 3.0


def test_a_reference_where_none_is_looked_for_is_refused(local_pool: LocalPool) -> None:
    keeping = references_of(local_pool)
    ref = keeping.keep(0, np.ones, 3).result()
    with pytest.raises(ArgumentError, match="picklable"):
        keeping.submit(0, len, {"in a dict": ref})
    with pytest.raises(StaysHere):
        pickle.dumps(ref)
    assert keeping.state(0) == "idle"


def test_a_matrix_of_another_engine_is_not_adopted() -> None:
    blocks = np.empty((1, 1), object)
    blocks[0, 0] = Ref("theirs", 0, handle="a tag")
    with ThreadPool(2) as pool:
        assert references_of(pool).adopt(RemoteMatrix(blocks, (2,), (2,), np.dtype(float))) is None


def test_a_dead_worker_is_sent_nothing() -> None:
    pool = VirtualPool([[1.0], [1.0]], deaths={1: 0.0})
    keeping = references_of(pool)
    kept = keeping.keep(0, np.ones, 3)
    pool.clock.wait(SimpleQueue(), 2.0)
    with pytest.raises(WorkerLost, match="worker 1 is dead"):
        keeping.send(kept.result(), 1).result()


# -- pools before pools -------------------------------------------------------------------------------


def test_what_was_kept_dies_with_a_worker_that_a_model_lets_die() -> None:
    with Straggling(ClientReferences(ThreadPool(3)), Late(0.0, death=0.2)) as pool:
        only = pool.keep(0, np.ones, 3).result()
        copy = pool.send(only, 1).result()
        assert pool.submit(2, np.sum, [only]).result().tolist() == 3.0
        while pool.state(0) != "dead":
            time.sleep(0.01)
        for future in (pool.fetch(only), pool.submit(1, np.sum, [only]), pool.send(only, 2)):
            with pytest.raises(ReferenceLost, match="worker 0 has died"):
                future.result()
        with pytest.raises(WorkerLost):
            pool.send(copy, 0).result()
        assert pool.state(1) == "idle"
        assert pool.submit(2, np.sum, copy).result() == 3.0


def test_a_wrong_worker_keeps_wrong_values() -> None:
    with faults.Corrupting(ClientReferences(ThreadPool(2)), {1: faults.Scaled(3.0)}) as pool:
        right, wrong = (pool.keep(worker, np.ones, 3).result() for worker in range(2))
        assert pool.fetch(right).result().tolist() == [1.0] * 3
        assert pool.fetch(wrong).result().tolist() == [3.0] * 3
