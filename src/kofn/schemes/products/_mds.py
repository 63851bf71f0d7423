"""MDS codes on the row blocks of A alone: any k of n results give the product (Lee et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...checks import named, refusal
from ...codes._bases import chebyshev_nodes, chebyshev_rows, gaussian_frame, parity_rows
from .._deal import default_redundancy
from .._scheme import Scheme
from ._operands import CALL, Operands, generator
from ._row_column import choose_blocks, plain_grid, require_threshold, row_column_scheme, row_count


@named("kofn.schemes.mds")
def mds(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """The row blocks of A as they are, then combinations of them, each times B: any k of n results are enough.

    Load 1; threshold k; amplification 1 for what arrives as it is. What is missing is solved for alone, from as many
    combinations: the amplification is √(2k − 1) at most where one is spare, 9 at most for 6 of 8, and 8 in the median
    for 12 of 16, rarely above 1e5. The master copies plain blocks, encodes the others when a worker is to
    have one, at 2·(n − k)·(size of A) flops, and decodes at 2·(missing blocks)·(size of the product) flops: nothing
    where the plain blocks arrive first.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (k, 1), optional
        Three quarters as many blocks as rows by default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the coefficients of three and more combinations, and the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    K. Lee, M. Lam, R. Pedarsani, D. Papailiopoulos, K. Ramchandran, "Speeding Up Distributed Machine Learning
    Using Codes", IEEE Trans. Inf. Theory 64(3), 2018, in systematic form.

    Examples
    --------
    >>> code = mds(np.eye(3), np.eye(3), workers=4, rng=0).code
    >>> code.threshold, code.generator.tolist()
    (3, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    """
    random = generator(rng)
    systematic = lambda n, k: np.vstack([np.eye(k), parity_rows(n - k, k, random)])  # noqa: E731
    return _one_sided("mds", A, B, blocks, rows, workers, random, systematic)


@named("kofn.schemes.mds_dense")
def mds_dense(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Gaussian combinations of the row blocks of A, each times B: no row is worth more than another.

    The form that is published, for figures and for estimates: each result tells something of every block. Load 1;
    threshold k; amplification grows slowly (median below 10, rarely above 1e5 at k = 16). The master encodes A at
    2·n·(size of A) flops, sends B as it is, and decodes at 2·k·(size of the product) flops.

    Parameters
    ----------
    A, B, blocks, rows, workers
        As for `mds`.
    rng : None, int or Generator
        Draws the coefficients, and the sketch for the error bar.

    Returns
    -------
    Scheme

    References
    ----------
    K. Lee, M. Lam, R. Pedarsani, D. Papailiopoulos, K. Ramchandran, "Speeding Up Distributed Machine Learning
    Using Codes", IEEE Trans. Inf. Theory 64(3), 2018; Tegin et al. 2022, Sec. III.

    Examples
    --------
    >>> code = mds_dense(np.eye(6), np.eye(6), workers=8, rng=0).code
    >>> code.threshold, code.rows
    (6, 8)
    """
    random = generator(rng)
    return _one_sided("mds-dense", A, B, blocks, rows, workers, random, lambda n, k: gaussian_frame(n, k, random))


@named("kofn.schemes.mds_chebyshev")
def mds_chebyshev(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Combinations with Chebyshev polynomials at Chebyshev nodes as coefficients: deterministic.

    Load 1; threshold k; amplification is about 1 with all results and grows exponentially with the number of
    neighbouring nodes that are missing, so that an answer may be decodable and yet not called exact. The master's
    costs are those of `mds_dense`.

    Parameters
    ----------
    A, B, blocks, rows, workers, rng
        As for `mds`; ``rng`` draws only the sketch.

    Returns
    -------
    Scheme

    References
    ----------
    M. Fahim, V. R. Cadambe, "Numerically Stable Polynomially Coded Computing", IEEE Trans. Inf. Theory 67(5),
    2021.

    Examples
    --------
    >>> mds_chebyshev(np.eye(2), np.eye(2), blocks=(2, 1), rows=3).code.generator.round(3).tolist()
    [[1.0, 0.866], [1.0, 0.0], [1.0, -0.866]]
    """
    coefficients = lambda n, k: chebyshev_rows(chebyshev_nodes(n), k)  # noqa: E731
    return _one_sided("mds-chebyshev", A, B, blocks, rows, workers, generator(rng), coefficients)


def _one_sided(
    name: str,
    A: Any,
    B: Any,
    blocks: tuple[int, int] | None,
    rows: int | None,
    workers: int | None,
    rng: np.random.Generator,
    coefficients: Callable[[int, int], Floats],
) -> Scheme:
    operands = Operands.of(A, B)
    count = row_count(rows, workers)
    k, columns = choose_blocks(operands, blocks, count - default_redundancy(count), only_rows=True)
    if columns != 1:
        raise refusal(CALL, "blocks", f"be (k, 1) for {name}, which codes only A", (k, columns),
                      "use code='kronecker' or 'polynomial' to cut both")  # fmt: skip
    require_threshold(name, k, count)
    return row_column_scheme(
        name, operands, plain_grid(operands, (k, 1)), coefficients(count, k), np.ones((count, 1)),
        workers=workers, threshold=k, rng=rng,
    )  # fmt: skip
