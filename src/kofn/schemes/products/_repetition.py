"""Repetition: every block product at several workers, the first copy counts (Tegin et al., Sec. III; Wang et al.)."""

from __future__ import annotations

from typing import Any

from ...checks import named
from .._scheme import Scheme
from ._classes import Classes
from ._operands import Operands, generator
from ._row_column import choose_blocks, plain_grid, require_threshold, row_column_scheme, row_count
from .families import Copies


@named("kofn.schemes.repetition")
def repetition(
    A: Any,
    B: Any,
    *,
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    workers: int | None = None,
    rng: Any = None,
) -> Scheme:
    """Every block product as often as the rows allow: G repeats the identity.

    Load 1; threshold rows − (copies − 1) where the rarest product has so many copies: with fewer results all of
    its copies may be among the missing; amplification 1. The master copies both matrices once.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P), optional
        Half as many block products as rows by default, so that each has two copies.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the sketch for the error bar.

    Returns
    -------
    Scheme

    Examples
    --------
    >>> import numpy as np
    >>> code = repetition(np.eye(4), np.eye(4), blocks=(2, 2), rows=8).code
    >>> code.threshold, code.generator[:, 0].tolist()
    (7, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    """
    operands = Operands.of(A, B)
    count = row_count(rows, workers)
    grid = plain_grid(operands, choose_blocks(operands, blocks, max(1, count // 2)))
    n, p = grid.rows.count, grid.columns.count
    require_threshold("repetition", n * p, count)
    random, family = generator(rng), Copies(Classes.of_grid(n, p), "factor")
    return row_column_scheme(
        family.name, operands, grid, *family.factors(count, random),
        workers=workers, threshold=family.threshold(count), rng=random,
    )  # fmt: skip
