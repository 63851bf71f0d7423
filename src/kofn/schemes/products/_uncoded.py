"""Uncoded: every block product once, all of them needed. What everybody does without a code."""

from __future__ import annotations

from .._request import builder
from .._scheme import Scheme
from ._classes import Classes
from ._plain import must_stay_plain, plain_scheme
from ._request import ProductRequest
from ._row_column import choose_blocks, plain_grid
from .families import Copies


@builder(ProductRequest)
def uncoded(asked: ProductRequest) -> Scheme:
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
    if must_stay_plain(asked.A, asked.B):
        return plain_scheme("uncoded", asked.A, asked.B, asked.blocks, asked.rows, asked.workers, copies=1)
    n, p = choose_blocks(asked.operands, asked.blocks, 1 if asked.blocks else asked.count)
    factors = Copies(Classes.of_grid(n, p), "factor").factors(n * p, asked.random)
    return asked.scheme("uncoded", plain_grid(asked.operands, (n, p)), *factors, threshold=n * p)
