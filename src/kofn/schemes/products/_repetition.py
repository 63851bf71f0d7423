"""Repetition: every block product at several workers, the first copy counts (Tegin et al., Sec. III; Wang et al.)."""

from __future__ import annotations

from .._request import builder
from .._scheme import Scheme
from ._classes import Classes
from ._plain import must_stay_plain, plain_scheme
from ._request import ProductRequest
from ._row_column import plain_grid
from .families import Copies


@builder(ProductRequest)
def repetition(asked: ProductRequest) -> Scheme:
    """Every block product as often as the rows allow: G repeats the identity.

    Load 1; threshold rows − (copies − 1) where the rarest product has so many copies: with fewer results all of
    its copies may be among the missing; amplification 1. The master copies both matrices once.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
        Integers, booleans and sparse matrices too.
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
    if must_stay_plain(asked.A, asked.B):
        return plain_scheme("repetition", asked.A, asked.B, asked.blocks, asked.rows, asked.workers, copies=2)
    n, p = asked.choose_blocks("repetition", max(1, asked.count // 2))
    return asked.scheme_of(Copies(Classes.of_grid(n, p), "factor"), plain_grid(asked.operands, (n, p)))
