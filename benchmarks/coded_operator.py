"""A coded matrix as a SciPy operator on straggling workers: singular values, and what travels.

Run with ``python benchmarks/coded_operator.py``.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.sparse.linalg import svds

import kofn


def singular_values() -> None:
    """Six singular values on 8 processes of which one is dead and one ten times slower."""
    A = np.random.default_rng(0).standard_normal((1200, 600))
    truth = np.sort(svds(A, 6, return_singular_vectors=False))
    delays = kofn.Dying(kofn.Slowdown(kofn.Constant(0.005), {7: 10.0}), {2: 0.001})
    with kofn.Straggling(kofn.LocalPool(8), delays) as pool, kofn.operator(A, workers=pool, rng=0) as op:
        start = time.perf_counter()
        values = np.sort(svds(op, 6, return_singular_vectors=False))
        seconds = time.perf_counter() - start
    off = np.max(np.abs(values - truth) / truth)
    print(f"svds(operator, 6) with one dead and one slow of 8: {seconds:.1f} s, relative difference {off:.1e}")


def traffic(products: int = 200) -> None:
    """Bytes of many matvecs after placement, beside those of x and y alone."""
    A = np.random.default_rng(1).standard_normal((8192, 4096))
    x = np.random.default_rng(2).standard_normal(4096)
    with kofn.LocalPool(8) as pool, kofn.operator(A, workers=pool, rng=0) as op:
        op @ x
        placed = op.answer.report.placed_bytes
        sent = received = more = 0
        start = time.perf_counter()
        for _ in range(products):
            op @ x
            report = op.answer.report
            sent, received = sent + report.sent_bytes, received + report.received_bytes
            more += report.placed_bytes
        seconds = (time.perf_counter() - start) / products
        start = time.perf_counter()
        for _ in range(20):
            A @ x
        plain = (time.perf_counter() - start) / 20
    print(f"placed once: {placed / 2**20:.0f} MiB; placed again in {products} products: {more} bytes")
    print(f"a product sends {sent / products / x.nbytes:.2f} × x and receives {received / products / 65536:.2f} × y,")
    print(f"and takes {1e3 * seconds:.1f} ms; the same product by this process alone {1e3 * plain:.1f} ms")


if __name__ == "__main__":
    singular_values()
    traffic()
