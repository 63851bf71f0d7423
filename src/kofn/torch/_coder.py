"""A coder: one of the two backward products of one layer, coded step after step (Tegin et al. 2022, Sec. VII-C)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

import torch
from torch import Tensor

from ..checks import refusal
from ._code_cache import CodeCache
from ._covariance import RunningCovariance
from ._options import CALL, CodingOptions
from ._partition import ColumnRow, RowColumn, line_weights
from ._principal import principal_directions
from ._simulated_driver import Estimate
from ._sparsify import Schedule, sparsify

LOOKS = 8
"""A product is sketched in every eighth step, after so many first ones in a row."""


class ProductDriver(Protocol):
    """What drives one product cut in one way."""

    def estimate(self, product: RowColumn | ColumnRow, wants_late: bool) -> Estimate:
        """Estimate the product."""


class Driver(Protocol):
    """Simulated stragglers or real workers."""

    @property
    def deadline(self) -> Any:
        """None where all products are waited for until they are exact."""

    def product_driver(self, coding: CodingOptions, cache: CodeCache, rng: np.random.Generator) -> ProductDriver:
        """What drives one product cut in one way."""


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


class _State(NamedTuple):
    covariance: RunningCovariance
    driver: ProductDriver


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

    def __init__(
        self,
        name: str,
        coding: CodingOptions,
        driver: Driver,
        seed: np.random.SeedSequence,
        layer: int = 0,
        threshold: Schedule | None = None,
        feedback: bool = False,
    ) -> None:
        self.name, self.coding, self.tally = name, coding, Tally()
        self._driver, self._seed, self._layer, self._threshold = driver, seed, layer, threshold
        self._feedback = feedback
        self._correction: Callable[[], Tensor] | None = None
        self._states: dict[Any, _State] = {}

    @property
    def exact(self) -> bool:
        """Whether every product is the exact one, so that it has the derivatives of a product."""
        return self._driver.deadline is None and self._threshold is None

    def __call__(self, gradient: Tensor, other: Tensor) -> Tensor:
        """Estimate ``gradient @ other``, (rows, columns), both of one real type and device."""
        a, b = self._sparse(gradient, other)
        weights = self._weights(a, b)
        if not all(0 < total < math.inf for total in torch.stack([weights[0].sum(), weights[1].sum()]).tolist()):
            if self._vanishes(a, b):
                self.tally.empty += 1
                return self._with_correction(a.new_zeros(a.shape[0], b.shape[1]), None)
            # Squares have left the range of the type.
            weights = self._weights(a / a.abs().amax(), b / b.abs().amax())
        cut = self.coding.cut(a.shape[0], a.shape[1], b.shape[1])
        product = self._cut(a, b, cut, weights)
        estimate = self._state(cut, product).driver.estimate(product, self._feedback)
        self._note(estimate)
        return self._with_correction(estimate.value, estimate.correction)

    def _cut(self, a: Tensor, b: Tensor, cut: tuple[int, int], weights: tuple[Tensor, Tensor]) -> RowColumn | ColumnRow:
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
        if self._threshold is None:
            return gradient, other
        first, second = self._threshold(self._layer, self.tally.steps)
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

    def _state(self, cut: tuple[int, int], product: RowColumn | ColumnRow) -> _State:
        """What is known of products cut in this way; a smaller last batch may be cut in another."""
        key = (cut, product.first.dtype)
        if key not in self._states:
            sketches, codes, arrivals = self._seed.spawn(3)
            covariance = RunningCovariance(
                int(sketches.generate_state(1)[0]), self.coding.weights if self.coding.has_windows else None
            )
            epsilon = torch.finfo(product.first.dtype).eps
            cache = CodeCache(self.coding, cut, covariance, epsilon, np.random.default_rng(codes))
            driver = self._driver.product_driver(self.coding, cache, np.random.default_rng(arrivals))
            self._states[key] = _State(covariance, driver)
        state = self._states[key]
        if self.tally.steps <= LOOKS or self.tally.steps % LOOKS == 0 or not state.covariance.steps:
            state.covariance.look(product)
        return state

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
