"""Uncoded: every block product once, all of them needed. What everybody does without a code."""

from __future__ import annotations

from typing import Any

from ...checks import named
from .._scheme import Scheme
from ._classes import Classes
from ._operands import Operands, generator
from ._plain import must_stay_plain, plain_scheme
from ._row_column import choose_blocks, plain_grid, row_column_scheme, row_count
from .families import Copies


@named("kofn.schemes.uncoded")
def uncoded(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Every block product once: G is the identity.

    Load 1; threshold N·P of N·P; amplification 1. The master copies both matrices once and pastes the results.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
        Integers, booleans and sparse matrices too.
    blocks : (N, P), optional
        Row blocks of A and column blocks of B; one block product per worker by default. With more block
        products than workers, workers do several.
    rows : int, optional
        Number of block products when ``blocks`` is not given.
    workers : int, optional
        Workers that the rows are dealt to; one row each by default.
    rng : None, int or Generator
        Draws the sketch for the error bar.

    Returns
    -------
    Scheme

    Examples
    --------
    >>> import numpy as np
    >>> uncoded(np.eye(4), np.eye(4), blocks=(2, 2)).code.generator.shape
    (4, 4)
    """
    if must_stay_plain(A, B):
        return plain_scheme("uncoded", A, B, blocks, rows, workers, copies=1)
    operands = Operands.of(A, B)
    grid = plain_grid(operands, choose_blocks(operands, blocks, 1 if blocks else row_count(rows, workers)))
    n, p = grid.rows.count, grid.columns.count
    random = generator(rng)
    factors = Copies(Classes.of_grid(n, p), "factor").factors(n * p, random)
    return row_column_scheme("uncoded", operands, grid, *factors, workers=workers, threshold=n * p, rng=random)
