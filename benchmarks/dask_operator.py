"""Products of a Dask matrix that stays at the workers with vectors, one after another, while a worker is stopped.

    python benchmarks/dask_operator.py [--rows 12000] [--columns 4000] [--workers 3] [--repeat 3] [power] [svds]

Scheduler and workers are processes of their own. Power iterations v = Aᴴ A v, 50 of them: by `kofn.operator` with
redundancy=1, without a straggler and with one worker stopped (SIGSTOP) from the tenth on; beside it `dask.array`, a
graph for each product, which waits for a worker that has stopped and so is told without one. `svds` is that of SciPy
on the operator. Memory is what the workers hold, as Dask counts it. All take turns; the median of the ratios is told.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import dask.array as da
import numpy as np
from dask_arrays import cluster
from distributed import wait
from scipy.sparse.linalg import svds

import kofn

ITERATIONS = 50
STOPS_AT = 10


def power(product: Callable[[Any], Any], columns: int, at: Callable[[int], None] = lambda number: None) -> Any:
    """Largest singular value, after so many iterations with a matrix whose Aᴴ A is a function."""
    v = np.random.default_rng(1).standard_normal(columns)
    v /= np.linalg.norm(v)
    size = 0.0
    for number in range(ITERATIONS):
        at(number)
        v = product(v)
        size = float(np.linalg.norm(v))
        v /= size
    return np.sqrt(size)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that ``call`` takes, and what it returns."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def held(client: Any) -> float:
    """Megabytes of values at the workers."""
    counts = client.run(lambda dask_worker: sum(task.nbytes or 0 for task in dask_worker.state.tasks.values()))
    return float(sum(counts.values())) / 1e6


class Stopping:
    """Stops a worker at a moment of the iterations, and lets it go on at the end."""

    def __init__(self, pid: int, begins: int = STOPS_AT) -> None:
        self.pid, self._begins = pid, begins

    def at(self, number: int) -> None:
        """Stop it at its iteration."""
        if number == self._begins:
            os.kill(self.pid, signal.SIGSTOP)

    def end(self) -> None:
        """Let it go on, and what waited for it be done."""
        os.kill(self.pid, signal.SIGCONT)
        time.sleep(1.0)


def powers(bench: Any, op: Any, repeat: int) -> None:
    """Power iterations without and with a worker that stops, and by `dask.array`."""
    A, client = bench.A, bench.client
    ours = lambda v: op.H @ (op @ v)  # noqa: E731
    theirs = lambda v: client.compute(A.T @ (A @ da.from_array(v, chunks=-1))).result()  # noqa: E731
    found, stops, beside = set(), [], []
    for number in range(repeat + 1):
        calm, value = timed(lambda: power(ours, A.shape[1]))
        dask, same = timed(lambda: power(theirs, A.shape[1]))
        stopping = Stopping(bench.pids()[number % len(bench.pids())])
        try:
            stopped, third = timed(lambda: power(ours, A.shape[1], stopping.at))  # noqa: B023
        finally:
            stopping.end()
        found |= {round(float(one), 6) for one in (value, same, third)}
        print(f"  calm {calm:.2f} s, one stopped {stopped:.2f} s, dask.array calm {dask:.2f} s", flush=True)
        if number:
            stops.append(stopped / calm)
            beside.append(calm / dask)
    assert len(found) == 1, found
    print(f"50 power iterations: one stopped {median(stops):.2f} × without (asked 1.3; dask.array waits); ", end="")
    print(f"without {median(beside):.2f} × dask.array's", flush=True)


def singular(bench: Any, op: Any, repeat: int) -> None:
    """SciPy's `svds`, without and with a worker that stops."""
    ratios, values = [], []
    solve = lambda: svds(op, k=6, random_state=0)[1]  # noqa: E731
    for number in range(repeat + 1):
        calm, value = timed(solve)
        stopping = Stopping(bench.pids()[number % len(bench.pids())], 0)
        try:
            stopping.at(0)
            stopped, same = timed(solve)
        finally:
            stopping.end()
        values += [value, same]
        print(f"  svds: calm {calm:.2f} s, one stopped {stopped:.2f} s", flush=True)
        ratios += [stopped / calm] if number else []
    assert np.allclose(values, values[0])
    print(f"svds, k=6: one stopped from the beginning {median(ratios):.2f} × without", flush=True)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["power", "svds"])
    parser.add_argument("--rows", type=int, default=12000)
    parser.add_argument("--columns", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    size = (asked.rows, asked.columns, 1, asked.rows // (4 * asked.workers), 1)
    with cluster(asked.workers, size) as bench:
        wait(bench.A)
        before = held(bench.client)
        took, op = timed(lambda: kofn.operator(bench.A, workers=bench.client, redundancy=1, rng=0))
        with op:
            print(f"{asked.workers} workers, {asked.rows} × {asked.columns}: made in {took:.2f} s; ", end="")
            print(
                f"workers hold {before:.0f} MB before, {held(bench.client):.0f} MB after, both directions", flush=True
            )
            if "power" in asked.what:
                powers(bench, op, asked.repeat)
            if "svds" in asked.what:
                singular(bench, op, asked.repeat)


if __name__ == "__main__":
    main()
