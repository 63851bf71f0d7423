"""How a product is done where nobody says how."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ...engines._delays import Delays
from ...jobs._options import Options
from ...jobs.report._progress import percent
from ...jobs.scheduling._backups import FIRST_SECONDS
from ...schemes.products._scheme import product_flops
from ...simulation.bench import Choice
from . import _estimates as estimates
from ._book import book_of
from ._search import RESTARTS, best_way, record_of
from ._way import (
    NOT_YET,
    PIECE,
    UNKNOWN,
    USUAL,
    Way,
    expected_of,
    seconds_told,
    tasks_told,
    told,
    usual_scheduler,
    way_scheduler,
)

FIRST_TIMES = 4.0
"""Before anything has come back a task is late after so many times as long as it should take, or `FIRST_SECONDS`."""

THIN = 32
"""Rows of A, or columns of B, in a block at least: thinner ones take longer in proportion."""

SHORT = 4.0
"""A deadline of so many times what a product should take is none where nothing straggles."""

STOPS = "what a stop rule of your own waits for is not weighed"

RESTART_SECONDS = 1.0
"""A process is replaced within less than that; what takes less to begin with is not ended."""


@dataclass(frozen=True)
class Product:
    """What is known of a product before anything is computed.

    Parameters
    ----------
    shape : (m, k, n)
    dtype : numpy.dtype
    workers : int
    delays : Delays
        Of these.
    ends : bool
        Whether their tasks can be ended.
    """

    shape: tuple[int, int, int]
    dtype: Any
    workers: int
    delays: Delays
    ends: bool = False

    @property
    def seconds(self) -> float:
        """What one worker alone should need."""
        return product_flops(*self.shape, self.dtype) * self.delays.seconds_per_flop

    @property
    def share(self) -> float:
        """The same for its share."""
        return max(self.seconds / self.workers, 1e-9)

    @property
    def most(self) -> int:
        """Into how many pieces it may be cut, each of which takes longer by far than its message costs."""
        pieces = self.seconds / (PIECE * max(self.delays.message_seconds, 1e-6))
        return max(1, int(min(pieces, max(self.workers, self.lines // THIN), self.lines)))

    @property
    def lines(self) -> int:
        """Rows of A or columns of B, of which there are more."""
        return max(1, self.shape[0], self.shape[2])

    @property
    def first(self) -> float:
        """When the first of its rows would be late."""
        return max(FIRST_SECONDS, FIRST_TIMES * self.seconds / min(self.most, USUAL * self.workers))

    def key(self, options: Options) -> tuple[Any, ...]:
        """Jobs for which the same is best; deadlines that are computed differ a little each time."""
        deadline, tolerance = _rounded(options.deadline), _rounded(options.tolerance)
        return "product", self.shape, str(self.dtype), self.workers, options.aim, deadline, tolerance


def _rounded(value: float | None) -> float | None:
    """To two digits."""
    return None if value is None else float(f"{value:.1e}")


def product_way(product: Product, options: Options, build: estimates.Build) -> Way:
    """Choose code, rows and scheduler of a product.

    Parameters
    ----------
    product : Product
    options : Options
        With ``scheduler="auto"``; another one is kept.
    build : callable
        ``build(code, rows)`` gives the scheme, for estimates.

    Examples
    --------
    >>> import numpy as np
    >>> product = Product((2000, 2000, 2000), np.dtype(float), 8, Delays())
    >>> way = product_way(product, Options(), build=None)
    >>> way.code, way.rows, way.why
    ('uncoded', 32, 'took coded backups, 4 tasks a worker: no delays of these workers are known yet')
    >>> product_way(Product((2, 2, 2), np.dtype(float), 8, Delays()), Options(), build=None).rows
    1
    """
    if options.scheduler != "auto":
        rows = min(USUAL * product.workers, product.most)
        return Way(
            "uncoded", rows, options.scheduler, f"took plain rows, {_size(rows, product)}: the scheduler was named"
        )
    estimated = options.deadline is not None or options.tolerance > 0 or options.stop is not None
    return _estimated_way(product, options, build) if estimated else _exact_way(product, options)


def _exact_way(product: Product, options: Options) -> Way:
    if product.workers > 1 and product.most > product.workers:
        most, first = product.most / product.workers, product.first / product.share
        search = partial(
            best_way, product.delays, product.workers, "product", options.aim, most, product.share, first,
            _may_end(product),
        )  # fmt: skip
        found: Choice | None = book_of(product.delays).look_up(product.delays, product.key(options), search)
        if found is not None:
            return _found_way(product, options, found)
    else:
        return _usual_way(product, "more pieces would cost more than they save")
    return _usual_way(product, _known(product))


def _known(product: Product) -> str:
    """Why nothing was chosen by simulation."""
    return NOT_YET if product.delays.pace.size else UNKNOWN


def _may_end(product: Product) -> bool:
    pieces = min(product.most, USUAL * product.workers)
    return product.ends and product.seconds / pieces * min(RESTARTS) >= RESTART_SECONDS


def _found_way(product: Product, options: Options, found: Choice) -> Way:
    one, (which, *figures) = found.candidate, expected_of(found, options.aim)
    expected, plain = (seconds_told(figure * product.share) for figure in figures)
    why = f"took {told(one)}: expected {which} {expected}, plain {plain}"
    rows = product.workers * one.tasks * one.policy.batch
    return Way("mds" if one.policy.static else "uncoded", rows, way_scheduler(one, product.first), why)


def _usual_way(product: Product, why: str, least: int = 1) -> Way:
    rows = max(min(USUAL * product.workers, product.most), min(least, product.lines))
    scheduler = usual_scheduler("product", product.first)
    return Way("uncoded", rows, scheduler, f"took coded backups, {_size(rows, product)}: {why}")


def _size(rows: int, product: Product) -> str:
    if rows >= product.workers:
        return tasks_told(rows // product.workers)
    return f"{rows} task{'s' if rows > 1 else ''} for {product.workers} workers"


# -- estimates ----------------------------------------------------------------------------------------


def _estimated_way(product: Product, options: Options, build: estimates.Build) -> Way:
    among = [("uncoded", min(tasks * product.workers, product.lines)) for tasks in (4, 1, 2)]
    among += [(name, product.workers) for name in ("kronecker", "mds")] + [("kronecker", 2 * product.workers)]
    if options.stop is None and product.workers > 1:
        search = partial(_estimates_of, product, list(dict.fromkeys(among)), options.deadline, options.tolerance)
        book, key = book_of(product.delays), product.key(options)
        best: estimates.Told | None = book.look_up(product.delays, key, search, build)
        if best is not None:
            return _best_way(product, options, best)
    soon = options.deadline is not None and options.deadline < SHORT * product.share
    known = STOPS if options.stop is not None else _known(product)
    if options.tolerance > 0 or options.stop is not None or soon:
        why = f"took kronecker, 1 task a worker, for its estimates: {known}"
        return Way("kronecker", product.workers, "auto", why)
    return _usual_way(product, known, least=product.workers)


def _estimates_of(product: Product, among: list[tuple[str, int]], deadline: float | None, tolerance: float) -> Any:
    record = record_of(product.delays, product.share)
    seed = product.delays.count
    return estimates.search(record, product.share, product.workers, among, deadline, tolerance, seed)


def _best_way(product: Product, options: Options, best: estimates.Told) -> Way:
    name = "coded backups" if best.code == "uncoded" else best.code
    if options.deadline is None:
        expected, plain = seconds_told(best.expected), seconds_told(best.plain)
        figures = f"expected p99 of an error of {percent(options.tolerance).strip()} {expected}, plain {plain}"
    else:
        expected, plain = percent(best.expected).strip(), percent(best.plain).strip()
        figures = f"expected error {expected} at the deadline, plain {plain}"
    plain_rows = best.code == "uncoded"
    scheduler = usual_scheduler("product", product.first) if plain_rows else "auto"
    return Way(best.code, best.rows, scheduler, f"took {name}, {_size(best.rows, product)}: {figures}")


def blocks_of(rows: int, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Plain rows as blocks of the longer side: the other matrix is shared by all of them.

    Examples
    --------
    >>> blocks_of(8, (100, 10, 20)), blocks_of(8, (20, 10, 100)), blocks_of(8, (3, 10, 3))
    ((8, 1), (1, 8), (3, 1))
    """
    first, second = shape[0], shape[2]
    return (min(rows, max(1, first)), 1) if first >= second else (1, min(rows, max(1, second)))
