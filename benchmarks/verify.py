"""What the check of block products costs, beside the products themselves: prints a table.

    python benchmarks/verify.py [--repeat 5] [--sizes 1024 2048]

Processor time of this thread, the smallest of several in turn; set OMP_NUM_THREADS=1. ``first``: the first time that a
block of B is seen, whose sketch is then kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import kofn

ROWS = 6
"""Plain blocks of A."""


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def costs(size: int, columns: int, dtype: str, repeat: int) -> tuple[float, float, float]:
    """Seconds of all block products, of their checks with a fresh key, and of checks with sketches that are kept."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((size, size)).astype(dtype), rng.standard_normal((size, columns)).astype(dtype)
    scheme = kofn.schemes.mds(a, b, blocks=(ROWS, 1), workers=ROWS, rng=0)
    tasks = list(scheme.encoding().encode(np.empty))[:ROWS]
    results = [task.function(*task.arguments) for task in tasks]
    best = [np.inf] * 3
    for key in range(repeat):
        verifier = scheme.verifier(key)
        assert verifier is not None
        check = [verifier.excess] * ROWS
        calls = (
            lambda: [task.function(*task.arguments) for task in tasks],
            lambda check=check: [one(task, result) for one, task, result in zip(check, tasks, results, strict=True)],
        )
        for place, call in enumerate((calls[0], calls[1], calls[1])):
            best[place] = min(best[place], seconds(call))
    return best[0], best[1], best[2]


def table(sizes: list[int], repeat: int) -> Iterator[str]:
    """A line for each size and type: of square matrices, and of a matrix and a vector."""
    yield f"{'product':>20} {'dtype':>6} {'product s':>10} {'first':>7} {'later':>7}   (shares of the product's time)"
    for size in sizes:
        for columns in (size, 1):
            for dtype in ("float64", "float32"):
                product, first, later = costs(size, columns, dtype, repeat)
                name = f"{size}x{size} · {size}x{columns}"
                shares = f"{first / product:7.3f} {later / product:7.3f}"
                yield f"{name:>20} {dtype[0] + dtype[-2:]:>6} {product:10.4f} {shares}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048])
    arguments = parser.parse_args()
    for line in table(arguments.sizes, arguments.repeat):
        print(line, flush=True)


if __name__ == "__main__":
    main()
