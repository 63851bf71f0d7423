"""Codes with unequal error protection, without data: for studies and figures (Tegin et al. 2022, Sec. IV-B)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._base._numbers import Floats
from ...checks import choice, integer
from ...codes._bases import row_kronecker
from ...codes._linear import LinearCode, groups_of
from ._classes import GAMMA, Classes
from ._importance import CALL
from ._operands import generator
from ._row_column import dealt

REALISATIONS = ("ideal", "factor", "window")

Masks = NDArray[np.bool_]


def uep_code(
    kind: str,
    classes: Classes | Sequence[int],
    gamma: ArrayLike = GAMMA,
    rows: int = 30,
    rng: Any = None,
    *,
    realisation: str = "ideal",
    summed: bool = False,
    workers: int | None = None,
) -> LinearCode:
    """Rows of random windows with Gaussian coefficients, fresh for every row.

    A code so drawn may be undecodable as a whole, so it has no threshold.

    Parameters
    ----------
    kind : {"now", "ew"}
        Non-overlapping or expanding windows.
    classes : Classes or sequence of int
        The table of classes, or the class sizes of as many products A_m B_m.
    gamma : (L,) floats
        Window selection probabilities.
    rows : int
    rng : None, int or numpy.random.Generator
    realisation : {"ideal", "factor", "window"}
        What a row is; the first is what the paper's curves assume and no worker can return at its load.

        ideal
            A combination of the window's products with free coefficients, said to cost one product. The
            unknowns are the wanted products.
        factor
            Eq. (11): (Σ α_n A_n)(Σ β_p B_p) over the blocks that the window touches, load 1. It also holds
            every product of such blocks that is not of the window: foreign blocks and cross terms. The
            unknowns are all N·P products.
        window
            The ideal row, computed: [A_1 … A_k] times the stacked combinations of the B that each A_n meets.
            Its load is the number of blocks of A in the window, for column × row the window's size.
    summed : bool
        False: the targets are the wanted products, one by one. True: their sum, which is what column × row is
        for. The two differ under the estimator "exact", which zero-fills targets.
    workers : int, optional
        One per row by default.

    Returns
    -------
    LinearCode

    Examples
    --------
    >>> code = uep_code("now", (2, 1), (0.5, 0.5), rows=4, rng=0)
    >>> (code.generator != 0).astype(int).tolist()
    [[0, 0, 1], [1, 1, 0], [1, 1, 0], [1, 1, 0]]
    >>> uep_code("ew", (2, 1), (0.5, 0.5), rows=4, rng=0, realisation="window").load.tolist()
    [3.0, 2.0, 2.0, 2.0]
    """
    choice(CALL, "realisation", realisation, REALISATIONS, "'factor' is the paper's eq. (11)")
    integer(CALL, "rows", rows, 1, "ask for at least one")
    table = classes if isinstance(classes, Classes) else Classes.by_size(-np.arange(float(sum(classes))), classes)
    random = generator(rng)
    masks = table.draw(kind, gamma, rows, random)
    name = f"{kind}-uep" if realisation == "factor" else f"{kind}-uep-{realisation}"
    if realisation == "factor":
        return factor_code(name, table, *factor_rows(masks, random), summed, workers)
    return free_code(name, table, free_rows(masks, random), realisation == "window", summed, workers)


def factor_rows(masks: Masks, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Gaussian α, (rows, N), and β, (rows, P), over the blocks that each window touches, eq. (11)."""
    count, n, p = masks.shape
    return rng.standard_normal((count, n)) * masks.any(axis=2), rng.standard_normal((count, p)) * masks.any(axis=1)


def free_rows(masks: Masks, rng: np.random.Generator) -> Floats:
    """Gaussian coefficients of the products of each window, (rows, N, P)."""
    return rng.standard_normal(masks.shape) * masks


def factor_code(
    name: str, classes: Classes, alpha: Floats, beta: Floats, summed: bool, workers: int | None = None
) -> LinearCode:
    """The code of rows α ⊗ β over all N·P products."""
    targets = _targets(np.eye(classes.label.size)[classes.wanted.ravel()], summed)
    generator = row_kronecker(alpha, beta)
    return LinearCode(name, generator, targets, dealt(len(alpha), workers, groups_of(generator)))


def free_code(
    name: str, classes: Classes, coefficients: Floats, loaded: bool, summed: bool, workers: int | None = None
) -> LinearCode:
    """The code of free coefficients over the wanted products; ``loaded``: each row costs its blocks of A."""
    targets = _targets(np.eye(int(classes.wanted.sum())), summed)
    load = np.sum(coefficients.any(axis=2), axis=1) if loaded else np.ones(len(coefficients))
    rows = coefficients[:, classes.wanted]
    return LinearCode(name, rows, targets, dealt(len(rows), workers, groups_of(rows)), load.astype(np.float64))


def _targets(each: Floats, summed: bool) -> Floats:
    return each.sum(axis=0, keepdims=True) if summed else each
