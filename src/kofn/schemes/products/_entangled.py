"""Entangled polynomial codes: both matrices cut both ways, from any p·m·n + p − 1 results (Yu et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..._base._numbers import Floats
from ...arrays._cells import Cells
from ...arrays._spans import Spans
from ...checks import integer, refusal
from ...codes._bases import row_kronecker
from ...codes._linear import LinearCode
from .._deal import deal_rows
from .._encoding import Factor
from .._request import builder
from .._scheme import Scheme
from ._operands import CALL, seed_of
from ._request import ProductRequest
from ._row_column import choose_blocks, found, in_like_units, plain_grid, require_threshold, spread
from ._scheme import ProductScheme, Sketch


@dataclass(frozen=True, eq=False, kw_only=True)
class EntangledRequest(ProductRequest):
    """A product, the size of its code, and in how many parts the inner dimension is cut."""

    inner: int | None = None

    def cuts(self) -> tuple[int, int, int]:
        """Blocks (N, P) of the answer, and the parts of the inner dimension."""
        length, enough = self.operands.shape[1], self.enough
        if self.inner is not None:
            parts = integer(CALL, "inner", self.inner, 1, "1 leaves the inner dimension whole")
            if parts > max(1, length):
                must = f"cut the inner dimension of {length} into at most {max(1, length)} parts"
                raise refusal(CALL, "inner", must, parts, "use fewer parts")
            n, p = choose_blocks(self.operands, self.blocks, (enough + 1) // parts - 1)
        elif self.blocks is not None:
            n, p = choose_blocks(self.operands, self.blocks, enough)
            parts = min((enough + 1) // (n * p + 1), length)
        else:
            parts = min(2, (enough + 1) // 2, length)
            n, p = choose_blocks(self.operands, None, (enough + 1) // max(1, parts) - 1)
        parts = max(1, parts)
        require_threshold("entangled-polynomial", _threshold(n, p, parts), self.count)
        return n, p, parts


@builder(EntangledRequest)
def entangled(asked: EntangledRequest) -> Scheme:
    """Both matrices are cut both ways; a worker multiplies a combination of all blocks of A by one of all of B.

    The published code multiplies Σ x^(j + ip) A_ij by Σ x^(p − 1 − j + lpm) B_jl, and C_il = Σ_j A_ij B_jl is one
    coefficient of the product. Powers are useless in floating point, and with Chebyshev polynomials in their place
    coefficients of C meet foreign ones. Here x = cos θ, A_ij has cos(jθ) cos(ipθ) and B_jl has sin((p − j)θ) cos(lpmθ):
    the first and the last are the polynomials T and U whose products keep apart what the powers keep apart, modulo p.
    The product is Σ c_s sin(sθ), s = 1 … p·m·n + p − 1; C is read off the c_s with s a multiple of p, and what stands
    between them is not wanted. At θ = πr / (n + 1) all results together are an orthogonal sine transform.

    Load 1; threshold p·m·n + p − 1 with m = N and n = P blocks of C and p parts of the inner dimension: that of
    `polynomial` for p = 1, and of `matdot` for m = n = 1. A worker is sent 1/(mp) of A and 1/(pn) of B and returns
    1/(mn) of C, at 1/(pmn) of the work. Amplification grows exponentially with the number of neighbouring nodes
    missing. The master encodes at 2·rows·(size of A + size of B) flops and decodes at 2·(threshold)·(size of the
    product) flops.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P), optional
        Row blocks of A and column blocks of B; as many as leave a quarter of the rows to spare by default.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the sketch for the error bar.
    inner : int, optional
        Parts p of the inner dimension: by default 2, or with ``blocks`` as many as leave a quarter of the rows to
        spare.

    Returns
    -------
    Scheme

    References
    ----------
    Q. Yu, M. A. Maddah-Ali, A. S. Avestimehr, "Straggler Mitigation in Distributed Matrix Multiplication: Fundamental
    Limits and Optimal Coding", IEEE Trans. Inf. Theory 66(3), 2020, Theorem 1. The trigonometric form is kofn's own.

    Examples
    --------
    >>> code = entangled(np.eye(4), np.eye(4), blocks=(2, 1), inner=2, rows=6).code
    >>> code.threshold, code.targets.tolist()
    (5, [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0, 0.0]])
    """
    operands, (n, p, parts) = asked.operands, asked.cuts()
    threshold = _threshold(n, p, parts)
    alpha, beta, generator = entangled_rows(_angles(asked.count), n, p, parts)
    targets, pairs = entangled_targets(n, p, parts), coefficients_of_cells(n, p, parts)
    worker = deal_rows(asked.count, asked.workers)
    code = LinearCode("entangled-polynomial", generator, targets, worker, threshold=threshold)
    grid = in_like_units(operands, plain_grid(operands, (n, p)))
    if (unlike := spread(operands, grid)) is not None:
        holds = (np.abs(pairs.reshape(threshold, n, parts, p, parts)) > 1e-9).any(axis=(2, 4)).reshape(threshold, -1)
        code = replace(code, spread=np.where(holds, unlike[:, None], 0.0).max(axis=2))
    inner = Spans(operands.shape[1], parts)
    a, b = Cells(operands.A, grid.rows, 0, inner=inner), Cells(operands.B, grid.columns, 1, inner=inner)
    sketch = Sketch(a, b, seed_of(asked.random), pairs, _sums(n, p, parts))
    return ProductScheme(code, Factor(alpha, a), Factor(beta, b), grid, sketch, found(operands, grid))


def _threshold(n: int, p: int, parts: int) -> int:
    return parts * n * p + parts - 1


def _angles(count: int) -> Floats:
    """Where sines of θ, 2θ, …, count·θ are orthogonal."""
    angles: Floats = np.pi * np.arange(1, count + 1) / (count + 1)
    return angles


def entangled_rows(angles: Floats, n: int, p: int, parts: int) -> tuple[Floats, Floats, Floats]:
    """Coefficients of the blocks of A, of those of B, and the generator, at these angles.

    Returns
    -------
    alpha, beta : (angles, N·parts) and (angles, P·parts) arrays
        The parts of one span one after another.
    generator : (angles, threshold) array

    Examples
    --------
    >>> alpha, beta, generator = entangled_rows(np.array([np.pi / 2]), 1, 1, 2)
    >>> (alpha * beta + 0.0).round(3), generator.round(3) + 0.0  # the sum of A_j B_j is the coefficient of sin(2θ)
    (array([[0., 0.]]), array([[ 1.,  0., -1.]]))
    """
    part = np.arange(parts)
    size = np.where(part == 0, 1.0, np.sqrt(2.0))  # cos(jθ) sin((p − j)θ) is half of sin(pθ) but for j = 0
    first, second = size * np.cos(np.outer(angles, part)), size * np.sin(np.outer(angles, parts - part))
    rows, columns = (np.cos(np.outer(angles, np.arange(count) * step)) for count, step in ((n, parts), (p, parts * n)))
    generator: Floats = np.sin(np.outer(angles, np.arange(1, _threshold(n, p, parts) + 1)))
    return row_kronecker(rows, first), row_kronecker(columns, second), generator


def coefficients_of_cells(n: int, p: int, parts: int) -> Floats:
    """Matrix from the products A_ij B_j'l to the coefficients of the sines, (threshold, N·parts·P·parts).

    Examples
    --------
    >>> coefficients_of_cells(1, 1, 2).round(3) + 0.0  # no -0.0
    array([[0.   , 1.414, 0.707, 0.   ],
           [1.   , 0.   , 0.   , 1.   ],
           [0.   , 0.   , 0.707, 0.   ]])
    """
    alpha, beta, sines = entangled_rows(_angles(_threshold(n, p, parts)), n, p, parts)
    matrix: Floats = sines.T @ row_kronecker(alpha, beta) * (2 / (len(sines) + 1))  # sines are their own inverse
    return matrix


def entangled_targets(n: int, p: int, parts: int) -> Floats:
    """T: the blocks of C from the coefficients of the sines, (N·P, threshold), integers.

    Σ_j A_ij B_jl comes with cos(ipθ) cos(lpmθ) sin(pθ), which is half of cos(spθ) sin(pθ) for s = lm + i and for
    s = lm − i; cos(spθ) sin(pθ) is half of sin((s + 1)pθ) less half of sin((s − 1)pθ).

    Examples
    --------
    >>> entangled_targets(1, 2, 1).tolist()  # sin θ and cos θ sin θ
    [[1.0, 0.0], [0.0, 2.0]]
    """
    count = n * p
    i, column = np.divmod(np.arange(count), p)
    cosines = np.zeros((count, count))
    for s in (column * n + i, np.abs(column * n - i)):
        np.add.at(cosines, (s, np.arange(count)), 0.5)
    sines = (np.eye(count) - np.eye(count, k=2)) / 2
    sines[0, 0] = 1.0
    targets = np.zeros((count, _threshold(n, p, parts)))
    targets[:, parts - 1 :: parts][:, :count] = np.rint(np.linalg.inv(sines @ cosines))
    return targets


def _sums(n: int, p: int, parts: int) -> Floats:
    """The blocks of C from the products of the blocks of A and of B."""
    sums: Floats = np.einsum("ai,bl,jk->abijlk", np.eye(n), np.eye(p), np.eye(parts)).reshape(n * p, -1)
    return sums
