"""Simulated stragglers: block products are computed once, in one plain product, and mixed as decoding would.

What arrives in time depends on the code and the latency alone, so codes, arrivals and decoding matrices of the
next steps are made at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np

import torch
from torch import Tensor

from ..errors import NotDecodable
from ..simulation._latency import check_latency
from ..simulation._turns import arrivals_from
from ._code_cache import CodeCache
from ._driver import Driver, Estimate, ProductDriver
from ._mixture import CodeBatch
from ._options import CALL
from ._partition import Product


@dataclass(frozen=True, eq=False)
class SimulatedDriver(Driver):
    """Stragglers drawn from a latency model.

    Parameters
    ----------
    latency : Latency
        Seconds of one block product.
    workers : int
    """

    latency: Any
    workers: int

    def __post_init__(self) -> None:
        check_latency(CALL, "latency", self.latency)
        super().__post_init__()

    def product_driver(self, cache: CodeCache, rng: np.random.Generator) -> SimulatedProductDriver:
        """The driver of one product of one layer."""
        return SimulatedProductDriver(self, cache, rng)


class SimulatedProductDriver(ProductDriver):
    """Simulates one product of one layer, step after step."""

    def __init__(self, driver: SimulatedDriver, cache: CodeCache, rng: np.random.Generator) -> None:
        super().__init__(driver, cache)
        self._driver, self._rng, self._drawn = driver, rng, 0
        self._steps: Iterator[tuple[Tensor, Tensor | None, float, float, float]] = iter(())

    def estimate(self, product: Product, wants_late: bool) -> Estimate:
        """Estimate a product from what arrives by the deadline of its step."""
        step = next(self._steps, None)
        if step is None:
            self._steps = self._plan_steps(product.a)
            step = next(self._steps)
        mix, late, share, error, seconds = step
        value, *after = product.mixtures([mix] if late is None or not wants_late else [mix, late])
        correction = partial(_as_it_is, after[0]) if after else None
        return Estimate(value, correction, share, error, seconds)

    def _plan_steps(self, like: Tensor) -> Iterator[tuple[Tensor, Tensor | None, float, float, float]]:
        """Decode the next codes of the cache with arrivals drawn for each."""
        code, seconds = self._cache.draw_batch(until_decodable=self._exact), self._deadline.seconds
        times = self._arrivals(code)
        now = code.answer(np.isfinite(times) & (times <= seconds))
        if self._exact and np.any(now.error):
            raise NotDecodable(
                f"{CALL}: a product without a deadline waits until it is exact, but the workers that 'latency' lets "
                "answer at all do not suffice; give a deadline, or more rows."
            )
        mix = self._rescale(now.mix, now.share, 0)
        lates: Iterable[Tensor | None] = repeat(None)
        if self._late is not None:
            then = code.answer(times <= max(self._late, seconds))
            lates = self._tensor(self._rescale(then.mix, then.share, 1) - mix, like)
        self._deadline.adapt(float(np.sqrt(np.mean(now.error**2))))
        # Unlike a generator, an iterator of a list can be pickled with the model.
        return iter(list(zip(self._tensor(mix, like), lates, now.share.tolist(), now.error.tolist(), repeat(seconds))))

    def _arrivals(self, code: CodeBatch) -> Any:
        """Draw when each row of each code arrives, (codes, rows)."""
        load, latency = code.rows.load, self._driver.latency
        longer = code.row_count / code.products if self._coding.scale_load else 1.0
        different = len(load) if np.any(load != load[0]) else 1
        trials = len(load) // different
        times = []
        for which in range(different):
            rows = code.family.code_of(code.rows, which, self._driver.workers)
            times.append(arrivals_from(latency, self._drawn, longer * rows.work, rows.worker, trials, self._rng))
            self._drawn += trials
        return np.concatenate(times)

    def _tensor(self, mix: Any, like: Tensor) -> Tensor:
        """Combinations as products take them: one row for column × row, multiples alone for zero filling."""
        if self._coding.partition == "cxr":
            combinations = mix[:, 0]
        elif self._coding.estimator == "exact":  # a block that is recovered is itself, any other one is zero
            combinations = np.diagonal(mix, axis1=-2, axis2=-1)
        else:
            combinations = mix
        return torch.from_numpy(np.ascontiguousarray(combinations)).to(like.device, like.dtype)


def _as_it_is(change: Tensor) -> Tensor:
    """What late results change was computed when the step was simulated; unlike a closure this can be pickled."""
    return change
