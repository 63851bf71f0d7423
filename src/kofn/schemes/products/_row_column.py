"""Products cut into row blocks of A and column blocks of B (Tegin et al. 2022, eq. (3)): unknowns C_np = A_n B_p."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._base._numbers import Floats
from ...arrays._blocks import Blocks, Grid
from ...arrays._scaling import are_alike, balance, sizes_of, spread_of
from ...arrays._spans import Spans
from ...checks import as_array, integer, named, refusal
from ...codes._bases import row_kronecker
from ...codes._linear import LinearCode, groups_of
from .._deal import deal_rows
from .._encoding import Factor, Found
from ._operands import CALL, Operands, Shaped, balance_blocks, blocks_of, generator, seed_of
from ._scheme import ProductScheme, Sketch


def row_count(rows: int | None, workers: int | None) -> int:
    """Number of coded rows: as asked for, or one per worker."""
    if rows is None and workers is None:
        raise refusal(CALL, "rows", "be given where 'workers' is not", None, "say rows=12, for example")
    name, value = ("rows", rows) if rows is not None else ("workers", workers)
    return integer(CALL, name, value, 1, "ask for at least one")


def choose_blocks(operands: Shaped, blocks: Any, limit: int, *, only_rows: bool = False) -> tuple[int, int]:
    """Block counts (N, P) as asked for, or chosen so that N·P is at most ``limit``."""
    rows, _, columns = operands.shape
    if blocks is not None:
        return blocks_of(blocks, rows, columns, ("rows of A", "columns of B"))
    if only_rows:
        return max(1, min(limit, rows)), 1
    return balance_blocks(max(1, limit), rows, columns)


def require_threshold(name: str, threshold: int, rows: int) -> None:
    """Refuse a code whose rows cannot recover the product even if all of them arrive."""
    if threshold > rows:
        remedy = f"use fewer blocks, or more workers or rows, because {name} decodes from any {threshold}"
        raise refusal(CALL, "blocks", f"need at most {rows} results, one per coded row", threshold, remedy)


def plain_grid(operands: Shaped, blocks: tuple[int, int]) -> Grid:
    """A grid that keeps rows and columns where they are."""
    rows, _, columns = operands.shape
    return Grid(Spans(rows, blocks[0]), Spans(columns, blocks[1]))


def in_like_units(operands: Operands, grid: Grid, *, mixed: bool = True) -> Grid:
    """The same grid for a code that mixes blocks, or does not: rows and columns are raised (`kofn.arrays._scaling`).

    Examples
    --------
    >>> operands = Operands.of([[1.0], [1e6]], [[1.0]])
    >>> in_like_units(operands, plain_grid(operands, (2, 1))).rows.exponents.tolist()
    [15, 0]
    """
    rows = balance(operands.rows, grid.rows, operands.epsilon, mixed=mixed)
    columns = balance(operands.columns, grid.columns, operands.epsilon, mixed=mixed)
    return grid if rows is grid.rows and columns is grid.columns else Grid(rows, columns)


def found(operands: Operands, grid: Grid, *, mixed: bool = True) -> tuple[Found, Found]:
    """What a scheme on this grid has found of the operands, and counts on when it is run."""
    lines = (operands.rows, grid.rows), (operands.columns, grid.columns)
    first, second = (Found(*each, operands.epsilon, mixed) for each in lines)
    return first, second


def spread(operands: Operands, grid: Grid) -> Floats | None:
    """How unlike in size what is mixed then still is, as a code wants to know it."""
    if are_alike(operands.rows, operands.columns):
        return None
    return spread_of(sizes_of(operands.rows, grid.rows), sizes_of(operands.columns, grid.columns))


def row_column_scheme(
    name: str,
    operands: Operands,
    grid: Grid,
    alpha: Floats,
    beta: Floats,
    *,
    workers: int | None,
    threshold: int | None,
    rng: np.random.Generator,
) -> ProductScheme:
    """A scheme whose row r is α_r ⊗ β_r over the unknowns C_np, each of load 1.

    Parameters
    ----------
    grid : Grid
        How the answer is cut: row spans of A and column spans of B, reordered if need be.
    alpha : (rows, N) array
    beta : (rows, P) array
    rng : numpy.random.Generator
        Draws the sketch for the prior when one is needed.
    """
    unknowns = grid.rows.count * grid.columns.count
    generator = row_kronecker(alpha, beta)
    worker = deal_rows(len(generator), workers, groups_of(generator))
    code = LinearCode(name, generator, np.eye(unknowns), worker, threshold=threshold)
    grid = in_like_units(operands, grid, mixed=code.mixes)
    unlike = spread(operands, grid)
    code = code if unlike is None else replace(code, spread=unlike)
    a, b = Blocks(operands.A, grid.rows, 0), Blocks(operands.B, grid.columns, 1)
    factors, counted = (Factor(alpha, a), Factor(beta, b)), found(operands, grid, mixed=code.mixes)
    return ProductScheme(code, *factors, grid, Sketch(a, b, seed_of(rng)), counted)


@named("kofn.schemes.products.from_coefficients")
def from_coefficients(
    A: Any,
    B: Any,
    alpha: ArrayLike,
    beta: ArrayLike | None = None,
    *,
    name: str = "own",
    threshold: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> ProductScheme:
    """A code of your own for products: row r multiplies Σ α_rn A_n by Σ β_rp B_p.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    alpha : (rows, N) array
        Coefficients of N row blocks of A.
    beta : (rows, P) array, optional
        Coefficients of P column blocks of B; by default B is not cut.
    name : str
        What the code is called in reports.
    threshold : int, optional
        The recovery threshold: any so many rows give all N·P block products. None when there is no such number.
    workers : int, optional
        That rows are dealt to; one row each by default.
    rng : None, int or Generator
        Draws the sketch for the error bar.

    Returns
    -------
    ProductScheme

    Examples
    --------
    >>> from kofn.schemes.products import from_coefficients
    >>> scheme = from_coefficients(np.eye(4), np.eye(4), [[1, 0], [0, 1], [1, 1]], name="parity", threshold=2)
    >>> scheme
    ProductScheme('parity', 3 rows, 2 unknowns, 3 workers, 4 × 4 float64)
    """
    operands = Operands.of(A, B)
    first = _coefficients("alpha", alpha)
    second = np.ones((len(first), 1)) if beta is None else _coefficients("beta", beta)
    if len(first) != len(second):
        must, given = f"have a row for each of the {len(first)} rows of 'alpha'", f"shape {second.shape}"
        raise refusal(CALL, "beta", must, given, "give both the coefficients of all rows")
    lines = ("alpha", first, operands.shape[0], "rows of A"), ("beta", second, operands.shape[2], "columns of B")
    for argument, matrix, length, cut in lines:
        if matrix.shape[1] > max(1, length):
            must = f"cut the {length} {cut} into at most {max(1, length)} blocks, one a column"
            raise refusal(CALL, argument, must, matrix.shape[1], "use fewer blocks")
    grid = plain_grid(operands, (first.shape[1], second.shape[1]))
    return row_column_scheme(
        name, operands, grid, first, second, workers=workers, threshold=threshold, rng=generator(rng)
    )


def _coefficients(name: str, value: ArrayLike) -> Floats:
    try:
        given, masked = as_array(value)
        matrix = np.array([] if masked or given.dtype.kind == "c" else given, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        must = "be a matrix of finite real numbers, (rows, blocks)"
        raise refusal(CALL, name, must, repr(value)[:60], "write a row of coefficients for each task")
    return matrix
