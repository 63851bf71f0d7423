"""From the rows that arrived to a mixture of block products, and what share of the whole it captures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._base._numbers import Floats
from ..codes._prior import Prior
from ..codes.decoding._dense import decode_dense
from ..schemes.products.families import Coefficients, Family
from ._options import CodingOptions


class Mixture(NamedTuple):
    """What decoding makes of the true block products, in each of many steps.

    Attributes
    ----------
    mix : (steps, targets, unknowns) array
        W = V G_received, for column × row summed over the parts: the estimate is W u.
    share : (steps,) array
        Expected share of the product that the estimate captures, E⟨Ĉ, C⟩ / E‖C‖² = tr W S Tᵀ / tr T S Tᵀ, known
        without the truth. What divides by its mean has the right size on average.
    error : (steps,) array
        Expected relative error of the estimate.
    """

    mix: Floats
    share: Floats
    error: Floats


@dataclass(frozen=True, eq=False)
class CodeBatch:
    """Codes of the next steps of one product, and how their results are decoded.

    Parameters
    ----------
    coding : CodingOptions
    family : Family
    rows : Coefficients
    prior : Prior
        Of the unknowns.
    products : int
        Block products that make the whole product.
    epsilon : float
        Relative precision of results.

    Examples
    --------
    >>> from kofn.schemes.products._classes import Classes
    >>> from kofn.schemes.products.families import Copies
    >>> both = Copies(Classes.of_sizes(2))
    >>> rows = both.draw(1, 2, np.random.default_rng(0))
    >>> batch = CodeBatch(CodingOptions(), both, rows, Prior.independent([3.0, 1.0]), 2, 1e-16)
    >>> batch.answer(np.array([[True, False]])).share
    array([0.75])
    """

    coding: CodingOptions
    family: Family
    rows: Coefficients
    prior: Prior
    products: int
    epsilon: float

    @property
    def row_count(self) -> int:
        """Rows of each code."""
        return int(self.rows.generator.shape[1])

    def answer(self, received: NDArray[np.bool_]) -> Mixture:
        """Decode the codes where only some rows arrived, (steps, rows)."""
        # A row of zeros says nothing, so that steps with different numbers of results are one stack.
        heard = np.where(received[..., None], self.rows.generator, 0.0)
        decoding = decode_dense(heard, self.family.targets, self.prior, self.coding.estimator, self.epsilon)
        mix = decoding.matrix @ heard
        share = self.share(mix)
        return Mixture(self._total(mix), share, np.broadcast_to(decoding.error, share.shape))

    def share(self, mix: Floats) -> Floats:
        """Expected share of the product that estimates W u capture, for a (…, targets, unknowns) array W."""
        whole = self.prior.weigh(self._total(self.family.targets))
        share: Floats = np.sum(self.prior.weigh(self._total(mix)) * whole, axis=(-2, -1)) / np.sum(whole**2)
        return share

    def _total(self, mix: Floats) -> Floats:
        """What makes the answer: for column × row the sum of the targets."""
        return mix.sum(axis=-2, keepdims=True) if self.coding.partition == "cxr" else mix


class RunningShare:
    """Running mean of captured shares over the last products.

    Parameters
    ----------
    before : int
        How many exact products it starts with, so that the first estimate of all is not blown up.

    Examples
    --------
    >>> shares = RunningShare(before=1)
    >>> shares.add(np.array([0.5, 0.0]))
    >>> shares.mean
    0.5
    """

    MEMORY = 256
    LEAST = 1e-3

    def __init__(self, before: int = 0) -> None:
        self._count = before
        self._mean = 1.0

    def add(self, shares: Floats) -> None:
        """Take note of the shares of some products."""
        count = min(self._count + len(shares), self.MEMORY)
        weight = min(1.0, len(shares) / count)
        self._mean += weight * (float(np.mean(shares)) - self._mean)
        self._count = count

    @property
    def mean(self) -> float:
        """The mean, at least a thousandth: nothing is blown up by more than a factor of a thousand."""
        return max(self._mean, self.LEAST)
