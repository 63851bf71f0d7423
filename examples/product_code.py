"""A code of one's own: a parity in each direction, so that any three of the results may be missing.

    python examples/product_code.py

The product codes of K. Lee, C. Suh and K. Ramchandran, "High-Dimensional Coded Matrix Multiplication", ISIT 2017, with
one parity on the blocks of A and one on those of B: results lie in a table whose rows and columns each add up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import kofn
from kofn.schemes.products import from_coefficients


def with_parity(count: int) -> np.ndarray[Any, Any]:
    """Every block once, and the sum of all at the size of one."""
    return np.vstack([np.eye(count), np.full((1, count), count**-0.5)])


def product_code(
    A: Any, B: Any, *, blocks: Any = None, rows: Any = None, workers: int | None = None, rng: Any = None
) -> kofn.Scheme:
    """A table of (n + 1) × (p + 1) results, n × p of which are block products; any but three of them suffice."""
    count = rows or workers
    n, p = blocks or (int(count**0.5) - 1,) * 2
    alpha = np.repeat(with_parity(n), p + 1, axis=0)
    beta = np.tile(with_parity(p), (n + 1, 1))
    threshold = len(alpha) - 3
    return from_coefficients(
        A, B, alpha, beta, name="product code", threshold=threshold, workers=workers, rng=rng
    )  # four in the corners of a rectangle are too many


def main() -> kofn.Answer:
    """Multiply while three of nine workers never answer; print and return the answer."""
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((60, 40)), rng.standard_normal((40, 50))
    delays = kofn.Slowdown(kofn.Constant(0.001), {0: 1e4, 4: 1e4, 8: 1e4})
    with kofn.ThreadPool(9) as pool, kofn.Straggling(pool, delays) as slow:
        answer = kofn.matmul(A, B, workers=slow, code=product_code)
    print(f"{answer}, off by {np.linalg.norm(answer.value - A @ B):.0e}")
    return answer


if __name__ == "__main__":
    main()
