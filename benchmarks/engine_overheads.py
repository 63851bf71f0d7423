"""What an engine costs: local processes beside one-process executors, or a pool of Ray beside a bare actor.

    python benchmarks/engine_overheads.py [workers]
    python benchmarks/engine_overheads.py ray

Prints milliseconds, medians of repeated calls; of Ray the smallest too, in turn in one run. Nothing is asserted; the
machine's noise is in every figure.
"""

from __future__ import annotations

import contextlib
import operator
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from kofn.engines import ExecutorPool, LocalPool, Pool
from kofn.errors import WorkerLost

ARRAY = np.random.default_rng(0).random(1_000_000)


def seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def median(call: Callable[[], Any], repeats: int) -> float:
    return 1e3 * statistics.median(seconds(call) for _ in range(repeats))


def first(values: Any) -> float:
    return float(values[0])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_executors(n: int) -> ExecutorPool:
    pool = ExecutorPool([ProcessPoolExecutor(1) for _ in range(n)])
    for future in [pool.submit(worker, int) for worker in range(n)]:
        future.result()
    return pool


def traffic(pool: Pool) -> dict[str, float]:
    shared = pool.empty(ARRAY.shape, ARRAY.dtype)
    shared[:] = ARRAY
    pool.put(0, "x", ARRAY)
    return {
        "no-op": median(lambda: pool.submit(0, operator.index, 3).result(), 500),
        "no-op, a lambda": median(lambda: pool.submit(0, lambda: 3).result(), 500),
        "8 MB in": median(lambda: pool.submit(0, first, ARRAY).result(), 20),
        "8 MB in, from pool.empty": median(lambda: pool.submit(0, first, shared).result(), 20),
        "8 MB resident": median(lambda: pool.submit(0, first, keys=("x",)).result(), 20),
        "8 MB out": median(lambda: pool.submit(0, np.ones, len(ARRAY)).result(), 20),
    }


def usable_after(pool: Pool, stop: Callable[[Any], Any]) -> float:
    """Milliseconds from the stop of a task of 1 s until its worker has answered the next one."""

    def once() -> None:
        future = pool.submit(0, time.sleep, 1.0)
        time.sleep(0.02)
        nonlocal started
        started = time.perf_counter()
        stop(future)
        while pool.state(0) not in ("idle", "starting"):
            time.sleep(0.0005)
        pool.submit(0, first, keys=("x",)).result()

    started = 0.0
    times = []
    for _ in range(5):
        once()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


def death(pool: Pool) -> None:
    with contextlib.suppress(WorkerLost):
        pool.submit(0, die).result()
    if pool.state(0) != "dead":
        pool.submit(0, first, keys=("x",)).result()


def measure(make: Callable[[int], Any], n: int) -> dict[str, float]:
    figures = {}
    started = time.perf_counter()
    pool = make(n)
    figures[f"start {n} workers"] = 1e3 * (time.perf_counter() - started)
    try:
        figures.update(traffic(pool))
        figures["abandon: usable after"] = usable_after(pool, lambda _: pool.stop(0, "abandon"))
        if isinstance(pool, LocalPool):
            figures["kill: usable after"] = usable_after(pool, lambda _: pool.stop(0, "kill"))
            figures["SIGKILL: usable after"] = median(lambda: death(pool), 5)
    finally:
        figures["close"] = 1e3 * seconds(pool.close)
    return figures


class Bare:
    """An actor as one writes it."""

    def call(self, value: int) -> int:
        return value


def beside_ray() -> None:
    import ray

    from kofn.engines import RayPool

    with RayPool(1) as pool:
        actor = ray.remote(Bare).options(num_cpus=0).remote()
        calls: dict[str, Callable[[], Any]] = {
            "bare actor": lambda: ray.get(actor.call.remote(3)),
            "submit": lambda: pool.submit(0, operator.index, 3).result(),
            "keep": lambda: pool.keep(0, operator.index, 3).result(),
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(1600):
            for name, call in calls.items():
                if number >= 100:
                    times[name].append(1e3 * seconds(call))
                else:
                    call()
    bare = times["bare actor"]
    print(f"{'milliseconds':<28}{'smallest':>12}{'ratio':>8}{'median':>12}{'ratio':>8}")
    for name, found in times.items():
        figures = [(of(found), of(found) / of(bare)) for of in (min, statistics.median)]
        print(f"{'no-op, ' + name:<28}" + "".join(f"{figure:12.3f}{ratio:8.2f}" for figure, ratio in figures))


def main() -> None:
    if sys.argv[1:] == ["ray"]:
        beside_ray()
        return
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    ours, theirs = measure(LocalPool, n), measure(make_executors, n)
    print(f"{'milliseconds':<28}{'LocalPool':>12}{'executors':>12}{'ratio':>8}")
    for name, figure in ours.items():
        other = theirs.get(name)
        beside = f"{other:12.2f}{other / figure:8.1f}" if other is not None else f"{'-':>12}{'-':>8}"
        print(f"{name:<28}{figure:12.2f}{beside}")


if __name__ == "__main__":
    main()
