"""What estimates the products of one layer step after step: the base of simulated stragglers and of real workers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from torch import Tensor

from ..checks import number, refusal
from ._code_cache import CodeCache
from ._deadline import DeadlineController
from ._mixture import RunningShare
from ._options import CALL
from ._partition import Product


class Estimate(NamedTuple):
    """An estimated product, and what will be added to it later.

    Attributes
    ----------
    value : tensor
    correction : callable or None
        ``correction()`` is what results that arrive after the deadline add in the next step.
    share, error : float
        Captured share before rescaling, and expected relative error.
    seconds : float
        The deadline that it was made for.
    """

    value: Tensor
    correction: Callable[[], Tensor] | None
    share: float
    error: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Driver(ABC):
    """Simulated stragglers or real workers, for all products of a model.

    Parameters
    ----------
    deadline : float, AdaptiveDeadline or None
        None where all products are waited for until they are exact.
    late : float or None
        Seconds until which results that miss the deadline still arrive for the next step.
    """

    deadline: Any
    late: float | None

    def __post_init__(self) -> None:
        seconds = DeadlineController(self.deadline).seconds
        if self.late is not None and number(CALL, "late", self.late, "leave it out") <= seconds:
            raise refusal(CALL, "late", f"be longer than the deadline ({seconds:g} s)", self.late, "leave it out")

    @abstractmethod
    def product_driver(self, cache: CodeCache, rng: np.random.Generator) -> ProductDriver:
        """What drives one product cut in one way; ``rng`` draws its delays."""


class ProductDriver(ABC):
    """Drives one product of one layer, cut in one way.

    Parameters
    ----------
    driver : Driver
    cache : CodeCache
    before : int
        How many exact products the mean of captured shares starts with.
    """

    def __init__(self, driver: Driver, cache: CodeCache, before: int = 0) -> None:
        self._late, self._cache, self._coding = driver.late, cache, cache.coding
        self._deadline = DeadlineController(driver.deadline)
        self._shares = RunningShare(before), RunningShare(before)

    @abstractmethod
    def estimate(self, product: Product, wants_late: bool) -> Estimate:
        """Estimate a product from what arrives by the deadline."""

    @property
    def _exact(self) -> bool:
        """Whether products are waited for until they are exact."""
        return math.isinf(self._deadline.seconds)

    def _rescale(self, value: Any, share: Any, which: int) -> Any:
        """Divide by the mean share that estimates in time (0) or late (1) capture, if that is asked for."""
        if not self._coding.rescale:
            return value
        self._shares[which].add(np.atleast_1d(share))
        return value / self._shares[which].mean
