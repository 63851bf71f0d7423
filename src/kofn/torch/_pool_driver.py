"""Real workers: each product is a job on a pool, ended by the deadline (the runtime of `kofn.matmul`)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import torch
from torch import Tensor

from ..arrays._blocks import Blocks, Grid, Spans
from ..checks import refusal
from ..codes._prior import Prior
from ..codes.decoding._decode import decodable, decode
from ..engines._protocol import Pool
from ..errors import NotDecodable, StaysHere
from ..jobs._job import Job
from ..jobs._lease import PoolLease
from ..jobs._options import Options
from ..jobs._plan import Plan
from ..schemes._scheme import Scheme
from ..schemes.products._cuts import Cut
from ..schemes.products._operands import Operands
from ..schemes.products._row_column import in_like_units, spread
from ..schemes.products._scheme import ProductScheme
from ..schemes.products._windows import WindowScheme
from ._code_cache import ATTEMPTS, CodeBatch, CodeCache
from ._deadline import DeadlineController, check_times
from ._mixture import Mixture, RunningShare
from ._options import CALL, CodingOptions
from ._partition import ColumnRow, RowColumn
from ._simulated_driver import Estimate


@dataclass(frozen=True, eq=False)
class PoolDriver:
    """Products computed by the workers of a pool.

    Parameters
    ----------
    workers : PoolLease
        A pool that was given is not closed. One of a number of processes is started by the first product, and ends
        with the last layer that uses it.
    deadline : float, AdaptiveDeadline or None
    late : float or None
        Seconds until which results that miss the deadline still arrive for the next step.
    """

    workers: PoolLease
    deadline: Any = None
    late: float | None = None

    def __post_init__(self) -> None:
        check_times(self.deadline, self.late)

    def __deepcopy__(self, memo: Any) -> PoolDriver:
        return self  # a copied model goes on with the same workers

    def __reduce__(self) -> Any:
        raise StaysHere(
            "a model whose products are computed by a pool cannot be pickled or saved whole, because workers cannot; "
            "save model.state_dict(), and convert the model that it is loaded into."
        )

    @property
    def pool(self) -> Pool:
        """The pool, running."""
        return self.workers.pool

    def product_driver(self, coding: CodingOptions, cache: CodeCache, rng: np.random.Generator) -> PoolProductDriver:
        """The driver of one product of one layer."""
        if coding.realisation == "ideal" and not coding.is_plain:
            must = "be 'factor' or 'window' with real workers, who cannot return ideal rows"
            raise refusal(CALL, "realisation", must, repr(coding.realisation), "leave it out")
        return PoolProductDriver(self, coding, cache)


class Products:
    """A job that goes on while the first of its results are used."""

    def __init__(self, scheme: Scheme, pool: Pool, estimator: str, seconds: float) -> None:
        self._seconds = seconds
        options = Options(estimator=estimator, deadline=None if math.isinf(seconds) else seconds)
        self._started = time.monotonic()
        self._job = Job(Plan(scheme, PoolLease(pool, CALL), options).begin((), {}), CALL)

    def received(self, seconds: float) -> dict[int, Any]:
        """Results by row, in the order of arrival, after so many seconds or when the job is done."""
        left = None if seconds >= self._seconds else max(0.0, self._started + seconds - time.monotonic())
        wait([self._job], left)
        error = self._job.exception() if self._job.done() else None
        if error is not None and (not isinstance(error, NotDecodable) or math.isinf(self._seconds)):
            raise error
        return self._job.results


class PoolProductDriver:
    """Runs one product of one layer on a pool, step after step."""

    def __init__(self, driver: PoolDriver, coding: CodingOptions, cache: CodeCache) -> None:
        self._driver, self._coding, self._cache = driver, coding, cache
        self._deadline = DeadlineController(driver.deadline)
        self._shares = RunningShare(before=1), RunningShare(before=1)
        self._steps: Iterator[tuple[CodeBatch, int]] = iter(())

    def estimate(self, product: RowColumn | ColumnRow, wants_late: bool) -> Estimate:
        """Estimate a product from what arrives by the deadline."""
        code, step, scheme = self._reachable(product)
        seconds, late = self._deadline.seconds, self._driver.late
        patience = seconds if late is None or not wants_late else max(late, seconds)
        job = Products(scheme, self._driver.pool, self._coding.estimator, patience)

        def estimated(until: float, which: int) -> tuple[Tensor, Mixture]:
            results = job.received(until)
            received = np.zeros((1, code.row_count), bool)
            received[0, list(results)] = True
            mixing = code.setup.answer(code.rows.generator[step : step + 1], received)
            value, error = self._decoded(scheme, code, results, product)
            value, mixing = product.restore(value), mixing._replace(error=np.maximum(mixing.error, error))
            if self._coding.rescale:
                self._shares[which].add(mixing.share)
                value = value / self._shares[which].mean
            return value, mixing

        value, mixing = estimated(seconds, 0)
        self._deadline.adapt(float(mixing.error[0]))
        correction = (lambda: estimated(patience, 1)[0] - value) if patience > seconds else None
        return Estimate(value, correction, float(mixing.share[0]), float(mixing.error[0]), seconds)

    def _reachable(self, product: RowColumn | ColumnRow) -> tuple[CodeBatch, int, Scheme]:
        """The code of this step and its scheme: one that these factors can be exact with, where nothing less counts."""
        for _ in range(ATTEMPTS):
            code, step = self._next()
            scheme = self._scheme(product, code, step)
            rows, asked = np.arange(code.row_count), code.setup
            if not self._exact or decodable(scheme.code, rows, asked.epsilon, asked.estimator):
                return code, step, scheme
        raise NotDecodable(
            f"code {self._coding.code!r} is not exact for factors of so unlike sizes even if every row arrives; "
            "give more rows, fewer blocks, or a deadline."
        )

    @property
    def _exact(self) -> bool:
        """Whether products are waited for until they are exact."""
        return math.isinf(self._deadline.seconds)

    def _decoded(
        self, scheme: Scheme, code: CodeBatch, results: dict[int, Any], product: RowColumn | ColumnRow
    ) -> tuple[Tensor, float]:
        """The estimate from some results, and the least error of what is not exact; zero where there are none."""
        if not results:
            return product.first.new_zeros(product.shape), 1.0
        setup = code.setup
        found = decode(scheme.code, list(results), setup.prior, setup.estimator, setup.epsilon)
        value = scheme.assemble(found.matrix, list(results.values()))
        return torch.from_numpy(np.ascontiguousarray(value)).to(
            product.first.device
        ), 0.0 if found.exact else setup.epsilon

    def _next(self) -> tuple[CodeBatch, int]:
        """The code of the next step."""
        step = next(self._steps, None)
        if step is None:
            code = self._cache.draw_batch(until_decodable=math.isinf(self._deadline.seconds))
            self._steps = iter([(code, number) for number in range(len(code.rows.load))])
            step = next(self._steps)
        return step

    def _scheme(self, product: RowColumn | ColumnRow, code: CodeBatch, step: int) -> Scheme:
        """The scheme of one step, of factors that are sorted and padded already."""
        coding, (n, p) = self._coding, self._cache.cut
        rows = code.rows
        linear = code.family.code_of(rows, step, self._driver.workers.n)
        operands = Operands.of(_numpy(product.first), _numpy(product.second))
        cut = _cut(coding.partition, operands, (n, p), code.setup.prior, self._exact)
        if cut.spread is not None:
            linear = replace(linear, spread=cut.spread)
        separate = coding.partition == "cxr" and len(code.setup.targets) > 1
        if rows.factors is not None:
            alpha, beta = (factor[step] for factor in rows.factors)
            return ProductScheme(linear, *cut.factors(alpha, beta), cut.grid, cut.expected, separate=separate)
        table = code.family.table(rows.generator[step])
        return replace(WindowScheme.of(linear, cut, table, cut.expected), separate=separate)


def _cut(partition: str, operands: Operands, blocks: tuple[int, int], prior: Prior, exact: bool) -> Cut:
    """Factors that are sorted and padded, cut into equal blocks; raised where no estimate is needed.

    What is expected of blocks, and which share of the product they are, is known of them as they are.
    """
    a, b, (n, p) = operands.A, operands.B, blocks
    ones = np.ones(n), np.ones(p)
    by_blocks = partition == "rxc"
    grid = Grid(Spans(len(a), n if by_blocks else 1), Spans(b.shape[1], p if by_blocks else 1))
    grid = in_like_units(operands, grid) if exact else grid
    rows, columns = grid.rows, grid.columns
    if by_blocks:
        cut = Blocks(a, rows, 0), Blocks(b, columns, 1)
        return Cut(grid, ones, cut, prior, spread(operands, grid))
    spans = Spans(len(b), n)
    cut = Blocks(a, spans, 1, across=rows.exponents), Blocks(b, spans, 0, across=columns.exponents)
    return Cut(grid, ones, cut, prior)


def _numpy(tensor: Tensor) -> Any:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
