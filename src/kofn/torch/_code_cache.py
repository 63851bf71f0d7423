"""A stock of codes for the next steps of one product, drawn for what is expected of it now."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Floats
from ..codes._certify import certify
from ..codes._prior import Prior
from ..codes.decoding._assess import exactly
from ..errors import NotDecodable
from ._covariance import Expectation
from ._draws import Rows, draw, targets_of
from ._mixture import Question
from ._options import Coding

BATCH = 32
"""Codes drawn at a time: the prior that they are shaped by is at most so many steps old."""

ATTEMPTS = 200
"""How often codes that could not become exact are drawn again where only exact products count."""


class Code(NamedTuple):
    """Codes of the next steps, and how their results are decoded.

    Attributes
    ----------
    rows : Rows
    question : Question
    products : int
        Block products that make the whole product.
    """

    rows: Rows
    question: Question
    products: int

    @property
    def row_count(self) -> int:
        """Rows of each code."""
        return int(self.rows.generator.shape[1])


class Stock:
    """Draws codes for one product of one layer, cut in one way.

    Parameters
    ----------
    coding : Coding
    cut : (N, P)
    expectation : Expectation
    epsilon : float
        Relative precision of results.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        coding: Coding,
        cut: tuple[int, int],
        expectation: Expectation,
        epsilon: float,
        rng: np.random.Generator,
    ) -> None:
        self.coding, self.cut, self.epsilon = coding, cut, epsilon
        self._expectation, self._rng = expectation, rng

    def restocked(self, *, until_decodable: bool = False) -> Code:
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
        prior, coding = self._expectation.prior(), self.coding
        targets = targets_of(coding, self.cut)
        question = Question(targets, prior, coding.estimator, coding.partition == "cxr", self.epsilon)
        rows = self._drawn(prior)
        bad = self._undecodable(rows, targets) if until_decodable else np.zeros(BATCH, bool)
        for _ in range(ATTEMPTS):
            if not bad.any():
                return Code(rows, question, coding.products(self.cut))
            rows = _replaced(rows, self._drawn(prior), bad)
            bad &= self._undecodable(rows, targets)
        raise NotDecodable(
            f"code {coding.code!r} with {rows.generator.shape[1]} rows for blocks {self.cut} is not exact even if "
            "every row arrives; give more rows, fewer blocks, or a deadline."
        )

    def _drawn(self, prior: Prior) -> Rows:
        importance = self._expectation.importance
        return draw(self.coding, self.cut, prior, importance, BATCH, self._rng, self.epsilon)

    def _undecodable(self, rows: Rows, targets: Floats) -> NDArray[np.bool_]:
        found = certify(rows.generator, targets)
        exact = exactly(found.backward_error, found.amplification, rows.generator, self.epsilon)
        return np.asarray(~np.all(exact, axis=-1))


def _replaced(rows: Rows, again: Rows, where: NDArray[np.bool_]) -> Rows:
    """Some of the codes drawn again."""

    def chosen(old: Floats, new: Floats) -> Floats:
        return np.where(where.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    factors = None
    if rows.factors is not None and again.factors is not None:
        factors = chosen(rows.factors[0], again.factors[0]), chosen(rows.factors[1], again.factors[1])
    return Rows(chosen(rows.generator, again.generator), chosen(rows.load, again.load), factors)
