"""Real workers: each product is a job on a pool, ended by the deadline (the runtime of `kofn.matmul`)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

import torch
from torch import Tensor

from ..arrays._blocks import Blocks, Grid
from ..arrays._spans import Spans
from ..checks import refusal
from ..codes._prior import Prior
from ..codes.decoding._assess import Decoding
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
from ._code_cache import ATTEMPTS, CodeCache
from ._driver import Driver, Estimate, ProductDriver
from ._mixture import CodeBatch
from ._options import CALL
from ._partition import Product


@dataclass(frozen=True, eq=False)
class PoolDriver(Driver):
    """Products computed by the workers of a pool.

    Parameters
    ----------
    workers : PoolLease
        A pool that was given is not closed. One of a number of processes is started by the first product, and ends
        with the last layer that uses it.
    """

    workers: PoolLease

    def __deepcopy__(self, memo: Any) -> PoolDriver:
        return self  # a copied model goes on with the same workers

    def __reduce__(self) -> Any:
        raise StaysHere(
            "a model whose products are computed by a pool cannot be pickled or saved whole, because workers cannot; "
            "save model.state_dict(), and convert the model that it is loaded into."
        )

    def product_driver(self, cache: CodeCache, rng: np.random.Generator) -> PoolProductDriver:
        """The driver of one product of one layer."""
        coding = cache.coding
        if coding.realisation == "ideal" and not coding.is_plain:
            must = "be 'factor' or 'window' with real workers, who cannot return ideal rows"
            raise refusal(CALL, "realisation", must, repr(coding.realisation), "leave it out")
        return PoolProductDriver(self, cache)


class Received(NamedTuple):
    """What has arrived of a product.

    Attributes
    ----------
    rows : sequence of int
        In the order of arrival.
    decoding : Decoding
    value : array or None
        The product as decoded; None where there is no result.
    """

    rows: Sequence[int]
    decoding: Decoding
    value: Any


class ProductRun:
    """One run of a plan for one product, which goes on while the first of its results are used if that is wanted.

    Parameters
    ----------
    scheme : Scheme
    pool : Pool
    estimator : str
    seconds : float
        When it ends, exact or not.
    in_background : bool
        Whether results are wanted before.
    """

    def __init__(self, scheme: Scheme, pool: Pool, estimator: str, seconds: float, in_background: bool) -> None:
        options = Options(estimator=estimator, deadline=None if math.isinf(seconds) else seconds)
        plan = Plan(scheme, PoolLease(pool, CALL), options)
        self._scheme, self._estimator, self._seconds = scheme, estimator, seconds
        self._started = time.monotonic()
        self._execution = replace(plan.begin((), {}), end=lambda succeeded: plan.close())
        self._job = Job(self._execution, CALL) if in_background else None

    def received(self, seconds: float) -> Received:
        """What is there after so many seconds, or at the end; what the job has decoded is not decoded again."""
        job = self._job
        if job is not None and seconds < self._seconds:
            wait([job], max(0.0, self._started + seconds - time.monotonic()))
            if not job.done():
                return self._decode(job.results)
        try:
            answer = self._execution.finish() if job is None else job.result()
        except NotDecodable:
            if math.isinf(self._seconds):
                raise
            return self._decode(dict(self._execution.results))
        assert self._execution.loop is not None
        collector = self._execution.loop.collector
        return Received(collector.received, collector.decoding, answer.value)

    def _decode(self, results: dict[int, Any]) -> Received:
        scheme, rows = self._scheme, list(results)
        decoding = decode(scheme.code, rows, scheme.learner().prior(results), self._estimator, scheme.epsilon)
        return Received(rows, decoding, scheme.assemble(decoding.matrix, list(results.values())) if rows else None)


class PoolProductDriver(ProductDriver):
    """Runs one product of one layer on a pool, step after step."""

    def __init__(self, driver: PoolDriver, cache: CodeCache) -> None:
        super().__init__(driver, cache, before=1)
        self._driver = driver
        self._steps: Iterator[tuple[CodeBatch, int]] = iter(())

    def estimate(self, product: Product, wants_late: bool) -> Estimate:
        """Estimate a product from what arrives by the deadline."""
        batch, step, scheme = self._reachable(product)
        seconds, late = self._deadline.seconds, self._late
        patience = seconds if late is None or not wants_late else max(late, seconds)
        is_early, like = patience > seconds, product.first
        run = ProductRun(scheme, self._driver.workers.pool, self._coding.estimator, patience, is_early)

        def estimate(until: float, which: int) -> tuple[Tensor, float, float]:
            rows, decoding, found = run.received(until)
            nothing = like.new_zeros(len(like), product.second.shape[1])
            value = product.restore(nothing if found is None else _tensor(found, like))
            share = float(batch.share(decoding.matrix @ batch.rows.generator[step, list(rows)]))
            return self._rescale(value, share, which), share, float(decoding.error)

        value, share, error = estimate(seconds, 0)
        self._deadline.adapt(error)
        correction = (lambda: estimate(patience, 1)[0] - value) if is_early else None
        return Estimate(value, correction, share, error, seconds)

    def _reachable(self, product: Product) -> tuple[CodeBatch, int, Scheme]:
        """The code of this step and its scheme: one that these factors can be exact with, where nothing less counts."""
        for _ in range(ATTEMPTS):
            batch, step = self._next()
            scheme = self._scheme(product, batch, step)
            # Codes were drawn decodable, for factors of like sizes.
            alike, rows = scheme.code.spread is None, np.arange(batch.row_count)
            if not self._exact or alike or decodable(scheme.code, rows, scheme.epsilon, self._coding.estimator):
                return batch, step, scheme
        raise NotDecodable(
            f"code {self._coding.code!r} is not exact for factors of so unlike sizes even if every row arrives; "
            "give more rows, fewer blocks, or a deadline."
        )

    def _next(self) -> tuple[CodeBatch, int]:
        """The code of the next step."""
        step = next(self._steps, None)
        if step is None:
            batch = self._cache.draw_batch(until_decodable=self._exact)
            self._steps = zip(repeat(batch), range(len(batch.rows.load)))
            step = next(self._steps)
        return step

    def _scheme(self, product: Product, code: CodeBatch, step: int) -> Scheme:
        """The scheme of one step, of factors that are sorted and padded already."""
        coding, (n, p) = self._coding, self._cache.cut
        rows = code.rows
        linear = code.family.code_of(rows, step, self._driver.workers.n)
        operands = Operands.of(_numpy(product.first), _numpy(product.second))
        cut = _cut(coding.partition, operands, (n, p), code.prior, self._exact)
        if cut.spread is not None:
            linear = replace(linear, spread=cut.spread)
        separate = coding.partition == "cxr" and len(code.family.targets) > 1
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


def _tensor(array: Any, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device)


def _numpy(tensor: Tensor) -> Any:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
