"""A coder: one of the two backward products of one layer, coded step after step (Tegin et al. 2022, Sec. VII-C)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import torch
from torch import Tensor

from ..checks import refusal
from ._code_cache import CodeCache
from ._covariance import RunningCovariance
from ._driver import Driver, Estimate, ProductDriver
from ._options import CALL, CodingOptions
from ._partition import ColumnRow, Product, RowColumn, line_weights
from ._principal import principal_directions
from ._sparsify import Schedule, sparsify

LOOKS = 8
"""A product is sketched in every eighth step, after so many first ones in a row."""


@dataclass
class Tally:
    """What one product has seen so far, for reports.

    Attributes
    ----------
    steps, estimated, empty : int
        Products asked for, those without a factor of zeros, and those with one or without any result in time.
    share, error, seconds : float
        Sums of captured shares before rescaling, expected relative errors and deadlines of those estimated.
    """

    steps: int = 0
    estimated: int = 0
    empty: int = 0
    share: float = 0.0
    error: float = 0.0
    seconds: float = 0.0


@dataclass(eq=False)
class Coder:
    """Estimates A B for one product of one layer.

    Parameters
    ----------
    name : str
        The layer's, for messages.
    coding : CodingOptions
    driver : Driver
    seed : numpy.random.SeedSequence
    layer : int
        Number of the layer, for ``threshold``.
    threshold : callable, optional
        ``threshold(layer, step)`` gives τ of eq. (28) for gradients, and for weights and inputs.
    feedback : bool
        Whether late results of a step are added in the next one.
    """

    name: str
    coding: CodingOptions
    driver: Driver
    seed: np.random.SeedSequence
    layer: int = 0
    threshold: Schedule | None = None
    feedback: bool = False
    tally: Tally = field(default_factory=Tally, init=False)
    _correction: Callable[[], Tensor] | None = field(default=None, init=False)
    _known: dict[Any, tuple[RunningCovariance, ProductDriver]] = field(default_factory=dict, init=False)

    @property
    def exact(self) -> bool:
        """Whether every product is the exact one, so that it has the derivatives of a product."""
        return self.driver.deadline is None and self.threshold is None

    def __call__(self, gradient: Tensor, other: Tensor) -> Tensor:
        """Estimate ``gradient @ other``, (rows, columns), both of one real type and device."""
        a, b = self._sparse(gradient, other)
        weights = self._weights(a, b)
        if not 0 < float(weights[0].sum() * weights[1].sum()) < math.inf:  # also where it is only too small or large
            if self._vanishes(a, b):
                self.tally.empty += 1
                return self._with_correction(a.new_zeros(a.shape[0], b.shape[1]), None)
            # Squares have left the range of the type.
            weights = self._weights(a / a.abs().amax(), b / b.abs().amax())
        cut = self.coding.cut(a.shape[0], a.shape[1], b.shape[1])
        product = self._cut(a, b, cut, weights)
        estimate = self._driver_of(cut, product).estimate(product, self.feedback)
        self._note(estimate)
        return self._with_correction(estimate.value, estimate.correction)

    def _cut(self, a: Tensor, b: Tensor, cut: tuple[int, int], weights: tuple[Tensor, Tensor]) -> Product:
        if self.coding.partition == "cxr":
            return ColumnRow.of(a, b, cut[0], weights[0] * weights[1], self.coding.is_factored)
        if cut[0] == 1 or not self.coding.turns(a.shape[0], a.shape[1], b.shape[1]):
            return RowColumn.of(a, b, cut, weights)
        turn = principal_directions(a)
        a = turn.T @ a
        of_rows = line_weights(a / a.abs().amax(), 0, self.coding.weights)  # squares stay in the range
        return RowColumn.of(a, b, cut, (of_rows, weights[1]), turn)

    def _sparse(self, gradient: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        self.tally.steps += 1
        if self.threshold is None:
            return gradient, other
        first, second = self.threshold(self.layer, self.tally.steps)
        return sparsify(gradient, first), sparsify(other, second)

    def _weights(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of what is cut: rows of A and columns of B, or columns of A and rows of B."""
        axis = 0 if self.coding.partition == "rxc" else 1
        return line_weights(a, axis, self.coding.weights), line_weights(b, 1 - axis, self.coding.weights)

    def _vanishes(self, a: Tensor, b: Tensor) -> bool:
        """Whether a factor is all zero, as where nothing arrived upstream, or empty; refuses NaN and inf."""
        if not a.numel() or not b.numel():
            return True
        for factor, what in ((a, "the gradient"), (b, "weights or inputs")):
            if not bool(torch.isfinite(factor).all()):
                must, remedy = f"have finite numbers in step {self.tally.steps}", "lower the learning rate, for example"
                raise refusal(CALL, self.name, must, f"NaN or inf in {what}", remedy)
        return not bool(a.any() and b.any())

    def _driver_of(self, cut: tuple[int, int], product: Product) -> ProductDriver:
        """What drives products cut in this way; a smaller last batch may be cut in another."""
        dtype = product.a.dtype
        if (cut, dtype) not in self._known:
            sketches, codes, arrivals = self.seed.spawn(3)
            rule = self.coding.weights if self.coding.has_windows else None
            covariance = RunningCovariance(int(sketches.generate_state(1)[0]), rule)
            cache = CodeCache(self.coding, cut, covariance, torch.finfo(dtype).eps, np.random.default_rng(codes))
            self._known[cut, dtype] = covariance, self.driver.product_driver(cache, np.random.default_rng(arrivals))
        covariance, driver = self._known[cut, dtype]
        if self.tally.steps <= LOOKS or self.tally.steps % LOOKS == 0 or not covariance.steps:
            covariance.look(product)
        return driver

    def _note(self, estimate: Estimate) -> None:
        self.tally.estimated += 1
        self.tally.empty += estimate.share == 0
        self.tally.share += estimate.share
        self.tally.error += estimate.error
        self.tally.seconds += estimate.seconds

    def _with_correction(self, value: Tensor, correction: Callable[[], Tensor] | None) -> Tensor:
        """Add what results of the step before brought after their deadline, and keep this step's for the next."""
        before, self._correction = self._correction, correction
        return value if before is None else value + before()
