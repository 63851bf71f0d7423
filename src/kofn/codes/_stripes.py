"""Codes for data that stays where it is: any so many workers may be lost, and each has its share of the plain rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import final

import numpy as np

from .._base._numbers import EPSILON, Floats, Indices
from ..errors import CodeError
from ._bases import parity_rows
from ._linear import LinearCode
from .decoding._decode import decode

MOST_ROWS = 512
"""Rows of a code that is cut finely enough for every worker to have an equal share; with more, shares are coarser."""

LEAST_SHARE = 4
"""Plain rows that a worker has at least, where there is enough to be cut: what a slow one is late with is less then."""

DRAWS = 8
"""Draws of three and more combinations of which the best is taken."""

WAYS = 500
"""Ways to lose workers that a draw is judged by; all of them where there are not more."""


@final
@dataclass(frozen=True)
class Stripes:
    """How pieces of a matrix, and combinations of them, are dealt to workers that keep them.

    A stripe is a systematic code of n rows, one at each of n workers: n − r pieces and r combinations of these, any
    n − r of which give the others. Each stripe is dealt from another worker on, as blocks of a RAID are, so that after
    n / gcd(n, r) of them all workers have equally many pieces, and equally many combinations. So any n − r workers hold
    everything, in n/(n − r) times the room, which is the least that there is; and each of them has an nth of the plain
    work. Where combinations would take as much room as copies (sparse pieces) there are copies instead: each piece at
    r + 1 workers, those of one worker at all the others.

    Parameters
    ----------
    workers : int
    redundancy : int
        Workers that may be lost, fewer than there are.
    copies : bool
        Whether rows are repeated instead of being combined.
    fine : bool
        Whether a worker's share is cut into at least `LEAST_SHARE` rows.

    Examples
    --------
    >>> stripes = Stripes(4, 1)
    >>> stripes.count, stripes.unknowns, stripes.plain_workers.tolist(), stripes.spare_workers.tolist()
    (4, 12, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], [3, 0, 1, 2])
    """

    workers: int
    redundancy: int
    copies: bool = False
    fine: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.redundancy < self.workers:
            raise CodeError(f"redundancy must be from 0 to {self.workers - 1}, got {self.redundancy}.")

    @property
    def share(self) -> float:
        """Room that all workers need, beside that of the matrix."""
        kept = self.workers - self.redundancy
        return 1.0 + self.redundancy if self.copies else self.workers / kept

    @property
    def mixes(self) -> bool:
        """Whether there are combinations."""
        return not self.copies and 0 < self.redundancy < self.workers - 1

    @cached_property
    def count(self) -> int:
        """How many stripes there are; of copies, how many pieces each worker has."""
        n, r = self.workers, self.redundancy
        if r == 0:
            return 1
        even = (n - 1) // math.gcd(n - 1, r) if self.copies else n // math.gcd(n, r)
        rows = n * (1 + r) if self.copies else n
        share = even if self.copies else even * (n - r) // n
        if even * rows > MOST_ROWS:
            return max(1, MOST_ROWS // rows)
        more = -(-LEAST_SHARE // share) if self.fine else 1
        return even * max(1, min(more, MOST_ROWS // (even * rows)))

    @property
    def unknowns(self) -> int:
        """Pieces that the matrix is cut into."""
        n, r = self.workers, self.redundancy
        return self.count * (n if self.copies or not r else n - r)

    @cached_property
    def _dealt(self) -> Indices:
        """The worker of each row of each stripe, (stripes, n): pieces first."""
        offsets = np.arange(self.count) * self.redundancy
        return np.asarray((np.arange(self.workers) + offsets[:, None]) % self.workers)

    @cached_property
    def plain_workers(self) -> Indices:
        """The worker of each piece, (unknowns,): those of one worker lie together."""
        if self.copies or not self.redundancy:
            return np.repeat(np.arange(self.workers), self.count)
        return np.sort(self._dealt[:, : self.workers - self.redundancy].ravel())

    @cached_property
    def members(self) -> Indices:
        """The pieces of each stripe, (stripes, n − r), by their numbers."""
        dealt = self._dealt[:, : self.workers - self.redundancy].ravel()
        number = np.empty(len(dealt), dtype=np.intp)
        number[np.argsort(dealt, kind="stable")] = np.arange(len(dealt))
        return number.reshape(self.count, -1)

    @cached_property
    def spare_workers(self) -> Indices:
        """The worker of each combination or copy, stripe by stripe, or piece by piece."""
        n, r = self.workers, self.redundancy
        if not self.copies:
            return np.asarray(self._dealt[:, n - r :].ravel())
        own, number = np.divmod(np.arange(self.unknowns), self.count)
        step = 1 + (number[:, None] * r + np.arange(r)) % max(1, n - 1)
        return np.asarray(((own[:, None] + step) % n).ravel())

    def code(self, rng: np.random.Generator) -> LinearCode:
        """The code: pieces as they are, worker by worker, and then what is spare."""
        k, r = self.unknowns, self.redundancy
        plain, worker = np.eye(k), np.concatenate([self.plain_workers, self.spare_workers])
        if self.copies or not r:
            generator = np.concatenate([plain, np.repeat(plain, r, axis=0)])
            return LinearCode("copies" if r else "plain", generator, plain, worker, threshold=len(generator) - r)
        spare, parities = np.zeros((self.count, r, k)), self._parities(rng)
        for rows, members in zip(spare, self.members, strict=True):
            rows[:, members] = parities
        generator = np.concatenate([plain, spare.reshape(-1, k)])
        return LinearCode("stripes", generator, plain, worker, threshold=len(generator) - r)

    def amplification(self, code: LinearCode) -> float:
        """By how much rounding is amplified where workers are lost in the worst way, of at most `WAYS`; 1 of copies."""
        if self.copies or not self.redundancy:
            return 1.0
        return self._worst(code.generator[self.unknowns : self.unknowns + self.redundancy, self.members[0]])

    def _parities(self, rng: np.random.Generator) -> Floats:
        """Coefficients of the combinations of a stripe, (r, n − r): of several draws the best, where they are drawn."""
        r, kept = self.redundancy, self.workers - self.redundancy
        if kept == 1:
            return np.ones((r, 1))
        draws = [parity_rows(r, kept, rng) for _ in range(DRAWS if r > 2 else 1)]
        return draws[0] if len(draws) == 1 else min(draws, key=self._worst)

    def _worst(self, parities: Floats) -> float:
        plain = np.eye(parities.shape[1])
        code = LinearCode("stripe", np.concatenate([plain, parities]), plain, np.arange(self.workers))
        decoding = decode(code, self._ways, epsilon=EPSILON)
        return float(decoding.amplification.max()) if decoding.exact else math.inf

    @cached_property
    def _ways(self) -> Indices:
        """Rows of a stripe that are left when workers are lost, (ways, n − r)."""
        n, kept = self.workers, self.workers - self.redundancy
        if math.comb(n, kept) <= WAYS:
            return np.array(list(combinations(range(n), kept)))
        rng = np.random.default_rng(0)
        return np.array([np.sort(rng.choice(n, kept, replace=False)) for _ in range(WAYS)])
