"""What the battery for engines whose workers keep values looks at."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..arrays._spec import ArraySpec
from ..engines._protocol import WorkerState, capabilities_of
from ..engines._references import Ref, ReferencePool, RemoteMatrix
from ..errors import ArgumentError, PoolClosed, ReferenceLost, WorkerLost
from ._battery import (
    BatterySettings,
    await_idle,
    await_right,
    fail,
    named,
    raises,
    require,
    same,
    spoil,
)
from ._belongings import belongings, left_since
from ._reference_tasks import appended, combined, described, late_sum, numbers, times

ROUNDS = 20
"""How often each thread of the check of threads keeps, sends, fetches and releases."""


@dataclass(frozen=True)
class ReferenceSettings(BatterySettings):
    """What the checks are run with."""

    held_bytes: Callable[[Any], int] | None


# -- checks that leave the pool as they found it ------------------------------------------------------


def _members(pool: ReferencePool, settings: ReferenceSettings) -> None:
    require(isinstance(pool, ReferencePool), "the pool must have every member of kofn.engines.ReferencePool")
    require(capabilities_of(pool).references, "capabilities.references must say that it has them")
    require(pool.n >= 3, f"the battery needs three workers, got {pool.n}")
    raises(ArgumentError, lambda: pool.keep(pool.n, int), "a worker that is not there must be refused")
    kept = pool.keep(0, int, "3").result()
    raises(ArgumentError, lambda: pool.send(kept, pool.n), "nothing is sent to a worker that is not there")
    require(all(isinstance(bytes_, int) for bytes_ in pool.moved().values()), "moved() must count bytes")


def _round_trip(pool: ReferencePool, settings: ReferenceSettings) -> None:
    values = [
        np.zeros((0, 3)), np.zeros(()), np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(200_000, dtype=np.complex64), np.array(["text", None], dtype=object), np.arange(6, dtype=">i4"),
        np.arange(settings.payload_bytes // 8, dtype=np.float64),
    ]  # fmt: skip
    for value in values:
        ref = pool.keep(1, same, value).result()
        require(isinstance(ref, Ref) and ref.worker == 1, f"keep must end with a Ref to its worker, got {ref!r}")
        require(ref.spec == ArraySpec.of(value), f"a Ref must tell shape and type of an array, got {ref.spec}")
        require(ref.size == value.nbytes, f"a Ref must tell the size of an array, got {ref.size}")
        back = _value(pool, ref, settings)
        equal = (back.dtype, back.shape) == (value.dtype, value.shape) and np.array_equal(back, value)
        require(equal, f"an array of {value.dtype} and shape {value.shape} must come back as it was")
    for mixed in ({"a": (1, "b", {2}), "c": None}, None, 3.0, [1, (2, "three")]):
        ref = pool.keep(0, same, mixed).result()
        require(ref.spec is None, "what is no array has no spec")
        require(_value(pool, ref, settings) == mixed, "values of any kind must come back as they were")
    pool.put(2, "offset", np.full(3, 10.0))
    ref = pool.keep(2, np.add, np.arange(3.0), keys=("offset",)).result()
    require(_value(pool, ref, settings).tolist() == [10.0, 11.0, 12.0], "resident values come first for keep as well")
    pool.drop("offset")


def _arguments(pool: ReferencePool, settings: ReferenceSettings) -> None:
    small = pool.keep(0, np.arange, 4.0).result()
    large = pool.keep(1, np.ones, 100_000).result()
    word = pool.keep(2, str.upper, "word").result()
    for worker in range(pool.n):
        got = pool.submit(worker, described, small, [large, (word, 7)], {"plain": [1]}).result()
        expected = [("ndarray", 6.0), [("ndarray", 1e5), ["WORD", 7]], {"plain": [1]}]
        require(got == expected, f"a task gets values in the places of references, got {got}")
        doubled = pool.keep(worker, combined, [2.0, 1.0], [large, large]).result()
        require(doubled.worker == worker, "what is kept lies where its task ran")
        require(doubled.key not in {small.key, large.key, word.key}, "each value has a key of its own")
        require(float(_value(pool, doubled, settings).sum()) == 3e5, "a kept value may be made of others")
        pool.put(worker, "factor", 5.0)
        require(pool.submit(worker, times, small, keys=("factor",)).result() == 30.0, "keys go with references")
    pool.drop("factor")
    require(_value(pool, small, settings).tolist() == [0.0, 1.0, 2.0, 3.0], "a value is there however often it is used")


def _private(pool: ReferencePool, settings: ReferenceSettings) -> None:
    for size in (10, 100_000):
        ref = pool.keep(0, np.ones, size).result()
        for worker in (0, 1, 0):
            error = pool.submit(worker, spoil, ref, np.zeros(1)).exception()
            refused = error is None or isinstance(error, ValueError)  # an array that cannot be written to
            require(refused, f"to write into a value is refused or undone, got {error!r}")
            total = pool.submit(worker, np.sum, ref).result()
            require(total == size, "what a task writes into a value must not be seen by the next one")
        mine = _value(pool, ref, settings)
        if mine.flags.writeable:
            mine += 1.0
        require(pool.submit(0, np.sum, ref).result() == size, "nor what is written into the array that was fetched")
    mixed = pool.keep(0, same, [1, {"two": 2}]).result()
    require([pool.submit(0, appended, mixed).result() for _ in range(2)] == [3, 3], "nor what is done to other values")


def _exception(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(0, np.ones, 3).result()
    for begin in (pool.keep, pool.submit):
        error = begin(0, fail, LookupError("no such thing", 42)).exception()
        is_same = isinstance(error, LookupError) and error.args == ("no such thing", 42)
        require(is_same, f"a task's exception, got {error!r}")
        notes = "".join(getattr(error, "__notes__", []))
        require("Traceback" in notes and "fail" in notes, "the remote traceback must be in __notes__")
        error = begin(1, np.add, ref, np.ones(2)).exception()
        require(isinstance(error, ValueError), f"what a task raises that has got references, got {error!r}")
    require(float(_value(pool, ref, settings).sum()) == 3.0, "a value outlives the tasks that fail with it")
    require(pool.keep(0, int, "3").result().worker == 0, "a worker goes on after an exception")


def _unpicklable(pool: ReferencePool, settings: ReferenceSettings) -> None:
    lock = threading.Lock()
    raises(ArgumentError, lambda: pool.keep(0, id, lock), "an argument that cannot travel must be refused")
    require(pool.state(0) == WorkerState.IDLE, "a refused task leaves its worker idle")
    require(pool.keep(0, int, "3").result().worker == 0, "a worker goes on after a refusal")


def _send(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(0, numbers, settings.payload_bytes).result()
    copy = pool.send(ref, 1).result(settings.patience_seconds)
    require(copy.worker == 1 and copy != ref, "a copy is a value of its own, at the other worker")
    require(copy.spec == ref.spec and copy.size == ref.size, "a copy has the same spec and size")
    home = pool.send(ref, 0).result(settings.patience_seconds)
    require(home.worker == 0 and home != ref, "a copy at the same worker is one as well")
    pool.release(ref)
    pool.release(home)
    total = pool.submit(2, np.sum, copy).result()
    require(total == numbers(settings.payload_bytes).sum(), "a copy stays when the value is released")
    pairs = pool.moved()
    require(all(0 <= place < pool.n for pair in pairs for place in pair), f"moved() tells of workers, got {pairs}")
    require((2, 2) not in pairs, "what stays at a worker does not travel")


def _while_busy(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(0, np.arange, 100_000.0).result()
    stragglers = [pool.submit(worker, time.sleep, settings.straggler_seconds) for worker in (0, 1)]
    copy = pool.send(ref, 1).result(settings.patience_seconds)
    back = _value(pool, ref, settings)
    again = _value(pool, copy, settings)
    require([future.done() for future in stragglers] == [False] * 2, "neither send nor fetch waits for a busy worker")
    pool.release(ref)
    for future in stragglers:
        future.result(settings.patience_seconds)
    require(np.array_equal(back, again), "what was sent is what was fetched")
    require(pool.submit(1, np.sum, copy).result() == np.arange(100_000.0).sum(), "it is there when the worker is idle")


def _release_early(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(0, np.ones, 100_000).result()
    here, elsewhere = (pool.submit(worker, late_sum, settings.straggler_seconds / 4, ref) for worker in (0, 1))
    until = time.monotonic() + settings.straggler_seconds / 8
    while time.monotonic() < until:  # both have got it by then, or will say that it is lost
        time.sleep(0.01)
    pool.release(ref)
    for future in (here, elsewhere):
        error = future.exception(settings.patience_seconds)
        ok = future.result() == 1e5 if error is None else isinstance(error, ReferenceLost)
        require(ok, f"a task whose value is released ends well or with ReferenceLost, got {error!r}")
    require(here.exception() is None, "a task that has got a value ends well when it is released")


def _cancel(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(1, np.ones, 100_000).result()
    late = pool.keep(0, late_sum, settings.straggler_seconds, ref)
    require(late.cancel(), "the future of keep can be cancelled")
    raises(CancelledError, late.result, "a cancelled future is cancelled")
    for travelling in (pool.fetch(ref), pool.send(ref, 2)):
        travelling.cancel()
    await_idle(pool, settings)
    require(pool.submit(0, np.sum, ref).result() == 1e5, "the worker serves again, and the value is there")
    stopped = pool.keep(0, time.sleep, settings.straggler_seconds)
    pool.stop(0, "kill")
    raises(CancelledError, stopped.result, "the future of a stopped task is cancelled")


def _matrix(pool: ReferencePool, settings: ReferenceSettings) -> None:
    for value in (3, [1.0, 2.0], np.ones((2, 2)), "text", None):
        require(pool.adopt(value) is None, f"{value!r} is no remote matrix")
    heights, widths = (3, 2), (4, 1)
    blocks = np.empty((2, 2), object)
    for i, j in np.ndindex(2, 2):
        blocks[i, j] = pool.keep((i + 2 * j) % pool.n, np.full, (heights[i], widths[j]), 10.0 * i + j).result()
    blocks[1, 1] = None  # zeros
    whole: Any = pool.export(RemoteMatrix(blocks, heights, widths, np.dtype(float)))
    expected = np.add.outer(np.repeat([0.0, 10.0], heights), np.repeat([0.0, 1.0], widths))
    expected[3:, 4:] = 0.0
    if not isinstance(whole, np.ndarray):
        adopted = pool.adopt(whole)
        require(adopted is not None, f"what export gives must be adopted, got {whole!r}")
        assert adopted is not None
        require(adopted.shape == (5, 5) and adopted.dtype == float, "an adopted matrix has the shape and type it had")
        require((adopted.heights, adopted.widths) == (heights, widths), "an adopted matrix has the blocks it had")
        specs = [ref.spec for ref in adopted.blocks.ravel()]
        right = [ArraySpec((h, w), np.dtype(float)) for h in heights for w in widths]
        require(specs == right, f"adopted blocks tell shape and type, got {specs}")
        total = pool.submit(0, combined, [1.0] * 2, list(adopted.blocks[0, :1]) * 2).result()
        require(np.array_equal(total, 2 * expected[:3, :4]), "tasks take adopted blocks")
        whole = np.block([[_value(pool, ref, settings) for ref in row] for row in adopted.blocks])
    require(np.array_equal(whole, expected), "an exported matrix holds what was kept")


def _own_references(pool: ReferencePool, settings: ReferenceSettings) -> None:
    kept = [pool.keep(worker, np.full, 1000, float(worker)).result() for worker in range(3)]
    found = pool.refer([3, *kept, "text", np.ones(2)])
    require([one is None for one in found] == [True, *[False] * 3, True, True], "only what lies there is referred to")
    refs = [ref for ref in found if ref is not None]
    require([ref.worker for ref in refs] == [0, 1, 2], f"a reference says where its value lies, got {refs}")
    totals = [pool.submit(2 - ref.worker, np.sum, ref).result() for ref in refs]
    require(totals == [0.0, 1000.0, 2000.0], f"what is referred to again is the value it was, got {totals}")


def _threads(pool: ReferencePool, settings: ReferenceSettings) -> None:
    wrong: list[object] = []

    def work(worker: int) -> None:
        try:
            for number in range(ROUNDS):
                ref = pool.keep(worker, np.full, 1000, float(worker + number)).result(settings.patience_seconds)
                copy = pool.send(ref, (worker + 1) % pool.n).result(settings.patience_seconds)
                pool.release(ref)
                total = pool.submit(worker, np.sum, copy).result(settings.patience_seconds)
                back = _value(pool, copy, settings)
                pool.release(copy)
                if not total == back.sum() == 1000.0 * (worker + number):
                    wrong.append((worker, number, total))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(not wrong, f"three threads work each with its own worker, got {wrong}")


# -- checks that need a pool of their own -------------------------------------------------------------


def _release(pool: ReferencePool, settings: ReferenceSettings) -> None:
    count = settings.held_bytes or (lambda pool: 0)
    await_right(lambda: "held_bytes tells of something in a fresh pool" if count(pool) else "", settings)
    refs = [pool.keep(worker, numbers, settings.payload_bytes).result() for worker in (0, 1)]
    refs.append(pool.send(refs[0], 2).result(settings.patience_seconds))
    if settings.held_bytes is not None:
        few = f"two arrays of {refs[0].size} bytes are kept, but held_bytes tells of less"
        await_right(lambda: few if count(pool) < 2 * refs[0].size else "", settings)
    for ref in refs:
        pool.release(ref)
        pool.release(ref)
    pool.release(Ref("nobody knows it", 0))
    for begin in (partial(pool.submit, 1, np.sum), partial(pool.keep, 1, np.sum), pool.fetch):
        for ref in (*refs, Ref("nobody knows it", 0)):
            _is_lost(begin(ref), settings, "what was released")
    _is_lost(pool.send(refs[0], 1), settings, "what was released")
    await_idle(pool, settings)

    def is_wrong() -> str:
        return f"released values must be gone, but {left} bytes are left" if (left := count(pool)) else ""

    await_right(is_wrong, settings)


def _loss(pool: ReferencePool, settings: ReferenceSettings) -> None:
    process = pool.submit(0, os.getpid).result()
    require(process != os.getpid(), "the worker is this very process; say so in lacks")
    only = pool.keep(0, np.arange, 100_000.0).result()
    copied = pool.keep(0, np.ones, 100_000).result()
    copy = pool.send(copied, 1).result(settings.patience_seconds)
    os.kill(process, signal.SIGKILL)
    total = np.arange(100_000.0).sum()
    await_right(lambda: "the process that was killed is still there" if _is_there(process) else "", settings)
    for future in (pool.submit(1, np.sum, only), pool.fetch(only)):
        error = future.exception(settings.patience_seconds)
        ok = np.sum(future.result()) == total if error is None else isinstance(error, ReferenceLost)
        require(ok, f"what was lost with its worker ends with ReferenceLost, or is there after all, got {error!r}")
    require(pool.state(1) == WorkerState.IDLE, "a worker that lacked a value is idle again")
    require(pool.submit(1, np.sum, copy).result(settings.patience_seconds) == 1e5, "a copy elsewhere is there")
    require(float(_value(pool, copy, settings).sum()) == 1e5, "a copy elsewhere can be fetched")
    require(pool.submit(2, np.sum, copy).result(settings.patience_seconds) == 1e5, "and be sent to others")
    await_right(lambda: _why_not_back(pool, copy, settings), settings)


def _why_not_back(pool: ReferencePool, copy: Ref, settings: ReferenceSettings) -> str:
    """Why the worker that was lost is neither dead nor serves again: a task may be the first to hear of its death."""
    if (state := pool.state(0)) == WorkerState.DEAD:
        return ""
    if state == WorkerState.IDLE:
        with contextlib.suppress(WorkerLost):
            total = pool.submit(0, np.sum, copy).result(settings.patience_seconds)
            return "" if total == 1e5 else f"a worker that is back gets values as before, got {total}"
    return f"a worker that was lost must be dead or come back, got {state}"


def _closing(pool: ReferencePool, settings: ReferenceSettings) -> None:
    ref = pool.keep(0, np.ones, 100_000).result()
    mine = _value(pool, ref, settings)
    futures = [pool.keep(worker, time.sleep, settings.straggler_seconds) for worker in range(pool.n)]
    started = time.monotonic()
    pool.close()
    errors = [future.exception(timeout=settings.patience_seconds) for future in futures]
    require(all(isinstance(error, PoolClosed) for error in errors), f"tasks of a closed pool, got {errors!r}")
    seconds = time.monotonic() - started
    require(seconds < settings.straggler_seconds, f"closing must not wait for tasks: {seconds:.2f} s")
    raises(PoolClosed, lambda: pool.keep(0, int), "a closed pool keeps nothing")
    raises(PoolClosed, lambda: pool.fetch(ref), "a closed pool has nothing to fetch")
    raises(PoolClosed, lambda: pool.send(ref, 1), "a closed pool sends nothing")
    pool.release(ref)
    require(mine.sum() == 1e5, "an array that was fetched outlives the pool")


def _nothing_left(pool: ReferencePool, settings: ReferenceSettings) -> None:
    """Another pool beside the first, closed with references outstanding and values on their way."""
    before = belongings()
    refs = []
    with settings.make_pool() as made:
        other: Any = made
        await_idle(other, settings)
        refs += [other.keep(worker, np.ones, 100_000).result() for worker in range(3)]
        other.send(refs[0], 1)
        other.keep(1, time.sleep, settings.straggler_seconds)
    await_right(lambda: f"a closed pool leaves behind {left}" if (left := left_since(before)) else "", settings)
    require(len(refs) == 3, "references outlive their pool, though not what they refer to")


SHARED = [
    _members, _round_trip, _arguments, _private, _exception, _unpicklable, _send, _while_busy,
    _release_early, _cancel, _matrix, _own_references, _threads,
]  # fmt: skip
_ALONE = [_release, _loss, _closing, _nothing_left]

REFERENCE_CHECKS = named(SHARED, _ALONE)
"""Every check by its name."""


def _value(pool: ReferencePool, ref: Ref, settings: BatterySettings) -> Any:
    return pool.fetch(ref).result(settings.patience_seconds)


def _is_lost(future: Future[Any], settings: BatterySettings, what: str) -> None:
    error = future.exception(settings.patience_seconds)
    require(isinstance(error, ReferenceLost), f"{what} must end with ReferenceLost, got {error!r}")


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
