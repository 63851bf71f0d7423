"""How long simulations take, beside what the arithmetic alone would take on this machine.

    python benchmarks/simulate_speed.py [--trials 100000] [--repeats 5]

The first line is the one with a limit: 100 000 trials of the Gaussian MDS code, any 9 of 30, in 2 s or less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kofn import Scheme, Tolerance
from kofn.schemes import kronecker, mds, mds_chebyshev, repetition
from kofn.simulation import Exponential, errors_by_count, simulate

LIMIT_SECONDS = 2.0
SOLVE_FLOPS = 12
"""Flops of a certificate in units of k³: 2 for the inverse of a k × k system, 2 for each of five products."""


class Seconds(NamedTuple):
    """Wall-clock seconds of the fastest and the slowest call, and the least processor time of one."""

    best: float
    worst: float
    processor: float


def measured(call: Callable[[], Any], repeats: int) -> Seconds:
    """Time a call several times."""
    wall, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return Seconds(min(wall), max(wall), min(processor))


def schemes() -> dict[str, Scheme]:
    """The codes that are timed, on small matrices: only the code matters."""
    A = np.random.default_rng(0).standard_normal((36, 36))
    return {
        "mds 9 of 30": mds(A, A, blocks=(9, 1), rows=30, rng=0),
        "mds-chebyshev 9 of 30": mds_chebyshev(A, A, blocks=(9, 1), rows=30, rng=0),
        "mds 9 of 30 rows, 10 workers": mds(A, A, blocks=(9, 1), rows=30, workers=10, rng=0),
        "kronecker 9 of 15": kronecker(A, A, blocks=(3, 3), rows=15, rng=0),
        "repetition 9 × 2": repetition(A, A, blocks=(3, 3), rows=18, rng=0),
    }


def report(name: str, trials: int, seconds: Seconds) -> None:
    """Print one line; processor time well below wall-clock time means that the machine is busy."""
    each = 1e6 * seconds.processor / trials
    wall = f"{seconds.best:5.2f} – {seconds.worst:5.2f} s"
    print(f"{name:46} {trials:7d} trials {wall}, processor {seconds.processor:5.2f} s, {each:6.1f} µs a trial")


def timed(scheme: Scheme, trials: int, repeats: int, stop: Tolerance | None = None) -> Seconds:
    """Seconds of one simulation with exponential delays, sampling included."""
    prior = scheme.prior()  # known before: it belongs to the data, not to the simulation
    return measured(lambda: simulate(scheme, Exponential(1.0), trials, rng=0, stop=stop, prior=prior), repeats)


def bounds(trials: int, rows: int, k: int, repeats: int) -> None:
    """Print what flops, bytes and the inverses alone would take for ``trials`` systems of k × k."""
    square = np.random.default_rng(0).standard_normal((1000, 1000))
    flops = 2e9 / measured(lambda: square @ square, repeats).best
    large = np.ones(1 << 24)
    bandwidth = 2 * large.nbytes / measured(large.copy, repeats).best
    stack = np.random.default_rng(0).standard_normal((1000, k, k))
    inverses = measured(lambda: np.linalg.inv(stack), repeats).best * trials / 1000
    count = SOLVE_FLOPS * k**3 * trials
    size = trials * (40 * rows + 2 * 8 * k * k)
    print(f"  bound by flops   {count / 1e9:6.2f} G at {flops / 1e9:5.1f} G/s: {count / flops:5.3f} s")
    print(f"  bound by bytes   {size / 1e9:6.2f} G at {bandwidth / 1e9:5.1f} G/s: {size / bandwidth:5.3f} s")
    print(f"  LAPACK's inverses of {k} × {k} alone:    {inverses:5.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    few = max(1, given.trials // 10)
    first = True
    for name, scheme in schemes().items():
        seconds = timed(scheme, given.trials, given.repeats)
        report(name, given.trials, seconds)
        if first:
            bounds(given.trials, scheme.code.rows, 9, given.repeats)
            scaled = LIMIT_SECONDS * given.trials / 100_000
            print(f"  limit {scaled:.2f} s: {'met' if seconds.best <= scaled else 'MISSED'}")
            first = False
        report(f"{name}, tolerance 0.1", few, timed(scheme, few, given.repeats, Tolerance(0.1)))
    scheme = schemes()["kronecker 9 of 15"]
    call = lambda: errors_by_count(scheme, trials=few, rng=0)  # noqa: E731
    report("kronecker 9 of 15, errors by count", few, measured(call, given.repeats))


if __name__ == "__main__":
    main()
