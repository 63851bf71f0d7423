"""A Dask cluster with one worker of four ten times slower: kofn's exact 3 of 4 beside plain map and gather.

    python benchmarks/dask_stragglers.py [--jobs 10] [--seconds 1.0] [--address tcp://…]

Without an address four worker processes are started on this machine. Slowness is sleep, so that the figures do not
depend on how many processors there are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from distributed import Client, LocalCluster, get_worker

import kofn

FACTOR = 10.0
RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((300, 200)), RNG.standard_normal((200, 100))


@contextmanager
def connected(address: str | None) -> Iterator[Client]:
    """A client of the cluster at ``address``, or of one made for the purpose."""
    if address is not None:
        with Client(address) as client:
            yield client
        return
    cluster = LocalCluster(n_workers=4, threads_per_worker=1, protocol="tcp://", dashboard_address=":0")
    with cluster, Client(cluster) as client:
        yield client


def timed(call: Callable[[], Any]) -> float:
    """Seconds that ``call`` takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def late(slow: str | int | None, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """A task of so many seconds, at the slow worker of many more, that nothing can interrupt."""
    time.sleep(seconds * (FACTOR if get_worker().name == slow else 1.0))
    return function(*arguments)


def coded(pool: kofn.DaskPool, seconds: float, slow: str | int | None, jobs: int) -> list[float]:
    """Seconds of each of ``jobs`` exact products in a row, any 3 of 4 results each."""

    def job(number: int) -> None:
        scheme = kofn.schemes.mds(A, B, blocks=(3, 1), rows=4, rng=number)

        def encode(allocate: Any) -> list[kofn.Task]:
            return [
                kofn.Task(partial(late, slow, seconds, task.function), task.arguments, task.resident)
                for task in scheme.encoding().encode(allocate)
            ]

        answer = kofn.run(replace(scheme, encode=encode), workers=pool)
        assert answer.exact and np.allclose(answer.value, A @ B)

    return [timed(partial(job, number)) for number in range(jobs)]


def plain(client: Client, seconds: float, slow: str | int | None, jobs: int) -> list[float]:
    """The same with four shards, all of which are needed."""

    def job() -> None:
        work = partial(late, slow, seconds, np.matmul)
        shards = client.map(work, np.array_split(A, 4), [B] * 4, pure=False)
        assert np.allclose(np.vstack(client.gather(shards)), A @ B)

    return [timed(job) for _ in range(jobs)]


def worker_name() -> str | int:
    """Whose process this is."""
    name: str | int = get_worker().name
    return name


def overhead(client: Client, pool: kofn.DaskPool, tasks: int, seconds: float) -> tuple[float, float]:
    """Median seconds of one task on the bare engine and through kofn, taken in turns of five."""
    name = pool.submit(0, worker_name).result()
    bare: list[float] = []
    through: list[float] = []
    for _ in range(tasks // 5):
        for times, call in (
            (bare, lambda: client.submit(time.sleep, seconds, workers=[name], pure=False).result()),
            (through, lambda: pool.submit(0, time.sleep, seconds).result()),
        ):
            times.extend([timed(call) for _ in range(6)][1:])
    return median(bare), median(through)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--address")
    given = parser.parse_args()
    with connected(given.address) as client, kofn.DaskPool(client) as pool:
        report(client, pool, given.jobs, given.seconds)


def report(client: Client, pool: kofn.DaskPool, jobs: int, seconds: float) -> None:
    """Run everything once and print it."""
    slow = pool.submit(0, worker_name).result()
    coded(pool, 0.01, None, 2)
    plain(client, 0.01, None, 2)
    print(f"{jobs} jobs in a row, tasks of {seconds:g} s, worker {slow!r} {FACTOR:g} times slower; median seconds")
    fast_map, slow_map = plain(client, seconds, None, jobs), plain(client, seconds, slow, max(2, jobs // 5))
    fast, behind = coded(pool, seconds, None, jobs), coded(pool, seconds, slow, jobs)
    rows = {"kofn, any 3 of 4": (fast, behind), "client.map + gather": (fast_map, slow_map)}
    for name, (without, with_) in rows.items():
        base, worse = median(without), median(with_)
        print(f"  {name:<20} none slow {base:6.2f}   one slow {worse:6.2f}   ratio {worse / base:5.2f}")
    print(f"  the slowest of kofn's jobs with a slow worker took {max(behind):.2f} s")
    while any(pool.state(worker) != "idle" for worker in range(pool.n)):
        time.sleep(0.1)
    for work, tasks in ((0.0, 60), (0.2, 20)):
        bare, through = overhead(client, pool, tasks, work)
        print(
            f"one task of {work:g} s: bare {1e3 * bare:.1f} ms, kofn {1e3 * through:.1f} ms, ratio {through / bare:.2f}"
        )


if __name__ == "__main__":
    main()
