"""What values that stay at Dask workers cost: bytes that pass the client, and a task that does nothing.

    python benchmarks/dask_references.py [--keeps 200] [--megabytes 1] [--tasks 300]

Scheduler and workers are processes of their own, so that the sockets of this one are the client's alone; bytes are
those that the operating system has counted (``ss -tinp``). Times are taken in turns with those of the bare engine; the
smallest are what a quiet machine would do.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
from distributed import Client

import kofn

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=3, threads_per_worker=1, protocol="tcp://", dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextmanager
def connected() -> Iterator[Client]:
    """A client of three workers in other processes."""
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        with Client(server.stdout.readline().strip(), set_as_default=False) as client:
            client.wait_for_workers(3)
            yield client
        server.stdin.close()


def sockets(process: int) -> dict[tuple[str, str], tuple[int, int]]:
    """Bytes sent and received so far by each connection of a process."""
    lines = subprocess.run(["ss", "-tinpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for about, counters in zip(lines[::2], lines[1::2], strict=True):
        if f"pid={process}," in about:
            here, there = about.split()[3:5]
            sent, received = (re.search(rf"bytes_{way}:(\d+)", counters) for way in ("sent", "received"))
            found[here, there] = (int(sent[1]) if sent else 0, int(received[1]) if received else 0)
    return found


def passed(process: int, work: Callable[[], Any]) -> tuple[int, int, Any]:
    """Bytes that a process sent and received while ``work`` ran, and what that returned."""
    before = sockets(process)
    result = work()
    after = sockets(process)
    sent, received = (
        sum(counts[way] - before.get(pair, (0, 0))[way] for pair, counts in after.items()) for way in (0, 1)
    )
    return sent, received, result


def timed(call: Callable[[], Any]) -> float:
    """Seconds that ``call`` takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def traffic(pool: kofn.DaskPool, keeps: int, nbytes: int) -> None:
    """What passes the client while values are kept, used and copied."""
    here = os.getpid()

    def keep() -> list[Any]:
        return [pool.keep(number % pool.n, np.ones, nbytes // 8).result() for number in range(keeps)]

    def use() -> list[Any]:
        return [pool.submit((ref.worker + 1) % pool.n, np.sum, ref).result() for ref in refs]

    def send() -> list[Any]:
        return [pool.send(ref, (ref.worker + 2) % pool.n).result() for ref in refs]

    def nothing() -> None:
        time.sleep(2.0)

    keep()  # connections are made, and code is sent
    sent, received, _ = passed(here, nothing)
    print(f"nothing for 2 s: {sent} bytes sent, {received} received")
    refs: list[Any] = []
    for name, work in (("keep", keep), ("submit with one that lies elsewhere", use), ("send", send)):
        sent, received, result = passed(here, work)
        refs = result if name == "keep" else refs
        each = f"{sent / keeps:.0f} bytes sent, {received / keeps:.0f} received"
        print(f"{keeps} times {name}, {nbytes / 1e6:g} MB each: {each}")
    print(f"from worker to worker: {sum(pool.moved().values()) / 1e6:.0f} MB")


def overhead(client: Client, pool: kofn.DaskPool, tasks: int) -> None:
    """A task that does nothing, in turns: on the bare engine, by value, by reference."""
    address = pool.submit(0, worker_address).result()
    calls: dict[str, Callable[[], Any]] = {
        "client.submit(…).result()": lambda: client.submit(int, workers=[address], pure=False).result(),
        "pool.submit(…).result()": lambda: pool.submit(0, int).result(),
        "pool.keep(…).result()": lambda: pool.keep(0, int).result(),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(tasks // 5):
        for name, call in calls.items():
            taken[name].extend([timed(call) for _ in range(6)][1:])
    bare = taken["client.submit(…).result()"]
    for name, seconds in taken.items():
        ratios = (f"{figure(seconds) / figure(bare):.2f}" for figure in (min, decile, median))
        print(f"{name:<26} least {1e3 * min(seconds):5.1f} ms, median {1e3 * median(seconds):5.1f} ms", end="; ")
        print(f"ratios of least, first decile, median: {', '.join(ratios)}")


def decile(seconds: list[float]) -> float:
    """The first decile."""
    return sorted(seconds)[len(seconds) // 10]


def worker_address() -> str:
    """Whose process this is."""
    from distributed import get_worker

    address: str = get_worker().address
    return address


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keeps", type=int, default=200)
    parser.add_argument("--megabytes", type=float, default=1.0)
    parser.add_argument("--tasks", type=int, default=300)
    given = parser.parse_args()
    with connected() as client, kofn.DaskPool(client) as pool:
        traffic(pool, given.keeps, int(given.megabytes * 1e6))
        overhead(client, pool, given.tasks)


if __name__ == "__main__":
    main()
