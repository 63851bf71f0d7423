"""Products of Dask arrays whose data stays at the workers, beside `dask.array`'s own A @ B, in pairs.

    python benchmarks/dask_arrays.py [--small] [--workers 3] [--repeat 5] [calm] [stop] [kill] [memory]

Scheduler and workers are processes of their own. Traffic of the client is what the system counted at its sockets. Each
line is a ratio to `dask.array` in the same minute: the two take turns, and the median of the ratios is told.

* calm: nothing straggles; without second copies and with them.
* stop: one worker is stopped (SIGSTOP) in the middle, with redundancy=1; against kofn's own time without.
* kill: one is killed; against `dask.array` with one killed at the same share of its time.
* memory: the client may take less memory than the answer has.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dask.array as da
from distributed import Client, wait

import kofn

SMALL = (4800, 3000, 3000, 800, 1500)
LARGE = (16000, 8000, 16000, 2000, 2000)
"""m, k, n, rows of a chunk of A, columns of a chunk of B: 187 MB and 2 GB of inputs."""

AWAY_SECONDS = 30.0
"""After so long a worker that was stopped goes on."""

PATIENCE_SECONDS = 10.0
"""What was made before may take so long to go."""

SETTLE_SECONDS = 2.5
"""After that nothing happens for so long."""

SERVER = """
import sys
import dask
from distributed import LocalCluster
if __name__ == "__main__":
    dask.config.set({"distributed.worker.memory.terminate": False, "distributed.worker.memory.pause": False})
    count = int(sys.argv[1])
    with LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@dataclass
class Bench:
    """A cluster, two matrices that lie there, and how long things took."""

    client: Client
    A: Any
    B: Any
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def dask(self) -> float:
        """One product by `dask.array`, which stays at the workers."""
        started = time.perf_counter()
        product = (self.A @ self.B).persist()
        wait(product)
        return time.perf_counter() - started

    def kofn(self, redundancy: int | None = None) -> tuple[float, Any]:
        """One product by kofn."""
        started = time.perf_counter()
        answer = kofn.matmul(self.A, self.B, workers=self.client, redundancy=redundancy)
        return time.perf_counter() - started, answer

    def check(self, answer: Any) -> None:
        """Say loudly if an answer is not what `dask.array` makes of some of its rows."""
        rows = slice(0, self.A.chunks[0][0])
        there = self.client.compute(abs(answer.value[rows] - self.A[rows] @ self.B).max()).result(timeout=300)
        assert answer.exact and there < 1e-8, (answer, there)

    def pids(self) -> list[int]:
        """Processes of the workers."""
        return sorted(self.client.run(os.getpid).values())

    def settle(self) -> None:
        """Let go of what was made before.

        Dask's workers keep what they had from others for a second or two, and use it again; and a virtual machine gives
        free memory back to its host meanwhile. So each finds the blocks where they were at first, and memory as cold.
        """
        gc.collect()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while sum(map(len, self.client.has_what().values())) > self._blocks() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(SETTLE_SECONDS)

    def _blocks(self) -> int:
        return int(self.A.npartitions + self.B.npartitions)


@contextmanager
def cluster(workers: int, size: tuple[int, ...]) -> Iterator[Bench]:
    """Scheduler and workers in processes of their own, and two matrices there."""
    m, k, n, rows, columns = size
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None and server.stdin is not None
    try:
        with Client(server.stdout.readline().strip()) as client:
            client.wait_for_workers(workers)
            numbers = da.random.default_rng(0)
            A = numbers.standard_normal((m, k), chunks=(rows, k)).persist()
            B = numbers.standard_normal((k, n), chunks=(k, columns)).persist()
            wait([A, B])
            yield Bench(client, A, B)
    finally:
        server.stdin.close()
        server.wait()


def traffic() -> int:
    """Bytes that passed this process's sockets, as the system counts them; 0 where `ss` is missing."""
    try:
        lines = subprocess.run(["ss", "-tinpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    except OSError:
        return 0
    found = 0
    for socket, about in zip(lines[::2], lines[1::2], strict=False):
        if f"pid={os.getpid()}," in socket:
            found += sum(int(count) for count in re.findall(r"bytes_(?:sent|received):(\d+)", about))
    return found


def paired(first: Callable[[], float], second: Callable[[], float], repeat: int, settle: Callable[[], None]) -> float:
    """Median ratio of the second to the first, which take turns; a first pair warms up and does not count."""
    ratios = []
    for number in range(repeat + 1):
        order = (first, second) if number % 2 else (second, first)
        times = {}
        for one in order:
            settle()
            times[one] = one()
        if number:
            ratios.append(times[second] / times[first])
    return median(ratios)


def calm(bench: Bench, repeat: int) -> None:
    """Nothing straggles."""
    passed: list[int] = []

    def ours(redundancy: int | None) -> float:
        before = traffic()
        took, answer = bench.kofn(redundancy)
        passed.append(traffic() - before)
        bench.seconds.setdefault(f"kofn {redundancy}", []).append(took)
        if len(passed) == 1:
            bench.check(answer)
        return took

    for redundancy, asked in ((None, "1.10 large, 1.20 small"), (1, "1.25 large, 1.45 small")):
        passed.clear()
        ratio = paired(bench.dask, lambda: ours(redundancy), repeat, bench.settle)  # noqa: B023
        took = median(bench.seconds[f"kofn {redundancy}"][1:])
        print(f"calm, redundancy {redundancy}: {ratio:.2f} × dask.array (asked {asked}), {took:.2f} s, ", end="")
        print(f"client {max(passed) / 1e6:.3f} MB (asked 1)", flush=True)


def stop(bench: Bench, repeat: int) -> None:
    """One worker stops in the middle."""
    bench.kofn(1)
    ratios = []
    for number in range(repeat):
        bench.settle()
        usual, _ = bench.kofn(1)
        bench.settle()
        victim = bench.pids()[number % len(bench.pids())]
        timer = threading.Timer(0.4 * usual, os.kill, (victim, signal.SIGSTOP))
        wakes = threading.Timer(0.4 * usual + AWAY_SECONDS, os.kill, (victim, signal.SIGCONT))
        timer.start()
        wakes.start()  # where it stopped before what lies there had a second copy, it is waited for
        try:
            took, answer = bench.kofn(1)
            there = bench.client.compute(answer.value.sum()).result(timeout=60)  # without the worker that is away
        finally:
            timer.cancel()
            wakes.cancel()
            os.kill(victim, signal.SIGCONT)
        bench.check(answer)
        ratios.append(took / usual)
        print(f"  stopped after {0.4 * usual:.2f} s of {usual:.2f} s: {took:.2f} s; sum {there:.6g}", flush=True)
        del answer
    print(f"one stopped, redundancy 1: {median(ratios):.2f} × without (asked 1.5; dask.array waits)", flush=True)


def kill(workers: int, size: tuple[int, ...], repeat: int) -> None:
    """One worker is killed in the middle, in a fresh cluster each time."""
    ratios = []
    for number in range(repeat):
        times = {}
        for name in ("dask", "kofn"):
            with cluster(workers, size) as bench:
                call = bench.dask if name == "dask" else lambda: bench.kofn(1)[0]
                call()
                bench.settle()
                usual = call()
                bench.settle()
                victim = bench.pids()[number % workers]
                timer = threading.Timer(0.4 * usual, os.kill, (victim, signal.SIGKILL))
                timer.start()
                times[name] = call()
                timer.cancel()
                print(f"  {name}: killed after {0.4 * usual:.2f} s of {usual:.2f} s: {times[name]:.2f} s", flush=True)
        ratios.append(times["kofn"] / times["dask"])
    print(f"one killed, redundancy 1: {median(ratios):.2f} × dask.array with one killed (asked 1)", flush=True)


def memory(bench: Bench) -> None:
    """The client's memory grows by far less than the answer has."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, answer = bench.kofn()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"memory: answer of {answer.value.nbytes / 2**20:.0f} MiB, the client's peak grew by {grown:.0f} MiB",
        flush=True,
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["calm", "stop", "kill", "memory"])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    size = SMALL if asked.small else LARGE
    print(f"{asked.workers} workers, ({size[0]} × {size[1]})·({size[1]} × {size[2]})", flush=True)
    with cluster(asked.workers, size) as bench:
        if "memory" in asked.what:
            memory(bench)
        if "calm" in asked.what:
            calm(bench, asked.repeat)
        if "stop" in asked.what:
            stop(bench, asked.repeat)
    if "kill" in asked.what:
        kill(asked.workers, size, asked.repeat)


if __name__ == "__main__":
    main()
