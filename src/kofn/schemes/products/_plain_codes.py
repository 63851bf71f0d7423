"""What others are compared with, without data: uncoded, repetition, MDS and energy-shaped Kronecker codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...checks import integer
from ...codes._bases import row_kronecker
from ...codes._linear import LinearCode
from ._kronecker import shape_of
from ._operands import generator

CALL = "kofn.schemes.products._plain_codes"


def repetition_code(unknowns: int, copies: int = 1) -> LinearCode:
    """d-block repetition: every product at ``copies`` workers; one copy is uncoded.

    Examples
    --------
    >>> repetition_code(2, copies=2).generator.tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    integer(CALL, "copies", copies, 1, "1 is uncoded")
    rows = unknowns * copies
    name = "uncoded" if copies == 1 else "repetition"
    identity = np.eye(unknowns)
    return LinearCode(name, np.tile(identity, (copies, 1)), identity, np.arange(rows), threshold=rows - copies + 1)


def mds_code(unknowns: int, rows: int, rng: Any = None) -> LinearCode:
    """Gaussian rows over all products: any ``unknowns`` of them recover everything, almost surely.

    Over products of two cut factors it is ideal: no worker returns such a row at load 1. With one factor cut,
    as in `kofn.schemes.mds`, it is real.

    Examples
    --------
    >>> mds_code(3, 5, rng=0).threshold
    3
    """
    rng = generator(rng)
    identity = np.eye(unknowns)
    return LinearCode("mds", rng.standard_normal((rows, unknowns)), identity, np.arange(rows), threshold=unknowns)


def kronecker_code(first: Floats, second: Floats, rows: int, rng: Any = None) -> LinearCode:
    """The code of `kofn.schemes.kronecker` for blocks of these norms: rows α ⊗ β, load 1, any N·P suffice.

    Parameters
    ----------
    first, second : (N,) and (P,) arrays
        Norms of the blocks of A and of B; coefficients are in proportion.

    Examples
    --------
    >>> code = kronecker_code(np.array([3.0, 1.0]), np.array([1.0, 1.0]), rows=5, rng=0)
    >>> code.unknowns, code.threshold
    (4, 4)
    """
    rng = generator(rng)
    alpha = rng.standard_normal((rows, len(first))) * shape_of(first)
    beta = rng.standard_normal((rows, len(second))) * shape_of(second)
    unknowns = len(first) * len(second)
    rows_of = np.arange(rows)
    return LinearCode("kronecker", row_kronecker(alpha, beta), np.eye(unknowns), rows_of, threshold=unknowns)
