"""What a product with a resident matrix costs: `kofn.operator` beside the fastest plain product written by hand.

    OMP_NUM_THREADS=1 python benchmarks/resident.py [--repeat 41] [--workers 2] [--shape 8192 4096]
    python benchmarks/resident.py --dead | --sparse

By hand: the same kind of warm processes; the matrix, x and y in shared memory that is kept, mapped and touched before;
x is copied in, each worker multiplies its rows into its part of y where that lies, and y is copied out. That is the
least that a call can do which takes an ordinary vector and returns one. Both are run in turn, and the table shows
medians, and the median of the ratios of runs side by side.

With ``--dead`` one of 8 workers is dead: workers sleep in proportion to their work, so that this machine may have fewer
processors, and both kinds of products are timed in turn. With ``--sparse`` a matrix of 20 000 × 20 000 with a
thousandth of its numbers is multiplied, and the peak of memory is told beside what a dense copy would take.
"""

from __future__ import annotations

import argparse
import itertools
import time
import tracemalloc
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


def table(shape: tuple[int, int], workers: int, redundancy: int | None, repeat: int) -> None:
    """Run all kinds in turn and print their medians."""
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal(shape), rng.standard_normal(shape[1])
    with kofn.LocalPool(workers, threads_per_worker=1) as own, kofn.LocalPool(workers, threads_per_worker=1) as pool:
        hand, op = ByHand(own, A), kofn.operator(A, workers=pool, redundancy=redundancy, rng=0)
        assert np.allclose(hand(x), A @ x) and np.allclose(op @ x, hand(x))
        del A
        for _ in range(3):
            hand(x), op @ x
        spare, pairs = 0, np.empty((repeat, 2))
        for pair in pairs:
            pair[:] = seconds(lambda: hand(x)), seconds(lambda: op @ x)
            spare += sum(attempt.row >= op.answer.recovered.size for attempt in op.answer.report.attempts)
        report = op.answer.report
        op.close()
        hand.close()
    by_hand, ours = pairs.T
    print(f"{shape[0]} × {shape[1]}, {workers} workers: by hand {1e3 * np.median(by_hand):.1f} ms, operator "
          f"{1e3 * np.median(ours):.1f} ms, ratio {np.median(ours / by_hand):.2f}, least "
          f"{1e3 * ours.min():.1f} / {1e3 * by_hand.min():.1f}")  # fmt: skip
    held = sum(report.resident_bytes) / (8 * shape[0] * shape[1])
    print(
        f"  holds {held:.3f} |A|, {spare / repeat:.1f} spare rows a product; {report.sent_bytes} bytes sent in the last"
    )


def dead(products: int = 20) -> None:
    """Products with one of 8 workers dead, beside those with all of them."""
    A, x = np.random.default_rng(0).standard_normal((448, 64)), np.ones(64)
    with (
        ThreadPoolOfSleepers(8) as alive,
        ThreadPoolOfSleepers(8) as short,
        kofn.operator(A, workers=alive, rng=0) as whole,
        kofn.operator(A, workers=short, rng=0) as less,
    ):
        short.dead = 3
        assert np.allclose(less @ x, A @ x) and np.allclose(whole @ x, A @ x)
        pairs = np.array([(seconds(lambda: whole @ x), seconds(lambda: less @ x)) for _ in range(products)])
        held = sum(whole.answer.report.resident_bytes) / A.nbytes
    ratio = np.median(pairs[:, 1] / pairs[:, 0])
    print(f"8 workers, redundancy 1: memory {held:.3f} |A|; one dead: {ratio:.2f} times as long")


class ThreadPoolOfSleepers(kofn.ThreadPool):
    """Threads that take 20 ms a row, one of which may be dead."""

    dead = -1

    def submit(self, worker: int, function: Any, *arguments: Any, keys: Any = ()) -> Any:
        """Run it, and sleep for as long as the work is said to take."""

        def slowly(*values: Any) -> Any:
            time.sleep(0.02 * max(1, len(keys)))
            return function(*values)

        return super().submit(worker, slowly, *arguments, keys=keys)

    def state(self, worker: int) -> Any:
        """Tell what it does."""
        return "dead" if worker == self.dead else super().state(worker)


def sparse() -> None:
    """A sparse matrix: equal to SciPy, and never dense."""
    from scipy.sparse import random_array

    S = random_array((20_000, 20_000), density=1e-3, rng=np.random.default_rng(0), format="csr")
    x = np.random.default_rng(1).standard_normal(20_000)
    size = S.data.nbytes + S.indices.nbytes + S.indptr.nbytes
    with kofn.LocalPool(4) as pool:
        tracemalloc.start()
        with kofn.operator(S, workers=pool, rng=0) as op:
            off = max(np.abs(op @ x - S @ x).max(), np.abs(op.H @ x - S.T @ x).max())
            held = sum(op.answer.report.resident_bytes)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    print(f"20 000² with density 1e-3, {size / 2**20:.0f} MiB: off by {off:.0e}; both directions hold")
    print(f"{held / size:.2f} times that; peak {peak / 2**20:.0f} MiB, dense {20_000**2 * 8 / 2**20:.0f} MiB")


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=41)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--redundancy", type=int)
    parser.add_argument("--shape", type=int, nargs=2)
    parser.add_argument("--dead", action="store_true")
    parser.add_argument("--sparse", action="store_true")
    chosen = parser.parse_args()
    if chosen.dead or chosen.sparse:
        (dead if chosen.dead else sparse)()
        return
    for shape in [tuple(chosen.shape)] if chosen.shape else SHAPES:
        table(shape, chosen.workers, chosen.redundancy, chosen.repeat)


if __name__ == "__main__":
    main()
