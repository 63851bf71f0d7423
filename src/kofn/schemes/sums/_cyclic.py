"""Cyclic rateless blocks: every worker walks the ring of blocks from its own start; coverage is all it takes.

All starts lie on one grid of blocks, so two rows are equal or have no term in common: the sum is there as soon as
every block has come from somebody, nothing is solved, and one row costs no more than its terms. (Starts off the
grid can cover all terms and still not decode.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ..._base._numbers import Indices
from ...checks import refusal
from ...codes._linear import LinearCode
from .._request import builder
from ._code import CALL, bounded_integer, csr, spans, sum_code, team


def usual_blocks(m: int, workers: int) -> int:
    """Blocks that need no tuning: four a worker, so that a slow one holds up little; a hundred or more blocks of at
    least ten terms where workers are so many that most of them may never wake up.

    Examples
    --------
    >>> usual_blocks(300, 8), usual_blocks(1000, 1000), usual_blocks(10**5, 10**5), usual_blocks(10**5, 64)
    (32, 100, 10000, 256)
    """
    return min(m, 4 * workers if 4 * workers <= 100 else max(100, min(4 * workers, m // 10)))


@dataclass(frozen=True, eq=False)
class WalkRequest:
    """Terms, workers, and how these walk the ring of blocks; `cyclic` says what each is."""

    m: int
    _: KW_ONLY
    blocks: int | None = None
    starts: int | Sequence[int] | None = None
    rows: int | None = None
    workers: int | None = None
    rng: Any = None

    def code(self, name: str, usual: Callable[[int, int], int]) -> LinearCode:
        """All walks, of ``usual(terms, workers)`` blocks by default."""
        m, workers = team(self.m, self.workers)
        blocks = bounded_integer("blocks", self.blocks, 1, m, "the number of terms", usual(m, workers))
        rows = bounded_integer("rows", self.rows, 1, blocks, "the number of blocks", blocks)
        walks = (starts_of(self.starts, workers, blocks)[:, None] + np.arange(rows)) % blocks
        bounds = spans(m, blocks)
        lengths = np.diff(bounds)[walks.ravel()]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        columns = np.repeat(bounds[walks.ravel()], lengths) + offsets
        return sum_code(name, csr(columns, lengths, m), np.repeat(np.arange(workers), rows), m)


@builder(WalkRequest)
def cyclic(asked: WalkRequest) -> LinearCode:
    """Each worker sends block after block around the ring, from a start of its own.

    Parameters
    ----------
    m : int
        Number of terms.
    blocks : int, optional
        Blocks of m/blocks terms; chosen by `usual_blocks` by default.
    starts : int or (workers,) sequence of int, optional
        How many different starts there are, spread evenly, or the block at which each worker starts; as many as
        workers or blocks by default.
    rows : int, optional
        Most rows of a worker; all blocks by default.
    workers : int, optional
        One per term by default.

    Examples
    --------
    >>> cyclic(4, blocks=2, workers=2).generator.toarray().astype(int).tolist()
    [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]]
    """
    return asked.code("cyclic", usual_blocks)


@builder(WalkRequest)
def ring(asked: WalkRequest) -> LinearCode:
    """The same with larger blocks, and starts to choose: half as many messages at nearly the same latency.

    Parameters
    ----------
    m, rows, workers
        As for `cyclic`.
    blocks : int, optional
        Half as many as for `cyclic` by default.
    starts : int or sequence of int, optional
        As for `cyclic`; fewer starts than blocks cost latency.

    Examples
    --------
    >>> code = ring(1000, rows=1)
    >>> code.rows, code.load[0], len(set(code.generator.indices[::20].tolist()))
    (1000, np.float64(20.0), 50)
    """
    return asked.code("ring", lambda m, workers: max(1, usual_blocks(m, workers) // 2))


@builder(WalkRequest)
def hint(asked: WalkRequest) -> LinearCode:
    """The rows of `cyclic`, under another name: only the simulation treats it differently.

    There a worker chooses its start when it wakes up: `hinted` of the studies sends it to the middle of the largest
    gap, as a master would with one hint. A code is drawn before anybody wakes up, so ``starts`` here are those of
    one run, and without them those of `cyclic`. `kofn.sum` runs it as `cyclic`: on a pool of kofn's own, which hands
    out rows one by one, both pass over blocks that are in or under way, the same idea with a hint for every row.

    Parameters
    ----------
    m, blocks, starts, rows, workers
        As for `cyclic`.

    Examples
    --------
    >>> hint(4, blocks=4, starts=[2, 0], rows=1, workers=2).generator.toarray().astype(int).tolist()
    [[0, 0, 1, 0], [1, 0, 0, 0]]
    """
    return asked.code("hint", usual_blocks)


def starts_of(starts: int | Sequence[int] | None, workers: int, blocks: int) -> Indices:
    """The block at which each worker starts, (workers,).

    Examples
    --------
    >>> starts_of(None, 4, 8).tolist(), starts_of(2, 4, 8).tolist(), starts_of([5, 1], 2, 8).tolist()
    ([0, 2, 4, 6], [0, 4, 0, 4], [5, 1])
    """
    if starts is None or np.ndim(starts) == 0:
        count = bounded_integer("starts", starts, 1, blocks, "the number of blocks", workers)
        return (np.arange(workers) % count) * blocks // count
    given = np.asarray(starts)
    one_each = given.dtype.kind in "iu" and given.shape == (workers,)
    if not one_each or given.min(initial=0) < 0 or given.max(initial=0) >= blocks:
        must = f"name a block in [0, {blocks - 1}] for each of {workers} workers"
        raise refusal(CALL, "starts", must, starts, "leave it out for starts that are spread evenly")
    return given.astype(np.intp)
