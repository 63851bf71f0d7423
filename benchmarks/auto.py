"""What ``code="auto"`` costs: looking a choice up, and the share of a pool's time that is spent on choosing.

    OMP_NUM_THREADS=1 python benchmarks/auto.py [--workers 2] [--jobs 80] [--size 1500]

Products on real processes, one after another. The first line is the time of a look-up (median and largest of 1000, in
processor time of the client) of a choice that is kept; the second how much of the pool's time was spent on choosing by
then; the third what choosing for another shape took, all at once, and what that is of what the 2 % rule would let it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import kofn
from kofn.engines import Delays
from kofn.tuning.auto import Product, book_of, product_way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=80)
    parser.add_argument("--size", type=int, default=1500)
    chosen = parser.parse_args()
    A, B = np.random.default_rng(0).standard_normal((2, chosen.size, chosen.size))
    with kofn.LocalPool(chosen.workers, threads_per_worker=1) as pool:
        answers = [kofn.matmul(A, B, workers=pool) for _ in range(chosen.jobs)]
        print("  " + "\n  ".join(dict.fromkeys(answer.report.choice for answer in answers)))
        tell(pool.delays, (chosen.size,) * 3, chosen.workers)


def tell(delays: Delays, shape: tuple[int, int, int], workers: int) -> None:
    book, times = book_of(delays), []
    spent, worked = book.spent, delays.busy
    for _ in range(1000):
        begun = time.process_time()
        product_way(Product(shape, np.dtype(float), workers, delays), kofn.Options(), lambda code, rows: None)
        times.append(time.process_time() - begun)
    print(f"look-up: median {1e3 * np.median(times):.3f} ms, largest {1e3 * max(times):.3f} ms")
    print(f"spent on choosing {spent:.3f} s of {worked:.2f} s: {100 * spent / worked:.2f} %")
    delays.busy += 1e6  # as if it had worked for long: nothing is put off
    other = 2 * shape[0], shape[1], shape[2]
    for size in (4 * shape[0], other[0]):  # the first one may have to load the simulation
        time.sleep(2.0)
        begun, product = time.process_time(), Product((size, *shape[1:]), np.dtype(float), workers, delays)
        way = product_way(product, kofn.Options(), lambda code, rows: None)
        took = time.process_time() - begun
    print(f"choosing for {' × '.join(map(str, other))}: {took:.3f} s, which {50 * took:.0f} s of work pay for")
    print(f"  {way.why}")


if __name__ == "__main__":
    main()
