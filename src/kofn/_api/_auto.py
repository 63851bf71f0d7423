"""``code="auto"``: what is built where nobody names a code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import checks
from ..jobs._lease import PoolLease
from ..jobs._options import Options
from ..jobs.scheduling import Duplicates, Scheduler
from ..jobs.scheduling._backups import FIRST_SECONDS, LATE
from ..schemes import PRODUCTS
from ..schemes._scheme import Scheme
from ..schemes.products._operands import Operands, balance_blocks
from ..schemes.products._plain import PlainOperands

CALL = "kofn.matmul"

AUTO = "auto"
"""The code that is chosen."""

PLAIN_ROWS = 4
"""Blocks a worker of what no code can combine: what a slow one has not begun, others do."""

Chosen = tuple[Scheme, str | Scheduler, str]
"""A scheme, its scheduler, and what the report says."""


def require_no_aim(call: str, options: Options) -> None:
    """Refuse an aim where nothing is chosen for it."""
    if options.aim != "p99":
        must = "be left out where a code is named, and of maps"
        remedy = "it says what products and sums choose a code for"
        raise checks.refusal(call, "aim", must, repr(options.aim), remedy)


@dataclass(frozen=True, eq=False)
class Request:
    """What `kofn.matmul` was asked for.

    Parameters
    ----------
    matrices : (matrix, matrix)
    blocks : (int, int) or None
    rows : int or None
    workers : int
    rng : object
    """

    matrices: tuple[Any, Any]
    blocks: Any
    rows: Any
    workers: int
    rng: Any

    def scheme(self, build: Callable[..., Scheme], **changes: Any) -> Scheme:
        """Build it."""
        asked = {"blocks": self.blocks, "rows": self.rows, "workers": self.workers, "rng": self.rng}
        return build(*self.matrices, **asked | changes)

    def chosen(self, lease: PoolLease, operands: Operands | PlainOperands, options: Options) -> Chosen:
        """Choose what is best for the pool."""
        if self.blocks is not None and self.rows is not None:
            must, remedy = "be left out where 'blocks' is given and 'code' is not", "name a code, such as code='mds'"
            raise checks.refusal(CALL, "rows", must, self.rows, remedy)
        if isinstance(operands, PlainOperands):
            return self._as_it_is(options)
        if self.blocks is not None or self.rows is not None:
            return self._cut_as_asked(options)
        from ..tuning.auto import product_way  # which loads the simulation
        from ..tuning.auto._products import Product

        ends, shares = lease.capabilities.kills, lease.capabilities.shares or lease.capabilities.by_reference
        product = Product(operands.shape, operands.dtype, self.workers, lease.delays, ends)
        build = lambda code, rows: self._built(code, rows, operands.shape, shares, rng=0)  # noqa: E731
        way = product_way(product, options, build)
        return self._built(way.code, way.rows, operands.shape, shares), way.scheduler, way.why

    def _built(self, code: str, rows: int, shape: tuple[int, int, int], shares: bool, **changes: Any) -> Scheme:
        if code != "uncoded":
            return self.scheme(PRODUCTS[code], rows=rows, **changes)
        from ..tuning.auto._products import blocks_of

        # Where nothing is shared each block is sent with each of its products.
        blocks = blocks_of(rows, shape) if shares else balance_blocks(rows, max(1, shape[0]), max(1, shape[2]))
        return self.scheme(PRODUCTS[code], blocks=blocks, rows=None, **changes)

    def _as_it_is(self, options: Options) -> Chosen:
        rows = PLAIN_ROWS * self.workers if self.blocks is None and self.rows is None else self.rows
        scheme, why = (
            self.scheme(PRODUCTS["uncoded"], rows=rows),
            "integers and sparse matrices are multiplied as they are",
        )
        if options.scheduler != AUTO:
            return scheme, options.scheduler, f"took plain rows: {why}"
        return scheme, Duplicates(after=LATE, first=FIRST_SECONDS), f"took duplicates: {why}"

    def _cut_as_asked(self, options: Options) -> Chosen:
        from ..tuning.auto._way import usual_scheduler

        scheme = self.scheme(PRODUCTS["uncoded"])
        if options.scheduler != AUTO:
            return scheme, options.scheduler, "took plain rows as they were asked for: the scheduler was named"
        scheduler = usual_scheduler("product", FIRST_SECONDS)
        return scheme, scheduler, "took coded backups of blocks as they were asked for"
