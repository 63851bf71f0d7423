"""What small calls cost: a task that does nothing, whole calls of each face, and the steps of a small product.

Run with ``python benchmarks/calls.py``; to compare two checkouts, run it in turn with each first on ``PYTHONPATH``. The
smallest time is what is left when nothing disturbs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import kofn
from kofn.codes import decode


def show(name: str, action: Callable[[], Any], repeat: int = 200) -> None:
    """Print the smallest and the median time of an action, in milliseconds."""
    times = []
    for _ in range(repeat + 5):
        start = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - start))
    times = sorted(times[5:])
    print(f"{name:20s} smallest {times[0]:7.3f} ms, median {times[len(times) // 2]:7.3f} ms")


def calls(name: str, pool: Any) -> None:
    """A task that does nothing, and one small call of each face."""
    eye, x = np.eye(6), np.ones(40)
    show(f"{name} no-op", lambda: pool.submit(0, int).result(), 2000)
    show(f"{name} matmul", lambda: kofn.matmul(eye, eye, workers=pool, rng=0))
    show(f"{name} sum", lambda: kofn.sum([abs] * 8, -1.0, workers=pool, rng=0))
    show(f"{name} map", lambda: kofn.map(np.square, [1.0, 2.0, 3.0], workers=pool, degree=2, rows=6))
    with kofn.operator(np.eye(40), workers=pool, rng=0) as operator:
        show(f"{name} matvec", lambda: operator @ x)


def steps(rows: int, inner: int, columns: int, repeat: int) -> None:
    """Building, encoding, decoding and assembling one product."""
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((rows, inner)), rng.standard_normal((inner, columns))
    size, received = f"{rows} × {inner} · {inner} × {columns}", [0, 2, 3]
    show("build", lambda: kofn.schemes.mds(A, B, workers=4, rng=0), repeat)
    scheme = kofn.schemes.mds(A, B, workers=4, rng=0)
    show("encode", lambda: scheme.encoding().encode(np.empty), repeat)
    show("decode", lambda: decode(scheme.code, received), repeat)
    tasks = scheme.encoding().encode(np.empty)
    results = [tasks[row].function(*tasks[row].resident.values(), *tasks[row].arguments) for row in received]
    matrix = decode(scheme.code, received).matrix
    show("assemble", lambda: scheme.assemble(matrix, results), repeat)
    print(f"  of {size}\n")


if __name__ == "__main__":
    steps(40, 30, 8, 1000)
    steps(600, 600, 600, 50)
    with kofn.LocalPool(2) as processes, kofn.ThreadPool(2) as threads:
        calls("local", processes)
        calls("threads", threads)
