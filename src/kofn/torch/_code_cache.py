"""Codes for the next steps of one product, drawn for what is expected of it now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Floats
from ..codes._certify import certify
from ..codes._prior import Prior
from ..codes.decoding._assess import are_exact
from ..errors import NotDecodable
from ..schemes.products._classes import Classes
from ..schemes.products._shaping import FLOOR, SINGLE_FLOOR, Directions
from ..schemes.products.families import Coefficients, Copies, Family, Gaussian, Windows
from ._covariance import RunningCovariance
from ._mixture import CodeBatch
from ._options import CodingOptions

BATCH = 32
"""Codes drawn at a time: the prior that they are shaped by is at most so many steps old."""

SINGLE = 1e-10
"""A precision above which numbers are single or less."""

ATTEMPTS = 200
"""How often codes that could not become exact are drawn again where only exact products count."""


def family_of(coding: CodingOptions, cut: tuple[int, int], prior: Prior, importance: Floats, epsilon: float) -> Family:
    """What codes of a product cut in this way are drawn from, its most important blocks first.

    With ``partition="rxc"`` unknown (n, p) is A_n B_p; with "cxr" unknown m is A_m B_m, or (m, m') is A_m B_m' where
    rows are products of encoded factors. Zero filling knows no sums: the parts A_m B_m are then recovered one by one
    and added afterwards.

    Parameters
    ----------
    coding : CodingOptions
    cut : (N, P)
    prior : Prior
        Of the unknowns: what Kronecker codes are shaped by.
    importance : (N, P) or (M,) array
        Of the products by the weights of their factors: what the classes of UEP codes are made by.
    epsilon : float
        Relative precision of results.
    """
    summed = coding.partition == "cxr" and coding.estimator != "exact"
    realisation = "factor" if coding.is_factored else "window" if coding.realisation == "window" else "ideal"
    if coding.has_windows:
        sizes, gamma = coding.class_sizes(coding.products(cut))
        classes = Classes.by_size(importance, sizes)
        return Windows(classes, realisation, summed, kind=coding.code.removesuffix("-uep"), gamma=gamma)
    table = Classes.of_grid(*cut) if coding.partition == "rxc" else Classes.of_sizes(cut[0])
    if coding.is_plain:
        return Copies(table, realisation, summed)
    sides = cut if coding.is_factored else (coding.unknowns(cut), 1)
    shape = Directions.of_prior(prior, *sides).shape(1.0, SINGLE_FLOOR if epsilon > SINGLE else FLOOR)
    return Gaussian(table, realisation, summed, *shape)


@dataclass(frozen=True, eq=False)
class CodeCache:
    """Draws codes for one product of one layer, cut in one way.

    Parameters
    ----------
    coding : CodingOptions
    cut : (N, P)
    covariance : RunningCovariance
    epsilon : float
        Relative precision of results.
    rng : numpy.random.Generator
    """

    coding: CodingOptions
    cut: tuple[int, int]
    covariance: RunningCovariance
    epsilon: float
    rng: np.random.Generator

    def draw_batch(self, *, until_decodable: bool = False) -> CodeBatch:
        """Draw the codes of the next steps.

        Parameters
        ----------
        until_decodable : bool
            Draw again what could not be exact even if every row arrived.

        Raises
        ------
        NotDecodable
            When that was in vain.
        """
        prior, coding = self.covariance.prior(), self.coding
        family = family_of(coding, self.cut, prior, self.covariance.importance, self.epsilon)
        count = coding.row_count(self.cut)
        rows = family.draw(BATCH, count, self.rng)
        bad = self._undecodable(rows, family.targets) if until_decodable else np.zeros(BATCH, bool)
        for _ in range(ATTEMPTS):
            if not bad.any():
                return CodeBatch(coding, family, rows, prior, coding.products(self.cut), self.epsilon)
            rows = _replace(rows, family.draw(BATCH, count, self.rng), bad)
            bad &= self._undecodable(rows, family.targets)
        raise NotDecodable(
            f"code {coding.code!r} with {count} rows for blocks {self.cut} is not exact even if "
            "every row arrives; give more rows, fewer blocks, or a deadline."
        )

    def _undecodable(self, rows: Coefficients, targets: Floats) -> NDArray[np.bool_]:
        found = certify(rows.generator, targets)
        exact = are_exact(found.backward_error, found.amplification, rows.generator, self.epsilon)
        return np.asarray(~np.all(exact, axis=-1))


def _replace(rows: Coefficients, again: Coefficients, where: NDArray[np.bool_]) -> Coefficients:
    """Some of the codes drawn again."""

    def chosen(old: Floats, new: Floats) -> Floats:
        return np.where(where.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    factors = None
    if rows.factors is not None and again.factors is not None:
        factors = chosen(rows.factors[0], again.factors[0]), chosen(rows.factors[1], again.factors[1])
    return Coefficients(chosen(rows.generator, again.generator), chosen(rows.load, again.load), factors)
