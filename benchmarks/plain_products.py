"""What a product costs when nothing straggles: `kofn.matmul` beside the fastest plain product written by hand.

    OMP_NUM_THREADS=1 python benchmarks/plain_products.py [--repeat 11] [--workers 2]

By hand: the same warm processes; A, B and the product in shared memory that is kept, mapped and touched before; A and B
are copied in by all processors, each worker writes its rows of the product where they belong, and these are copied out
once. That is the least that a call can do which takes ordinary arrays and returns one. Each kind is run in turn, and
the table shows medians of the ratios of runs side by side.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kofn

Floats = NDArray[np.float64]

SHAPES = ((2000, 2000, 2000), (4000, 4000, 400))
TASKS = 4
"""Plain rows a worker."""

THREADS = ThreadPoolExecutor(2)


class ByHand:
    """A plain product on the processes of a pool, with nothing between it and them."""

    def __init__(self, pool: kofn.LocalPool, shape: tuple[int, int, int]) -> None:
        rows, inner, columns = shape
        self.pool, self.shapes = pool, [(rows, inner), (inner, columns), (rows, columns)]
        self.memory = [SharedMemory(create=True, size=8 * first * second) for first, second in self.shapes]
        self.arrays = arrays_in(self.memory, self.shapes)
        for array in self.arrays:
            array[:] = 0.0
        cuts = np.linspace(0, rows, pool.n + 1).astype(int).tolist()
        self.spans = list(itertools.pairwise(cuts))
        self.names = [memory.name for memory in self.memory]
        for worker in range(pool.n):
            pool.submit(worker, rows_of_product, self.names, self.shapes, (0, 1)).result()

    def __call__(self, A: Floats, B: Floats) -> Floats:
        """Copy in, multiply, copy out."""
        copy(self.arrays[0], A)
        copy(self.arrays[1], B)
        futures = [
            self.pool.submit(worker, rows_of_product, self.names, self.shapes, span)
            for worker, span in enumerate(self.spans)
        ]
        for future in futures:
            future.result()
        C = np.empty(self.shapes[2])
        copy(C, self.arrays[2])
        return C

    def close(self) -> None:
        """Give the shared memory back."""
        del self.arrays
        for memory in self.memory:
            memory.close()
            memory.unlink()


def arrays_in(memory: list[SharedMemory], shapes: list[tuple[int, int]]) -> list[Floats]:
    """The arrays that shared memory holds."""
    return [np.ndarray(shape, np.float64, each.buf) for each, shape in zip(memory, shapes, strict=True)]


def rows_of_product(names: list[str], shapes: list[tuple[int, int]], span: tuple[int, int]) -> None:
    """At a worker: multiply some rows of A where they lie, into the rows of the product."""
    import sys
    from multiprocessing import resource_tracker

    import numpy

    held = sys.modules.setdefault("rows_of_product_held", type(sys)("rows_of_product_held")).__dict__
    if held.get("names") != names:
        resource_tracker.register = lambda *_: None  # whoever made it gives it back
        held["names"], held["memory"] = names, [SharedMemory(name) for name in names]
        held["arrays"] = arrays_in(held["memory"], shapes)
        for array in held["arrays"]:
            array.sum()
    a, b, c = held["arrays"]
    numpy.matmul(a[slice(*span)], b, out=c[slice(*span)])


def copy(target: Floats, source: Floats) -> None:
    """Copy on two processors."""
    middle = len(source) // 2
    halves = slice(middle), slice(middle, None)
    for future in [THREADS.submit(np.copyto, target[half], source[half]) for half in halves]:
        future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    with kofn.LocalPool(chosen.workers, threads_per_worker=1) as pool:
        for shape in SHAPES:
            A, B = rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:])
            table(pool, A, B, shape, chosen.repeat)


def table(pool: kofn.LocalPool, A: Floats, B: Floats, shape: tuple[int, int, int], repeat: int) -> None:
    n = TASKS * pool.n
    kinds: dict[str, Callable[[], Any]] = {
        "default": lambda: kofn.matmul(A, B, workers=pool, rng=0),
        "uncoded": lambda: kofn.matmul(A, B, workers=pool, code="uncoded", rows=n, rng=0),
        "uncoded by rows": lambda: kofn.matmul(A, B, workers=pool, code="uncoded", blocks=(n, 1), rng=0),
        "mds": lambda: kofn.matmul(A, B, workers=pool, code="mds", blocks=(n, 1), rows=n + 2, rng=0),
    }
    with kofn.LocalPool(pool.n, threads_per_worker=1) as own:
        hand = ByHand(own, shape)
        compare(hand, kinds, A, B, shape, repeat)
        hand.close()


def compare(
    hand: ByHand,
    kinds: dict[str, Callable[[], Any]],
    A: Floats,
    B: Floats,
    shape: tuple[int, int, int],
    repeat: int,
) -> None:
    """Run all kinds in turn and print their medians."""
    assert np.allclose(hand(A, B), A @ B)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for _ in range(repeat):
        for name, call in kinds.items():
            times[name].append((seconds(lambda: hand(A, B)), seconds(call)))
    print(" × ".join(map(str, shape)), "by hand", f"{np.median([h for p in times.values() for h, _ in p]):.3f} s")
    for name, pairs in times.items():
        by_hand, own = np.array(pairs).T
        least = f"{own.min():.3f} / {by_hand.min():.3f}"
        print(f"  {name:16} {np.median(own):.3f} s  ratio {np.median(own / by_hand):.2f}  least {least}")


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
