"""What a product with a resident matrix costs: `kofn.operator` beside the fastest plain product written by hand.

    OMP_NUM_THREADS=1 python benchmarks/resident.py [--repeat 41] [--workers 2] [--shape 8192 4096]

By hand: the same kind of warm processes; the matrix, x and y in shared memory that is kept, mapped and touched before;
x is copied in, each worker multiplies its rows into its part of y where that lies, and y is copied out. That is the
least that a call can do which takes an ordinary vector and returns one. Both are run in turn, and the table shows
medians, and the median of the ratios of runs side by side.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kofn

Floats = NDArray[np.float64]

SHAPES = ((8192, 4096), (16384, 8192))


class ByHand:
    """A matrix in shared memory and its product on the processes of a pool, with nothing between it and them."""

    def __init__(self, pool: kofn.LocalPool, A: Floats) -> None:
        rows, columns = A.shape
        self.pool, self.shapes = pool, [(rows, columns), (columns,), (rows,)]
        self.memory = [SharedMemory(create=True, size=8 * int(np.prod(shape))) for shape in self.shapes]
        matrix, self.x, self.y = arrays_in(self.memory, self.shapes)
        matrix[:] = A
        del matrix
        cuts = np.linspace(0, rows, pool.n + 1).astype(int).tolist()
        self.spans = list(itertools.pairwise(cuts))
        self.names = [memory.name for memory in self.memory]

    def __call__(self, x: Floats) -> Floats:
        """Copy in, multiply, copy out."""
        self.x[:] = x
        futures = [
            self.pool.submit(worker, rows_of_product, self.names, self.shapes, span)
            for worker, span in enumerate(self.spans)
        ]
        for future in futures:
            future.result()
        return self.y.copy()

    def close(self) -> None:
        """Give the shared memory back."""
        del self.x, self.y
        for memory in self.memory:
            memory.close()
            memory.unlink()


def arrays_in(memory: list[SharedMemory], shapes: list[tuple[int, ...]]) -> list[Floats]:
    """The arrays that shared memory holds."""
    return [np.ndarray(shape, np.float64, each.buf) for each, shape in zip(memory, shapes, strict=True)]


def rows_of_product(names: list[str], shapes: list[tuple[int, ...]], span: tuple[int, int]) -> None:
    """At a worker: multiply some rows of the matrix where they lie, into the rows of the product."""
    import sys
    from multiprocessing import resource_tracker

    import numpy

    held = sys.modules.setdefault("rows_of_product_held", type(sys)("rows_of_product_held")).__dict__
    if held.get("names") != names:
        resource_tracker.register = lambda *_: None  # whoever made it gives it back
        held["names"], held["memory"] = names, [SharedMemory(name) for name in names]
        held["arrays"] = arrays_in(held["memory"], shapes)
    a, x, y = held["arrays"]
    numpy.matmul(a[slice(*span)], x, out=y[slice(*span)])


def table(shape: tuple[int, int], workers: int, repeat: int) -> None:
    """Run all kinds in turn and print their medians."""
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal(shape), rng.standard_normal(shape[1])
    with kofn.LocalPool(workers, threads_per_worker=1) as own, kofn.LocalPool(workers, threads_per_worker=1) as pool:
        hand, op = ByHand(own, A), kofn.operator(A, workers=pool, rng=0)
        assert np.allclose(hand(x), A @ x) and np.allclose(op @ x, hand(x))
        del A
        for _ in range(3):
            hand(x), op @ x
        pairs = np.array([(seconds(lambda: hand(x)), seconds(lambda: op @ x)) for _ in range(repeat)])
        report = op.answer.report
        op.close()
        hand.close()
    by_hand, ours = pairs.T
    print(f"{shape[0]} × {shape[1]}, {workers} workers: by hand {1e3 * np.median(by_hand):.1f} ms, operator "
          f"{1e3 * np.median(ours):.1f} ms, ratio {np.median(ours / by_hand):.2f}, least "
          f"{1e3 * ours.min():.1f} / {1e3 * by_hand.min():.1f}")  # fmt: skip
    print(f"  {len(report.attempts)} rows", "sent", report.sent_bytes, "received", report.received_bytes)


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=41)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shape", type=int, nargs=2)
    chosen = parser.parse_args()
    for shape in [tuple(chosen.shape)] if chosen.shape else SHAPES:
        table(shape, chosen.workers, chosen.repeat)


if __name__ == "__main__":
    main()
