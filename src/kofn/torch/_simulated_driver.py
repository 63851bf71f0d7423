"""Simulated stragglers: block products are computed once, in one plain product, and mixed as decoding would.

What arrives in time depends on the code and the latency alone, so codes, arrivals and decoding matrices of the
next steps are made at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import torch
from torch import Tensor

from .._base._numbers import Floats
from ..checks import refusal
from ..codes._linear import LinearCode, groups_of
from ..errors import NotDecodable
from ..schemes._deal import deal_rows
from ..simulation._latency import Latency
from ..simulation._turns import arrivals_from
from ._code_cache import CodeBatch, CodeCache
from ._deadline import DeadlineController, check_times
from ._mixture import RunningShare
from ._options import CALL, CodingOptions
from ._partition import ColumnRow, RowColumn


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
class SimulatedDriver:
    """Stragglers drawn from a latency model.

    Parameters
    ----------
    latency : Latency
        Seconds of one block product.
    workers : int
    deadline : float, AdaptiveDeadline or None
    late : float or None
        Seconds until which results that miss the deadline still arrive for the next step.
    """

    latency: Any
    workers: int
    deadline: Any = None
    late: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.latency, Latency) or isinstance(self.latency, type):
            remedy = "use kofn.Exponential(1.0), for example"
            raise refusal(CALL, "latency", "be a latency model", repr(self.latency), remedy)
        check_times(self.deadline, self.late)

    def product_driver(
        self, coding: CodingOptions, cache: CodeCache, rng: np.random.Generator
    ) -> SimulatedProductDriver:
        """The driver of one product of one layer."""
        return SimulatedProductDriver(self, coding, cache, rng)


class SimulatedProductDriver:
    """Simulates one product of one layer, step after step."""

    def __init__(
        self, driver: SimulatedDriver, coding: CodingOptions, cache: CodeCache, rng: np.random.Generator
    ) -> None:
        self._driver, self._coding, self._cache, self._rng = driver, coding, cache, rng
        self._deadline = DeadlineController(driver.deadline)
        self._shares = RunningShare(), RunningShare()
        self._drawn = 0
        self._steps: Iterator[tuple[Tensor, Tensor | None, float, float, float]] = iter(())

    def estimate(self, product: RowColumn | ColumnRow, wants_late: bool) -> Estimate:
        """Estimate a product from what arrives by the deadline of its step."""
        step = next(self._steps, None)
        if step is None:
            self._steps = self._plan_steps(product)
            step = next(self._steps)
        mix, late, share, error, seconds = step
        correction = partial(_as_it_is, product.mix(late)) if late is not None and wants_late else None
        return Estimate(product.mix(mix), correction, share, error, seconds)

    def _plan_steps(
        self, product: RowColumn | ColumnRow
    ) -> Iterator[tuple[Tensor, Tensor | None, float, float, float]]:
        """Decode the next codes of the cache with arrivals drawn for each."""
        code = self._cache.draw_batch(until_decodable=math.isinf(self._deadline.seconds))
        times = self._arrivals(code)
        seconds = self._deadline.seconds
        now = code.setup.answer(code.rows.generator, times <= seconds if seconds < math.inf else np.isfinite(times))
        if math.isinf(seconds) and np.any(now.error):
            raise NotDecodable(
                f"{CALL}: a product without a deadline waits until it is exact, but the workers that 'latency' lets "
                "answer at all do not suffice; give a deadline, or more rows."
            )
        mix = self._rescale(now.mix, now.share, 0)
        late = None
        if self._driver.late is not None:
            then = code.setup.answer(code.rows.generator, times <= max(self._driver.late, seconds))
            late = self._rescale(then.mix, then.share, 1) - mix
        self._deadline.adapt(float(np.sqrt(np.mean(now.error**2))))
        like = product.first
        mixes = self._tensor(mix, like)
        lates = [None] * len(mixes) if late is None else self._tensor(late, like)
        return iter(
            [(mixes[i], lates[i], float(now.share[i]), float(now.error[i]), seconds) for i in range(len(mixes))]
        )

    def _rescale(self, mix: Any, share: Any, which: int) -> Any:
        if not self._coding.rescale:
            return mix
        self._shares[which].add(share)
        return mix / self._shares[which].mean

    def _arrivals(self, code: CodeBatch) -> Any:
        """Draw when each row of each code arrives, (codes, rows)."""
        load = code.rows.load
        if self._coding.scale_load:
            load = load * code.row_count / code.products
        worker = deal_rows(code.row_count, self._driver.workers, groups_of(code.rows.generator[0]))
        alike = bool(np.all(load == load[0]))
        works = [work_of(one, worker) for one in (load[:1] if alike else load)]
        trials = len(load) if alike else 1
        times = []
        for work in works:
            times.append(arrivals_from(self._driver.latency, self._drawn, work, worker, trials, self._rng))
            self._drawn += trials
        return np.concatenate(times)

    def _tensor(self, mix: Any, like: Tensor) -> Tensor:
        combinations = mix[:, 0] if self._coding.partition == "cxr" else mix
        return torch.from_numpy(np.ascontiguousarray(combinations)).to(like.device, like.dtype)


def _as_it_is(change: Tensor) -> Tensor:
    """What late results change was computed when the step was simulated; unlike a closure this can be pickled."""
    return change


def work_of(load: Floats, worker: NDArray[np.intp]) -> Floats:
    """Work that each row's worker has done when the row is finished, (rows,)."""
    return LinearCode("loads", np.zeros((len(load), 1)), np.zeros((1, 1)), worker, load).work
