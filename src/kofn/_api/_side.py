"""A matrix in one direction that lies at workers, row block by row block, and its products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np

from .._base._numbers import Array, Floats, epsilon_of
from .._base._snapshots import Snapshot
from ..arrays._blocks import Grid
from ..arrays._scaling import balance, scale_by_powers
from ..arrays._spans import Spans
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes.decoding._estimators import Estimator
from ..schemes._encoding import Encoding
from ..schemes._layout import Layout
from ..schemes._scheme import Parts, Scheme
from ..schemes._task import Task
from ..schemes._template import Template
from ..schemes._verifier import Verifier
from ..schemes.products._asked import Sum
from ..schemes.products._freivalds import Freivalds
from ..schemes.products._scheme import SKETCH, prior_of_samples, real_type


def multiply(block: Any, x: Array) -> Array:
    """What a worker does: its resident block times what it is sent."""
    product: Array = block @ x
    return product


def sum_of_side(task: Task) -> Sum:
    """What a row asks for: the one block that is resident for it, times what is sent."""
    (block,) = task.resident.values()
    return Sum.of(block, *task.arguments)


@dataclass(frozen=True, eq=False)
class Side(Template):
    """A matrix in one direction: its code, its encoded blocks, and sketches for the error bar.

    Parameters
    ----------
    code : LinearCode
        Over the row blocks of the matrix.
    spans : Spans
        How the rows are cut, and by which powers of two they were raised.
    encoded : list
        The block of each row of the code; equal rows share one.
    sketched : (blocks, SKETCH, n) array or int
        Ψ A_n: what the prior of A_n x is estimated from, for any x; or the seed of Ψ where blocks are rows of the code
        as they are, so that they are there when somebody asks.
    key : int
        Which no other side has.
    length : int
        Rows of the matrix; those that follow are padding.
    """

    code: LinearCode
    spans: Spans
    encoded: list[Any]
    sketched: Array | int
    key: int
    length: int

    @cached_property
    def sketches(self) -> Array:
        """Ψ A_n, (blocks, SKETCH, n)."""
        if not isinstance(self.sketched, int):
            return self.sketched
        blocks = self.encoded[: self.code.unknowns]
        psi = np.random.default_rng(self.sketched).standard_normal((SKETCH, self.spans.size))
        psi = psi.astype(real_type(blocks[0].dtype))
        return np.stack([(block.T @ psi.T).T for block in blocks])

    def task(self, row: int, *arguments: Array) -> Task:
        """What a row asks of its worker."""
        return Task(multiply, arguments, {(self.key, row): self.encoded[row]})

    def bind(self, operand: tuple[Array, Array], estimator: Estimator | None = None) -> SideScheme:
        """The product with an (n, columns) array, whose columns have these norms: ``operand`` is both."""
        x, sizes = operand
        columns = balance(sizes, Spans(x.shape[1], 1), epsilon_of(x))
        x = scale_by_powers(x, None, columns.exponents)
        return SideScheme(self.code, self, x, Grid(self.spans, columns))


@final
@dataclass(frozen=True, eq=False, repr=False)
class SideScheme(Scheme):
    """The product of what is resident already with what is sent.

    Parameters
    ----------
    code : LinearCode
    side : Side
    x : (n, columns) array
    grid : Grid
        How the answer is cut.
    """

    code: LinearCode
    side: Side
    x: Array
    grid: Grid

    def encoding(self) -> Encoding:
        """Everything is encoded already."""
        result = ArraySpec((self.side.spans.size, self.x.shape[1]), np.result_type(self.side.encoded[0], self.x))
        return Encoding([()] * self.code.rows, self.tasks_of, result=result)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows."""
        return [self.side.task(row, self.x) for row in rows]

    def verifier(self, seed: int) -> Verifier:
        """Freivalds' check from the left: of each block Xᵀ A_n is kept, and a product is checked without the block."""
        return Freivalds(sum_of_side, seed, from_left=True)

    def layout(self, result: ArraySpec) -> Layout:
        """Row blocks."""
        return Layout.blocks(self.grid, self.code.unknowns, result.dtype)

    def assemble(self, matrix: Floats, results: Sequence[Array], out: Any = None) -> Any:
        """Decode, without the padding."""
        return super().assemble(matrix, results, out)[: self.side.length]

    def prior(self) -> Prior:
        """From the sketches of the matrix, of which those of the product are multiples."""
        return prior_of_samples((self.side.sketches @ self.x).reshape(self.code.unknowns, -1))

    @property
    def epsilon(self) -> float:
        """That of what is sent."""
        return epsilon_of(self.x)

    @property
    def parts(self) -> Parts:
        """Row blocks."""
        return Parts((self.code.unknowns,), self.grid)

    def taken(self, snapshot: Snapshot) -> SideScheme:
        """The same factor as it is now; the matrix was taken when it was encoded."""
        return replace(self, x=snapshot.value(self.x))
