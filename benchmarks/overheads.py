"""What kofn adds to the work itself: encoding, decoding, sending, and getting rid of a straggler.

Run with ``python benchmarks/overheads.py``. Ratios are taken within one run, because machines differ and drift.
Encoding and decoding are bound by memory: the bytes they must touch are printed beside their times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import kofn
from kofn import Collector
from kofn.arrays._combine import apply
from kofn.codes import decode
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement


def seconds(action: Callable[[], Any], repeat: int = 5) -> float:
    """Median time of an action after one call that warms up."""
    action()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def encoding(size: int = 4096) -> None:
    """Encode a product of 3 × 3 blocks on 12 rows, beside copying the encoded data once."""
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((size, size)), rng.standard_normal((size, size))
    for name in ("kronecker", "polynomial", "mds"):
        blocks = (9, 1) if name == "mds" else (3, 3)
        scheme = kofn.schemes.PRODUCTS[name](A, B, blocks=blocks, rows=12, rng=0)
        encode = seconds(lambda scheme=scheme: scheme.encoding().encode(np.empty), 3)
        encoded = [np.asarray(a) for task in scheme.encoding().encode(np.empty) for a in task.arguments]
        distinct = list({id(a.base if a.base is not None else a): a for a in encoded}.values())
        whole = [a.base if a.base is not None else a for a in distinct]
        copy = seconds(lambda whole=whole: [a.copy() for a in whole], 3)
        mib = scheme.encoding().nbytes / 2**20
        print(
            f"encode {name:11s} {size}², 12 rows: {encode:.3f} s, {encode / copy:.2f} × copying its {mib:.0f} MiB once"
        )


def decoding(size: int = 4096) -> None:
    """Decode 9 blocks from 9 results, beside the same product of coefficients and stacked results."""
    rng = np.random.default_rng(0)
    side = -(-size // 3)
    scheme = kofn.schemes.kronecker(rng.standard_normal((9, 9)), np.eye(9), blocks=(3, 3), rows=12, rng=1)
    matrix = decode(scheme.code, range(9)).matrix
    results = [rng.standard_normal((side, side)) for _ in range(9)]
    stacked = np.stack(results).reshape(9, -1)
    plain = seconds(lambda: matrix @ stacked)

    def decoded() -> None:
        targets = np.empty((9, side, side))
        apply(matrix, results, list(targets))

    ours = seconds(decoded)
    # Results arrive one by one: to have them stacked is a copy of all of them.
    gathered = seconds(lambda: matrix @ np.stack(results).reshape(9, -1))
    print(
        f"decode 9 blocks of {side}²: {ours:.3f} s, {ours / plain:.2f} × coefficients @ stacked results"
        f" ({plain:.3f} s), {ours / gathered:.2f} × the same with stacking them"
    )


def tiny(pool: kofn.LocalPool) -> None:
    """A no-op task, and a job of 8 tiny tasks on resident data."""
    noop = [_timed(lambda: pool.submit(0, int).result()) for _ in range(500)]
    print(f"no-op task: {1e3 * median(noop):.3f} ms")
    code = kofn.LinearCode("sum", np.eye(8), np.ones((1, 8)), worker=range(8))
    tasks = [kofn.Task(np.multiply, (2.0,), {("part", i): np.full(100, float(i))}) for i in range(8)]

    scheme = kofn.schemes.CustomScheme(code, tasks)
    placement = Placement(pool)
    jobs = [_timed(lambda: RunLoop(scheme, pool, Collector(code), placement).run()) for _ in range(300)]
    print(f"job of 8 tiny tasks on resident data: {1e3 * median(jobs):.2f} ms")
    placement.close()


def straggler() -> None:
    """First 3 of 4, the fourth has a second of work: when does it serve again?"""
    with kofn.LocalPool(4) as pool:
        again = []
        for _ in range(5):
            futures = [pool.submit(w, time.sleep, 1.0 if w == 3 else 0.01) for w in range(4)]
            for future in futures[:3]:
                future.result()
            start = time.perf_counter()
            pool.stop(3, "abandon")
            while pool.state(3) != "idle":
                time.sleep(0.001)
            pool.submit(3, int).result()
            again.append(time.perf_counter() - start)
    print(f"abandoned worker serves again after {median(again):.3f} s (it had a second of work)")


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    encoding()
    decoding()
    decoding(3 * 2048)
    with kofn.LocalPool(8) as pool:
        tiny(pool)
    straggler()
