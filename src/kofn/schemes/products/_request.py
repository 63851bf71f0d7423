"""What builders of products are asked for, checked when it is used."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...arrays._blocks import Grid
from ...checks import refusal
from .._deal import default_redundancy
from ._operands import CALL, Operands, generator
from ._row_column import choose_blocks, plain_grid, require_threshold, row_column_scheme, row_count
from ._scheme import ProductScheme
from .families import Family


@dataclass(frozen=True, eq=False)
class ProductRequest:
    """A product, and the size of its code.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    blocks : (N, P), optional
    rows, workers : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
    """

    A: Any
    B: Any
    _: KW_ONLY
    blocks: tuple[int, int] | None = None
    rows: int | None = None
    workers: int | None = None
    rng: Any = None

    @cached_property
    def operands(self) -> Operands:
        """The matrices, checked."""
        return Operands.of(self.A, self.B)

    @cached_property
    def count(self) -> int:
        """Number of rows."""
        return row_count(self.rows, self.workers)

    @cached_property
    def random(self) -> np.random.Generator:
        """Draws all that is random, in the order in which it is asked for."""
        return generator(self.rng)

    @property
    def enough(self) -> int:
        """How many results are to be enough unless the blocks are given: all but a quarter."""
        return self.count - default_redundancy(self.count)

    def choose_blocks(self, name: str, limit: int) -> tuple[int, int]:
        """Block counts (N, P) for a code that decodes from any N·P rows; N·P is at most ``limit`` by default."""
        n, p = choose_blocks(self.operands, self.blocks, limit)
        require_threshold(name, n * p, self.count)
        return n, p

    def choose_rows(self, name: str) -> int:
        """Number k of row blocks of A for a code that decodes from any k rows and leaves B whole."""
        k, columns = choose_blocks(self.operands, self.blocks, self.enough, only_rows=True)
        if columns != 1:
            raise refusal(CALL, "blocks", f"be (k, 1) for {name}, which codes only A", (k, columns),
                          "use code='kronecker' or 'polynomial' to cut both")  # fmt: skip
        require_threshold(name, k, self.count)
        return k

    def one_sided(self, name: str, alpha: Floats) -> ProductScheme:
        """The scheme of rows α, (rows, k), of the row blocks of A, any k of which are enough."""
        k = alpha.shape[1]
        return self.scheme(name, plain_grid(self.operands, (k, 1)), alpha, np.ones((len(alpha), 1)), threshold=k)

    def scheme(self, name: str, grid: Grid, alpha: Floats, beta: Floats, threshold: int | None) -> ProductScheme:
        """The scheme of rows α ⊗ β."""
        return row_column_scheme(
            name, self.operands, grid, alpha, beta, workers=self.workers, threshold=threshold, rng=self.random
        )

    def scheme_of(self, family: Family, grid: Grid) -> ProductScheme:
        """The scheme of rows that a family draws."""
        return self.scheme(family.name, grid, *family.factors(self.count, self.random), family.threshold(self.count))
