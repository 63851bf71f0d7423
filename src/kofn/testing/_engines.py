"""A battery of checks for engines: run it over your own pool, as kofn runs it over each of its own.

What an engine cannot do is stated with its reason and shows up in what `check_engine` returns; nothing is
skipped silently.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import numpy as np

from ..engines._protocol import Pool, Stop, WorkerState, capabilities_of
from ..errors import ArgumentError, PoolClosed, WorkerError, WorkerLost
from ._battery import (
    BatterySettings,
    MakePool,
    await_idle,
    await_right,
    fail,
    named,
    raises,
    require,
    run_battery,
    same,
    spoil,
)
from ._belongings import belongings, left_since


def check_engine(
    make_pool: MakePool,
    *,
    lacks: Mapping[str, str] | None = None,
    payload_bytes: int = 200_000_000,
    straggler_seconds: float = 1.0,
    patience_seconds: float = 20.0,
) -> dict[str, str]:
    """Assert that an engine keeps what the seam `kofn.engines.Pool` promises.

    Parameters
    ----------
    make_pool : callable
        Returns a context manager that yields a fresh pool of at least three workers; most pools are one
        themselves.
    lacks : mapping of check to reason, optional
        What the engine cannot do, by the names of `ENGINE_CHECKS`.
    payload_bytes : int
        Size of the large array that travels there and back.
    straggler_seconds : float
        How long a straggler sleeps; everything that must not wait for it has to be quicker than that.
    patience_seconds : float
        How long to wait for what has to happen some time.

    Returns
    -------
    dict
        For each check ``"held"``, or ``"lacks: "`` and your reason.

    Raises
    ------
    AssertionError
        With the name of the check and a sentence that says what does not hold.

    Examples
    --------
    >>> from kofn import ThreadPool
    >>> by_reference = "arguments are handed over by reference"
    >>> lacks = {"private": by_reference, "unpicklable": by_reference, "death": "threads cannot be killed"}
    >>> check_engine(lambda: ThreadPool(3), lacks=lacks, payload_bytes=1000, straggler_seconds=0.2)["death"]
    'lacks: threads cannot be killed'
    """
    settings = BatterySettings(make_pool, payload_bytes, straggler_seconds, patience_seconds)
    return run_battery("check_engine", ENGINE_CHECKS, _SHARED, settings, lacks)


# -- checks that leave the pool as they found it ------------------------------------------------------


def _seam(pool: Pool, settings: BatterySettings) -> None:
    require(isinstance(pool, Pool), "the pool must have every member of kofn.engines._protocol.Pool")
    require(pool.n >= 3, f"the battery needs three workers, got {pool.n}")
    require([pool.state(w) for w in range(pool.n)] == ["idle"] * pool.n, "every worker must be idle")
    seen: list[int] = []
    pool.submit(0, seen.append, 1).result()
    require(bool(seen) is capabilities_of(pool).by_reference, "capabilities.by_reference must tell the truth")
    raises(ArgumentError, lambda: pool.submit(-1, int), "worker -1 must be refused")
    raises(ArgumentError, lambda: pool.submit(pool.n, int), "a worker that is not there must be refused")


def _identity(pool: Pool, settings: BatterySettings) -> None:
    first = [pool.submit(worker, _who).result() for worker in range(pool.n)]
    again = [pool.submit(worker, _who).result() for worker in range(pool.n)]
    require(len(set(first)) == pool.n, f"{pool.n} workers must be as many threads or processes, got {first}")
    require(first == again, "a worker must be the same thread or process for every task")


def _resident(pool: Pool, settings: BatterySettings) -> None:
    for size in (10, 100_000):
        pool.put(1, "a", np.arange(float(size)))
        pool.put(1, ("b", 2), {"factor": 2.0})
        for scale in (1.0, 3.0):
            total = pool.submit(1, lambda a, b, s: a.sum() * b["factor"] * s, scale, keys=("a", ("b", 2))).result()
            require(total == size * (size - 1) * scale, "resident values come first, in order, and stay")
        pool.put(1, "a", np.ones(size))
        require(pool.submit(1, np.sum, keys=("a",)).result() == size, "a second put under a key replaces the first")
        raises(ArgumentError, lambda: pool.submit(2, np.sum, keys=("a",)), "a value belongs to its worker")
        for key in ("a", ("b", 2), "never there"):
            pool.drop(key)
        raises(ArgumentError, lambda: pool.submit(1, np.sum, keys=("a",)), "a dropped value must be refused")


def _private(pool: Pool, settings: BatterySettings) -> None:
    for size in (10, 100_000):
        argument = pool.empty((size,), np.float64)
        argument[:] = 1.0
        pool.put(0, "x", np.ones(size))
        for _ in range(2):
            total = pool.submit(0, spoil, argument, keys=("x",)).result()
            require(total == 2.0 * size, "what a task writes into resident values must not be seen by the next one")
        require(argument.sum() == size, "what a task writes into its arguments must not be seen by the caller")
        pool.drop("x")


def _results(pool: Pool, settings: BatterySettings) -> None:
    values = [
        np.zeros((0, 3)), np.zeros(()), np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(160_000.0).reshape(400, 400)[::2, ::3], np.arange(200_000, dtype=np.complex64),
        np.array(["text", None], dtype=object), np.arange(6, dtype=">i4"),
    ]  # fmt: skip
    for value in values:
        back = pool.submit(0, same, value).result()
        equal = (back.dtype, back.shape) == (value.dtype, value.shape) and np.array_equal(back, value)
        require(equal, f"an array of {value.dtype} and shape {value.shape} must come back as it was")
    mixed = {"a": (1, "b", {2}), "c": None}
    require(pool.submit(0, same, mixed).result() == mixed, "results of any kind must come back as they were")
    for size in (10, 100_000):
        result = pool.submit(0, np.zeros, size).result()
        require(result.flags.writeable, "an array that comes back can be written to")


def _exception(pool: Pool, settings: BatterySettings) -> None:
    error = pool.submit(0, fail, LookupError("no such thing", 42)).exception()
    same = isinstance(error, LookupError) and error.args == ("no such thing", 42)
    require(same, f"a task's exception, got {error!r}")
    notes = "".join(getattr(error, "__notes__", []))
    require("Traceback" in notes and "fail" in notes, "the remote traceback must be in __notes__")
    for severe in (SystemExit(3), KeyboardInterrupt("x")):
        error = pool.submit(0, fail, severe).exception()
        require(isinstance(error, Exception), f"{severe!r} of a task must not end the program, got {error!r}")
    require(pool.submit(0, int, "3").result() == 3, "a worker goes on after an exception")


def _unpicklable(pool: Pool, settings: BatterySettings) -> None:
    lock = threading.Lock()
    raises(ArgumentError, lambda: pool.submit(0, id, lock), "an argument that cannot travel must be refused")
    raises(ArgumentError, lambda: pool.put(0, "lock", lock), "a value that cannot travel must be refused")
    require(pool.state(0) == "idle", "a refused task leaves its worker idle")
    error = pool.submit(0, threading.Lock).exception()
    require(error is not None and "lock" in str(error), f"an unpicklable result must say its type, got {error!r}")
    require(pool.submit(0, int, "3").result() == 3, "a worker goes on after an unpicklable result")


def _one_task(pool: Pool, settings: BatterySettings) -> None:
    future = pool.submit(0, time.sleep, settings.straggler_seconds / 2)
    require(pool.state(0) == "busy", "a worker with a task is busy")
    raises(WorkerError, lambda: pool.submit(0, int), "a busy worker takes no second task")
    require(pool.submit(1, int).result() == 0, "other workers go on")
    future.result()
    require(pool.state(0) == "idle", "a worker is idle when its result is there")


def _callback(pool: Pool, settings: BatterySettings) -> None:
    chain: list[Any] = []
    done = threading.Event()

    def follow(future: Future[Any]) -> None:
        chain.append(future.exception() or future.result())
        if len(chain) == 10:
            done.set()
        else:
            pool.submit(2, int, "1").add_done_callback(follow)

    pool.submit(2, int, "1").add_done_callback(follow)
    require(done.wait(settings.patience_seconds), "a callback must be able to give its worker the next task")
    require(chain == [1] * 10, f"ten results of 1, got {chain}")


def _straggler(pool: Pool, settings: BatterySettings) -> None:
    ways = (Stop.ABANDON, Stop.INTERRUPT, Stop.KILL)
    for place, how in enumerate(ways):
        await_idle(pool, settings)
        started = time.monotonic()
        futures = [pool.submit(w, time.sleep, 0.0 if w else settings.straggler_seconds) for w in range(pool.n)]
        wait(futures[1:])
        happened = pool.stop(0, how)
        gentle = f"stop(…, {how!r}) must say what happened, which is nothing harsher, got {happened!r}"
        require(happened in ways[: place + 1], gentle)
        raises(CancelledError, futures[0].result, "the future of a stopped task is cancelled")
        again = [pool.submit(worker, int, "7").result() for worker in range(1, pool.n)]
        require(again == [7] * (pool.n - 1), "the next job gets its results")
        seconds = time.monotonic() - started
        require(seconds < settings.straggler_seconds, f"the next job waited for a straggler: {seconds:.2f} s")
    await_idle(pool, settings)
    future = pool.submit(0, time.sleep, settings.straggler_seconds)
    started = time.monotonic()
    require(future.cancel() and pool.submit(1, int, "7").result() == 7, "to cancel a future is to abandon its task")
    await_idle(pool, settings)
    ended = time.monotonic() - started < settings.straggler_seconds
    require(ended or not capabilities_of(pool).kills, "capabilities.kills: what is abandoned must be ended before long")
    require(pool.stop(0, "kill") == "nothing", "there is nothing to stop at an idle worker")
    require(pool.submit(0, int, "8").result() == 8, "the straggler's worker serves again")


def _payload(pool: Pool, settings: BatterySettings) -> None:
    large = np.arange(settings.payload_bytes // 8, dtype=np.float64)
    back = pool.submit(0, same, large).result()
    require(np.array_equal(back, large), f"{settings.payload_bytes} bytes must travel there and back unchanged")


# -- checks that need a pool of their own -------------------------------------------------------------


def _death(pool: Pool, settings: BatterySettings) -> None:
    process = pool.submit(0, os.getpid).result()
    require(process != os.getpid(), "the worker is this very process; say so in lacks")
    pool.put(0, "x", np.arange(100_000.0))
    pool.submit(0, np.sum, keys=("x",)).result()
    future = pool.submit(0, time.sleep, 60.0)
    time.sleep(0.3)
    os.kill(process, signal.SIGKILL)
    try:
        error = future.exception(timeout=5.0)
    except TimeoutError:
        raise AssertionError("a task must not hang for more than 5 s when its worker dies.") from None
    require(isinstance(error, WorkerLost), f"a task whose worker dies must fail with WorkerLost, got {error!r}")
    require(pool.submit(1, int, "7").result() == 7, "other workers go on")
    starts = "a worker that starts must become idle or dead"
    await_right(lambda: starts if pool.state(0) == WorkerState.STARTING else "", settings)
    is_back = pool.state(0) != WorkerState.DEAD
    require(is_back is capabilities_of(pool).revives, "capabilities.revives must tell the truth")
    if not is_back:
        raises(WorkerLost, lambda: pool.submit(0, int), "a dead worker takes no task")
    else:
        total = pool.submit(0, np.sum, keys=("x",)).result()
        require(total == np.arange(100_000.0).sum(), "resident values are replayed to a worker that came back")


def _closing(pool: Pool, settings: BatterySettings) -> None:
    result = pool.submit(0, np.ones, 1_000_000).result()
    mine = pool.empty((100_000,), np.float64)
    mine[:] = 2.0
    futures = [pool.submit(worker, time.sleep, settings.straggler_seconds) for worker in range(pool.n)]
    started = time.monotonic()
    pool.close()
    pool.close()
    errors = [future.exception(timeout=settings.patience_seconds) for future in futures]
    require(all(isinstance(error, PoolClosed) for error in errors), f"tasks of a closed pool, got {errors!r}")
    seconds = time.monotonic() - started
    require(seconds < settings.straggler_seconds, f"closing must not wait for tasks: {seconds:.2f} s")
    require(pool.state(0) == "dead" and pool.stop(0, "kill") == "nothing", "workers of a closed pool are dead")
    pool.drop("x")
    raises(PoolClosed, lambda: pool.submit(0, int), "a closed pool takes no task")
    raises(PoolClosed, lambda: pool.put(0, "x", 1), "a closed pool takes no value")
    require(result.sum() == 1_000_000 and mine.sum() == 200_000, "arrays outlive the pool")


def _nothing_left(pool: Pool, settings: BatterySettings) -> None:
    """Two more pools beside the first, the second closed under running tasks."""
    for running in (False, True):
        before = belongings()
        with settings.make_pool() as other:
            await_idle(other, settings)
            other.put(0, "x", np.ones(100_000))
            other.submit(0, np.sum, keys=("x",)).result()
            if running:
                other.submit(1, time.sleep, settings.straggler_seconds)
    await_right(lambda: f"a closed pool leaves behind {left}" if (left := left_since(before)) else "", settings)


_SHARED = [
    _seam, _identity, _resident, _private, _results, _exception, _unpicklable, _one_task, _callback, _straggler,
    _payload,
]  # fmt: skip
_ALONE = [_death, _closing, _nothing_left]

ENGINE_CHECKS = named(_SHARED, _ALONE)
"""Every check by its name."""


def _who() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()
