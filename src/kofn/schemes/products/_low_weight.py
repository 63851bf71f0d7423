"""MDS codes of low weight: every row combines as few blocks of A as any k of n can do with (Das et al. 2023)."""

from __future__ import annotations

import numpy as np

from ..._base._numbers import Flags
from .._request import builder
from .._scheme import Scheme
from ._request import ProductRequest


@builder(ProductRequest)
def low_weight(asked: ProductRequest) -> Scheme:
    """Combinations of ω row blocks of A, each times B: any k of n results are enough.

    Any s = n − k workers may be missing only if each block is with s + 1, so that the n rows hold k(s + 1) blocks at
    least and some row ω = ⌈k(s + 1) / n⌉: no code with rows of one weight has a smaller one. A combination of ω blocks
    of a matrix that is mostly zeros has at most ω times as many other numbers as a block, not k times. kofn combines
    dense arrays, zeros or not, and multiplies matrices of SciPy's that are stored sparsely by plain blocks alone: what
    this code is worth to a kernel that skips zeros can be simulated and studied here, but `mds` costs a dense A less.

    Load 1; threshold k; amplification somewhat above that of `mds-dense`: 5 in the median and 60 in the worst case for
    6 of 8, 15 and 5000 for 12 of 16. The master's costs are those of `mds-dense`.

    Parameters
    ----------
    A, B, blocks, rows, workers
        As for `kofn.schemes.mds`.
    rng : None, int or Generator
        Draws the coefficients, and the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    A. B. Das, A. Ramamoorthy, D. J. Love, C. G. Brinton, "Distributed Matrix Computations With Low-Weight Encodings",
    IEEE J. Sel. Areas Inf. Theory 4, 2023, Algorithm 1.

    Examples
    --------
    >>> code = low_weight(np.eye(6), np.eye(6), workers=8, rng=0).code
    >>> code.threshold, np.count_nonzero(code.generator, axis=1).tolist()
    (6, [3, 3, 3, 3, 3, 3, 3, 3])
    """
    k = asked.choose_rows("mds-low-weight")
    support = low_weight_support(k, asked.count)
    signs = asked.random.choice([-1.0, 1.0], support.shape)
    rows = np.where(support, signs * asked.random.uniform(0.5, 1.0, support.shape), 0.0)
    return asked.one_sided("mds-low-weight", rows / np.linalg.norm(rows, axis=1, keepdims=True))


def low_weight_support(k: int, rows: int) -> Flags:
    """Which of k blocks each row combines, (rows, k): runs of ω that start everywhere, then one run after another.

    Examples
    --------
    >>> low_weight_support(3, 5).astype(int).tolist()
    [[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 1]]
    """
    weight = -(-k * (rows - k + 1) // rows)
    row = np.arange(rows)
    start = np.where(row < k, row, row * weight)
    support = np.zeros((rows, k), dtype=bool)
    support[row[:, None], (start[:, None] + np.arange(weight)) % k] = True
    return support
