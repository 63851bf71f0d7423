"""The two ways to cut a product, most important blocks first (Tegin et al. 2022, eqs. (3) and (4), Sec. VII-C)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...arrays._blocks import Blocks, Grid
from ...arrays._spans import Spans
from ...checks import refusal
from ...codes._prior import Prior
from .._encoding import Factor, Found
from ._importance import WEIGHTINGS, block_weights, sorted_spans
from ._operands import CALL, Operands, blocks_of, seed_of
from ._row_column import choose_blocks, found, in_like_units, plain_grid, spread
from ._scheme import Sketch

PARTITIONS = ("rxc", "cxr")


@dataclass(frozen=True, eq=False)
class Cut:
    """A product cut into blocks A_n and B_p.

    Parameters
    ----------
    grid : Grid
        Where blocks of the answer go; one block for column × row.
    weights : pair of (N,) and (P,) arrays
        Importance of the blocks of A and of B.
    blocks : pair of Blocks
        Of A and of B.
    expected : Prior or Sketch
        Of all N·P block products, p running fastest.
    spread : (N·P, N·P) array, optional
        How unlike the products are in size, where they are.
    found : sequence of Found
        What was found of A and of B.
    """

    grid: Grid
    weights: tuple[Floats, Floats]
    blocks: tuple[Blocks, Blocks]
    expected: Prior | Sketch
    spread: Floats | None = None
    found: Sequence[Found] = ()

    def factors(self, first: Floats, second: Floats) -> tuple[Factor, Factor]:
        """Both sides encoded with these coefficients, (rows, N) and (rows, P)."""
        return Factor(first, self.blocks[0]), Factor(second, self.blocks[1])


def row_column(operands: Operands, blocks: Any, limit: int, rule: str, rng: np.random.Generator) -> Cut:
    """Row blocks of A and column blocks of B, rows and columns sorted by weight: unknowns A_n B_p.

    Parameters
    ----------
    blocks : (N, P) or None
        At most ``limit`` products by default.
    rule : str
        A name in `kofn.schemes.products.WEIGHTINGS`.

    Examples
    --------
    >>> A = np.diag([1.0, 2.0])
    >>> row_column(Operands.of(A, A), (2, 2), 4, "frobenius", np.random.default_rng(0)).weights
    (array([2., 1.]), array([2., 1.]))
    """
    n, p = choose_blocks(operands, blocks, limit)
    first, second = (WEIGHTINGS[rule].of_lines(matrix, axis) for axis, matrix in enumerate((operands.A, operands.B)))
    grid = in_like_units(operands, Grid(sorted_spans(first, n), sorted_spans(second, p)))
    weights = block_weights(first, grid.rows, rule), block_weights(second, grid.columns, rule)
    cut = Blocks(operands.A, grid.rows, 0), Blocks(operands.B, grid.columns, 1)
    return Cut(grid, weights, cut, Sketch(*cut, seed_of(rng)), spread(operands, grid), found(operands, grid))


def column_row(operands: Operands, blocks: Any, limit: int, rule: str, rng: np.random.Generator) -> Cut:
    """Column blocks of A and row blocks of B, the inner dimension sorted by the product of both weights.

    Parameters
    ----------
    blocks : (M, M) or None
        ``limit`` blocks by default.

    Examples
    --------
    >>> A = np.diag([1.0, 2.0])
    >>> column_row(Operands.of(A, A), (2, 2), 4, "frobenius", np.random.default_rng(0)).weights
    (array([2., 1.]), array([2., 1.]))
    """
    first, second = WEIGHTINGS[rule].of_lines(operands.A, 1), WEIGHTINGS[rule].of_lines(operands.B, 0)
    spans = sorted_spans(first * second, inner_parts("column × row", operands, blocks, limit))
    weights = block_weights(first, spans, rule), block_weights(second, spans, rule)
    grid, cut = cut_inner(operands, spans)
    return Cut(grid, weights, cut, Sketch(*cut, seed_of(rng)), found=found(operands, grid))


def cut_inner(operands: Operands, spans: Spans) -> tuple[Grid, tuple[Blocks, Blocks]]:
    """Column blocks of A and row blocks of B, and the grid of the answer, which is one block."""
    grid = in_like_units(operands, plain_grid(operands, (1, 1)))
    a = Blocks(operands.A, spans, 1, across=grid.rows.exponents)
    return grid, (a, Blocks(operands.B, spans, 0, across=grid.columns.exponents))


def inner_parts(name: str, operands: Operands, blocks: Any, limit: int) -> int:
    """Number of blocks of the inner dimension: as asked for, or ``limit`` of them at most."""
    inner = operands.shape[1]
    if blocks is None:
        return max(1, min(limit, inner))
    first, second = blocks_of(blocks, inner, inner, ("columns of A", "rows of B"))
    if first != second:
        must = f"be (M, M) for {name}, which cuts the inner dimension of both"
        raise refusal(CALL, "blocks", must, (first, second), f"use ({first}, {first})")
    return first


def factor_parts(limit: int) -> int:
    """Most blocks M whose M² pair products ``limit`` results can tell apart."""
    return max(1, math.isqrt(max(1, limit)))
