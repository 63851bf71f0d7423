"""`kofn.operator`: a matrix encoded once, resident at workers, used as a SciPy linear operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._coded_operator import CodedOperator


def operator(
    A: Any,
    *,
    workers: Any = None,
    code: str | None = None,
    blocks: int | None = None,
    rows: int | None = None,
    tolerance: float = 0.0,
    deadline: float | None = None,
    rng: Any = None,
    memory_limit_bytes: int | None = None,
) -> CodedOperator:
    """Encode a matrix, place it at workers, and return a `scipy.sparse.linalg.LinearOperator`.

    After placement a product sends only the vector and its result. Products with the adjoint need a second
    placement, made when the first of them is asked for: it costs as much memory again, and no more work per
    product. A code that served both from one placement would need 2k − 1 results where two placements need k,
    so for as many workers its blocks would be twice as large.

    Parameters
    ----------
    A : (m, n) array or SciPy sparse matrix
        float32, float64 or complex.
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.matmul`.
    code : {"mds", "mds-chebyshev", "repetition", "uncoded"}, optional
        A code on the row blocks. "mds" for dense matrices; "repetition" for sparse ones, which stay sparse
        with every code, but whose combinations of k blocks have up to k times as many entries.
    blocks : int, optional
        Number of row blocks k; chosen from the pool by default.
    rows : int, optional
        Coded rows; one per worker by default.
    tolerance, deadline : float, optional
        Stop rule of every product; exact by default.
    rng : None, int or Generator
        Draws the coefficients and the sketch for the error bar.
    memory_limit_bytes : int, optional
        Largest encoded size of a placement; half of the memory that is left by default.

    Returns
    -------
    CodedOperator
        Close it, or use it in a ``with`` block, to free the workers' memory.

    Raises
    ------
    ArgumentError
        An argument cannot work.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(12.0).reshape(4, 3)
    >>> with kofn.ThreadPool(3) as pool, kofn.operator(A, workers=pool, rng=0) as op:
    ...     bool(np.allclose(op @ np.ones(3), A @ np.ones(3))), bool(np.allclose(op.H @ np.ones(4), A.T @ np.ones(4)))
    (True, True)
    """
    from ._coded_operator import CodedOperator  # SciPy is not needed before somebody wants an operator

    return CodedOperator(
        A,
        workers=workers,
        code=code,
        blocks=blocks,
        rows=rows,
        tolerance=tolerance,
        deadline=deadline,
        rng=rng,
        memory_limit_bytes=memory_limit_bytes,
    )
