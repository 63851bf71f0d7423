"""From blocks to tasks: which encoded blocks there are, and which of them each task is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .._base._numbers import Array, Floats, Indices
from .._base._snapshots import Snapshot
from ..arrays._blocks import Blocks
from ..arrays._combine import combine
from ..arrays._reductions import norms
from ..arrays._scaling import lasting
from ..arrays._spans import Spans
from ..arrays._spec import ArraySpec
from ..checks import refusal
from ..codes._linear import groups_of
from ._task import Allocate, Task

Key = tuple[int, int]
"""An encoded block: the number of its factor, and its number among the distinct ones there."""

Kernel = Callable[[Sequence[int], Sequence[Sequence[Array]]], Sequence[Task]]
"""(rows, the encoded blocks that each needs) → their tasks."""


@dataclass(frozen=True, eq=False)
class Factor:
    """One encoded side of a product: distinct combinations of blocks, shared by the rows that use them.

    Parameters
    ----------
    coefficients : (rows, blocks) array
    blocks : Blocks
    """

    coefficients: Floats
    blocks: Blocks

    def taken(self, snapshot: Snapshot) -> Factor:
        """The same of the blocks as they are now."""
        return replace(self, blocks=self.blocks.taken(snapshot))

    @cached_property
    def distinct(self) -> tuple[Floats, Indices]:
        """The distinct coefficient rows, in the order in which they come, and which of them each row uses."""
        which = groups_of(self.coefficients)
        new = which > np.maximum.accumulate(np.r_[-1, which[:-1]])
        return self.coefficients[new], which

    def encode(self, allocate: Allocate) -> list[Array]:
        """Return the encoded block of every row; rows with equal coefficients share one array."""
        rows, which = self.distinct
        encoded = allocate((len(rows), *self.blocks.shape), self.blocks.dtype)
        combine(rows, self.blocks, encoded)
        return [encoded[index] for index in which]

    def some(self, numbers: Sequence[int], allocate: Allocate) -> list[Array]:
        """Return some of the distinct blocks, each in an array of its own; only what they are made of is read."""
        rows = self.distinct[0][numbers]
        used = np.flatnonzero(rows.any(axis=0))
        encoded = [allocate(self.blocks.shape, self.blocks.dtype) for _ in numbers]
        combine(rows[:, used], self.blocks.only(used.tolist()), encoded)
        return encoded

    @property
    def block_bytes(self) -> int:
        """Size of an encoded block."""
        return math.prod(self.blocks.shape) * self.blocks.dtype.itemsize

    @property
    def encoded_bytes(self) -> int:
        """Size of what `encode` allocates."""
        return len(self.distinct[0]) * self.block_bytes


@dataclass(frozen=True, eq=False)
class Found:
    """Sizes that a scheme was built for, and what depends on them.

    Parameters
    ----------
    norms : (length,) array
        Of the rows of A, or of the columns of B.
    spans : Spans
        How they are cut, and raised.
    epsilon : float
        Precision of the numbers.
    mixed : bool
        Whether blocks are combined.
    """

    norms: Floats
    spans: Spans
    epsilon: float
    mixed: bool = True

    def require(self, matrix: Any, axis: int) -> None:
        """Refuse a matrix of which it no longer holds: results would be called exact that are not."""
        if not lasting(self.norms, norms(matrix, axis), self.spans, self.epsilon, mixed=self.mixed):
            name, lines = ("A", "rows") if axis == 0 else ("B", "columns")
            must = f"keep finite numbers and the proportions of its {lines} from when a scheme is built until it starts"
            raise refusal("kofn.start", name, must, f"others in {lines} of other sizes", "build the scheme again")


@dataclass(frozen=True, eq=False)
class Encoding:
    """How the tasks of a scheme are made of encoded blocks; nothing is computed until it is asked for.

    Parameters
    ----------
    needs : sequence of sequences of (factor, number)
        Of each task: the blocks that it is made of.
    kernel : callable
        ``kernel(rows, blocks)`` makes the tasks of some rows from the blocks that each needs: a function of a module,
        or a method of frozen data.
    factors : sequence of Factor
    result : ArraySpec, optional
        What a result is like, where it is known before.
    found : sequence of Found
        Of the matrix of each factor, rows of the first and columns of the second; empty where it does not matter.
    """

    needs: Sequence[Sequence[Key]]
    kernel: Kernel
    factors: Sequence[Factor] = ()
    result: ArraySpec | None = None
    found: Sequence[Found] = ()

    def encode(self, allocate: Allocate) -> Sequence[Task]:
        """Make all tasks in one pass over the sources."""
        self.require_unchanged()
        made: dict[Key, Array] = {}
        for number, factor in enumerate(self.factors):
            keys = ((number, which) for which in factor.distinct[1].tolist())
            made |= zip(keys, factor.encode(allocate), strict=True)
        return self.kernel(range(len(self.needs)), [[made[key] for key in keys] for keys in self.needs])

    @property
    def nbytes(self) -> int:
        """Size of all encoded blocks."""
        return sum(factor.encoded_bytes for factor in self.factors)

    @property
    def result_nbytes(self) -> int:
        """Size of a result, 0 where it is not known before."""
        return 0 if self.result is None else self.result.nbytes

    def needed_at_once(self, tasks: int) -> int:
        """Size of the blocks that any so many tasks need at the same time, at most."""
        total = 0
        for number, factor in enumerate(self.factors):
            most = max(sum(key[0] == number for key in keys) for keys in self.needs)
            total += min(tasks * most, len(factor.distinct[0])) * factor.block_bytes
        return total

    def require_unchanged(self) -> None:
        """Refuse matrices that are not what the scheme was built for any more."""
        for axis, found in enumerate(self.found):
            found.require(self.factors[axis].blocks.matrix, axis)
