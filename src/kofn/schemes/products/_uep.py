"""NOW-UEP and EW-UEP on real matrices: random windows over classes of importance (Tegin et al. 2022, Sec. IV)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..._base._numbers import Floats
from ...checks import choice, probabilities, refusal
from ...codes.decoding._decode import decodable
from .._request import builder
from .._scheme import Scheme
from ._classes import GAMMA, Classes
from ._cuts import PARTITIONS, Cut, column_row, factor_parts, row_column
from ._importance import CALL, WEIGHTINGS, split_levels
from ._request import ProductRequest
from ._scheme import ProductScheme, Sketch
from ._windows import WindowScheme
from .families import Coefficients, Windows

REALISATIONS = ("factor", "window")

ATTEMPTS = 200
"""How often windows are drawn again while all rows together would not give the exact product."""


@dataclass(frozen=True, eq=False, kw_only=True)
class UepRequest(ProductRequest):
    """A product, the size of its code, and what protects which blocks; `now_uep` says what each is."""

    partition: str = "rxc"
    realisation: str = "factor"
    gamma: ArrayLike = GAMMA
    classes: Sequence[int] | None = None
    levels: int | None = None
    weights: str = "frobenius"
    separate: bool = False

    def __post_init__(self) -> None:
        choice(CALL, "partition", self.partition, PARTITIONS, "row × column or column × row")
        remedy = "kofn.schemes.families.Windows has 'ideal' rows for studies"
        choice(CALL, "realisation", self.realisation, REALISATIONS, remedy)
        choice(CALL, "weights", self.weights, WEIGHTINGS, "'frobenius' is the usual choice")
        if self.classes is not None and self.levels is not None:
            must, remedy = "be left out where 'levels' are given", "give one of them"
            raise refusal(CALL, "classes", must, self.classes, remedy)

    @property
    def by_blocks(self) -> bool:
        """Whether the answer is cut, row × column, and not the inner dimension."""
        return self.partition == "rxc"

    def cut(self) -> Cut:
        """Both matrices in blocks, by default as many as leave a quarter of the rows to spare."""
        if self.by_blocks:
            return row_column(self.operands, self.blocks, self.enough, self.weights, self.random)
        limit = factor_parts(self.enough) if self.realisation == "factor" else self.enough
        return column_row(self.operands, self.blocks, limit, self.weights, self.random)

    def classes_of(self, cut: Cut) -> tuple[Classes, Floats]:
        """Classes of the products, and the probability of the window of each."""
        first, second = (np.ldexp(weights, -np.frexp(weights.max())[1]) for weights in cut.weights)
        importance = np.outer(first, second) if self.by_blocks else first * second  # which ldexp keeps finite
        gamma = probabilities(CALL, "gamma", self.gamma)
        if self.levels is not None:
            pairs = split_levels(first, self.levels), split_levels(second, self.levels)
            return Classes.by_level(importance, *pairs), gamma
        if self.classes is not None:
            return Classes.by_size(importance, self.classes), gamma
        classes = Classes.by_size(importance, len(gamma))
        if classes.count < len(gamma) and gamma[: classes.count].sum() > 0:
            gamma = gamma[: classes.count] / gamma[: classes.count].sum()
        return classes, gamma


@builder(UepRequest)
def now_uep(asked: UepRequest) -> Scheme:
    """Every row combines the products of one class, drawn with probability Γ: non-overlapping windows.

    Load 1 (``realisation="window"``: the blocks of A in the window). No threshold, because windows are
    random; they are drawn until all rows together give the exact product, up to 200 times, and a job that
    then cannot become exact needs a tolerance or a deadline. Amplification as for `mds` within a class. The
    master sorts, encodes at 2·n·(size of A + size of B) flops (windows are only copied) and decodes at
    2·n·(targets)·(size of a result) flops at most.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P) or (M, M), optional
        Row blocks of A × column blocks of B, or for "cxr" blocks of the inner dimension. By default as many
        as leave a quarter of the rows to spare.
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws windows, coefficients, and the sketch for the error bar.
    partition : {"rxc", "cxr"}
        Row × column, eq. (3), or column × row, eq. (4).
    realisation : {"factor", "window"}
        One product of encoded factors, eq. (11), which lets foreign products in; or the window's products
        alone, at a load of several. See `kofn.schemes.families.Windows`.
    gamma : (L,) floats
        Window selection probabilities, the most important class first. Where there are fewer products than
        classes, the first ones are used, scaled to sum to 1.
    classes : (L,) ints, optional
        Class sizes k_l; as equal as possible by default.
    levels : int, optional
        S: the classes are the pairs of S levels of blocks instead, L = S(S + 1)/2 of them (Sec. IV-A).
    weights : {"frobenius", "mean-absolute"}
        What rows, columns and blocks are sorted by.
    separate : bool
        For "cxr" only: recover the parts A_m B_m one by one and add them, which is what the paper does with
        ``estimator="exact"``, at M times the memory; the error bar is then that of the parts. Otherwise the
        target is their sum.

    Returns
    -------
    Scheme

    Examples
    --------
    >>> now_uep(np.eye(9), np.eye(9), blocks=(3, 3), rows=16, rng=0).code.decodable
    True
    >>> options = dict(partition="cxr", realisation="window")
    >>> now_uep(np.eye(9), np.eye(9), blocks=(6, 6), rows=16, **options).code.load[:3]
    array([2., 2., 2.])
    """
    return _build("now", asked)


@builder(UepRequest)
def ew_uep(asked: UepRequest) -> Scheme:
    """Every row combines the products of the most important classes, up to one drawn with probability Γ.

    Expanding windows: class 1 is in every row. Load, threshold, costs and parameters as for `now_uep`.

    Parameters
    ----------
    A, B, blocks, rows, workers, rng
        As for `now_uep`.
    partition, realisation, gamma, classes, levels, weights, separate
        As for `now_uep`.

    Returns
    -------
    Scheme

    Examples
    --------
    >>> code = ew_uep(np.eye(9), np.eye(9), blocks=(3, 3), rows=16, rng=0).code
    >>> code.name, code.threshold
    ('ew-uep', None)
    """
    return _build("ew", asked)


def _build(kind: str, asked: UepRequest) -> Scheme:
    """Draw windows until all rows together decode, if they can."""
    separate, cut, rows = not asked.by_blocks and asked.separate, asked.cut(), asked.count
    classes, gamma = asked.classes_of(cut)
    family = Windows(classes, asked.realisation, not asked.by_blocks and not separate, kind=kind, gamma=gamma)
    for _ in range(ATTEMPTS if rows >= classes.wanted.sum() else 1):
        scheme = _scheme(family, family.draw(1, rows, asked.random), cut, asked.workers)
        if decodable(scheme.code, np.arange(rows), asked.operands.epsilon):
            break
    return replace(scheme, separate=separate)


def _scheme(family: Windows, coefficients: Coefficients, cut: Cut, workers: int | None) -> ProductScheme | WindowScheme:
    code, wanted = family.code_of(coefficients, workers=workers), family.classes.wanted.ravel()
    if cut.spread is not None:
        code = replace(code, spread=cut.spread[wanted] if family.is_factored else cut.spread[np.ix_(wanted, wanted)])
    if coefficients.factors is not None:
        alpha, beta = (factor[0] for factor in coefficients.factors)
        return ProductScheme(code, *cut.factors(alpha, beta), cut.grid, cut.expected, cut.found)
    assert isinstance(cut.expected, Sketch)
    chosen = replace(cut.expected, after=np.eye(wanted.size)[wanted])
    return WindowScheme.of(code, cut, family.table(coefficients.generator[0]), chosen)
