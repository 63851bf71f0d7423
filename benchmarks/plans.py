"""What a prepared plan saves: 64 tasks that do nothing, on 64 threads, run again and again and run unprepared.

Run with ``python benchmarks/plans.py``. Both are taken in turn, because machines drift.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import kofn

WORKERS = 64


def schemes() -> dict[str, kofn.Scheme]:
    """A scheme of one's own whose tasks do nothing, and a small coded product of as many."""
    code = kofn.LinearCode("no-op", np.eye(WORKERS), np.ones((1, WORKERS)), worker=range(WORKERS))
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((128, 4)), rng.standard_normal((4, 4))
    return {
        "no-op": kofn.schemes.CustomScheme(code, [kofn.Task(np.zeros, (1,))] * WORKERS),
        "mds": kofn.schemes.mds(A, B, workers=WORKERS, rng=0),
    }


def milliseconds(action: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - start)


def main(repeat: int = 50) -> None:
    """Print medians of prepared and unprepared runs."""
    with kofn.ThreadPool(WORKERS) as pool:
        for name, scheme in schemes().items():
            with kofn.prepare(scheme, pool) as plan:
                plan.run()
                pairs = [
                    (milliseconds(plan.run), milliseconds(lambda s=scheme: kofn.run(s, pool))) for _ in range(repeat)
                ]
            prepared, unprepared = (median(times) for times in zip(*pairs, strict=True))
            print(
                f"{name:6s} {WORKERS} tasks on {WORKERS} threads: {prepared:.1f} ms prepared, {unprepared:.1f} ms not"
            )


if __name__ == "__main__":
    main()
