"""Which rows a run has: those of a code, and fresh ones, combinations of what is missing, made while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from .._base._numbers import Floats, Indices
from ..errors import CodeError
from ._bases import row_kronecker
from ._linear import LinearCode

AMPLIFICATION = 1e3
"""A run with fresh rows waits for one result more where rounding would be amplified by more than this."""

DRAWS = 16
"""Rows that are drawn for one to be chosen."""

COMPARED = 24
"""Unknowns, and rows of before, that a choice looks at."""


class RowSource(ABC):
    """The rows that a run starts with, and whether more can be made; immutable."""

    code: LinearCode

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether there are fresh rows."""

    @abstractmethod
    def fresh(self, code: LinearCode, missing: Sequence[int]) -> Floats:
        """Coefficients of one row more.

        Parameters
        ----------
        code : LinearCode
            The code of before, with the fresh rows that were made so far.
        missing : sequence of int
            Unknowns that no plain row has brought, in order.

        Returns
        -------
        (unknowns,) array
            The same wherever it is asked for: a function of this source, of ``code`` and of ``missing``.
        """

    def load(self, row: Floats) -> float:
        """Work of a fresh row with these coefficients, in uncoded tasks."""
        return 1.0


@final
@dataclass(frozen=True, eq=False)
class FixedRows(RowSource):
    """The rows of a code, and no others.

    Parameters
    ----------
    code : LinearCode
    why : str
        Why there are no others, for the report of a run that was asked to make some; empty where that is known.
    """

    code: LinearCode
    why: str = ""

    @property
    def is_open(self) -> bool:
        """There are no fresh rows."""
        return False

    def fresh(self, code: LinearCode, missing: Sequence[int]) -> Floats:
        """Refused."""
        raise CodeError(f"code {self.code.name!r} makes no fresh rows.")


@final
@dataclass(frozen=True, eq=False)
class RatelessRows(RowSource):
    """The rows of a code, and random combinations of what is missing, as many as are asked for.

    Any so many of them as unknowns are missing replace these, whichever come last: a rateless code (Mallick et al.
    2022) on what a run lacks at that moment. Coefficients are Gaussian. Of `DRAWS` rows the one is taken whose 2 × 2
    determinants with the rows made before it are farthest from zero, so that few of them together amplify little. With
    one unknown missing a fresh row is that unknown.

    Parameters
    ----------
    code : LinearCode
        Dense.
    shape : (N, P)
        Unknowns are products of N by P blocks, the second running fastest, and a row is α ⊗ β, one product of two
        combinations; by default a row may be any combination. It is zero where no product of a block is missing.
    seed : int

    References
    ----------
    A. Mallick, M. Chaudhari, U. Sheth, G. Palanikumar, G. Joshi, "Rateless Codes for Near-Perfect Load Balancing in
    Distributed Matrix-Vector Multiplication", Commun. ACM 65(5), 2022.

    Examples
    --------
    >>> rows = RatelessRows(LinearCode("plain", np.eye(4), np.eye(4), worker=[0, 1, 2, 3]))
    >>> np.flatnonzero(rows.fresh(rows.code, [1, 3])).tolist(), rows.fresh(rows.code, [2]).tolist()
    ([1, 3], [0.0, 0.0, 1.0, 0.0])
    >>> bool(np.all(rows.fresh(rows.code, [1, 3]) == rows.fresh(rows.code, [1, 3])))
    True
    """

    code: LinearCode
    shape: tuple[int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shape is not None and self.shape[0] * self.shape[1] != self.code.unknowns:
            raise CodeError(f"there must be {self.code.unknowns} products of blocks, got {self.shape}.")

    @property
    def is_open(self) -> bool:
        """There are always more."""
        return True

    def fresh(self, code: LinearCode, missing: Sequence[int]) -> Floats:
        """Coefficients of one row more, of unit size."""
        made = code.generator[self.code.rows :]
        lines = self._lines(np.asarray(missing, dtype=np.intp))
        drawn = (
            np.ones((1, 1)) if all(len(line) == 1 for line in lines) else self._drawn(lines, code.rows, len(missing))
        )
        sizes = (code.unknowns, 1) if self.shape is None else self.shape
        where = (lines[0][:, None] * sizes[1] + lines[1]).ravel()
        looked_at = np.isin(where, missing)
        row = np.zeros(code.unknowns)
        row[where] = drawn[_best(drawn[:, looked_at], made[:, where[looked_at]])]
        return row

    def _lines(self, missing: Indices) -> tuple[Indices, Indices]:
        """The blocks of either side that are combined: those of which a product is missing."""
        columns = 1 if self.shape is None else self.shape[1]
        return np.unique(missing // columns), np.unique(missing % columns)

    def _drawn(self, lines: tuple[Indices, Indices], row: int, missing: int) -> Floats:
        rng = np.random.default_rng([self.seed, row, missing])
        first, second = (
            rng.standard_normal((DRAWS, len(line))) if len(line) > 1 else np.ones((DRAWS, 1)) for line in lines
        )
        drawn = row_kronecker(first, second)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        return drawn


def _best(drawn: Floats, made: Floats) -> int:
    """The row that is farthest from saying the same as another about any two unknowns, or nothing about one."""
    if len(drawn) == 1:
        return 0
    drawn, made = drawn[:, :COMPARED], made[-COMPARED:, :COMPARED]
    score = np.abs(drawn).min(axis=1)
    sizes = np.linalg.norm(made, axis=1)
    made = made[sizes > 0] / sizes[sizes > 0, None]
    if len(made):
        i, j = np.triu_indices(drawn.shape[1], 1)
        minors = drawn[:, None, i] * made[None, :, j] - drawn[:, None, j] * made[None, :, i]
        score = np.minimum(score, np.abs(minors).min(axis=(1, 2)))
    return int(score.argmax())
