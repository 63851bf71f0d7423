"""From blocks to tasks: which encoded blocks there are, and which of them each task is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np

from .._base._numbers import Array, Floats, Indices
from .._base._snapshots import Snapshot
from ..arrays._blocks import Blocks
from ..arrays._combine import combine
from ..arrays._reductions import norms
from ..arrays._scaling import still_holds
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

    @cached_property
    def plain(self) -> Array:
        """Which of the distinct rows are blocks as they are."""
        rows = self.distinct[0]
        plain: Array = (np.count_nonzero(rows, axis=1) == 1) & (rows.max(axis=1, initial=0.0) == 1.0)
        return plain

    def encode(self, allocate: Allocate) -> list[Array]:
        """Return the encoded block of every row; rows with equal coefficients share one array."""
        made = self.together(range(len(self.distinct[0])), allocate)
        return [made[index] for index in self.distinct[1]]

    def together(self, numbers: Sequence[int], allocate: Allocate) -> Array:
        """Some of the distinct blocks, in one array and in one pass."""
        rows, plain = self.distinct[0][numbers], self.plain[numbers]
        encoded = allocate((len(rows), *self.blocks.shape), self.blocks.dtype)
        first = (
            len(rows) if plain.all() else int(np.argmin(plain))
        )  # so many are copied, where that costs no more reads
        cut = first if isinstance(self.blocks.matrix, np.ndarray) else 0
        for part in (slice(cut), slice(cut, None)):
            combine(rows[part], self.blocks, encoded[part])
        return encoded

    def blocks_as_they_are(self, allocate: Allocate, by_reference: bool) -> dict[int, Array]:
        """The plain ones among the distinct blocks, by number: views of the matrix where it need not travel."""
        blocks = np.argmax(self.distinct[0], axis=1)
        plain = np.flatnonzero(self.plain).tolist()
        views = {number: self.blocks.view(int(blocks[number])) for number in plain if by_reference}
        made = {number: view for number, view in views.items() if view is not None}
        others = [number for number in plain if number not in made]
        return made | dict(zip(others, self.together(others, allocate) if others else (), strict=True))

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

    def holds(self, matrix: Any, axis: int) -> bool:
        """Whether it holds of a matrix as it is now."""
        return still_holds(self.norms, norms(matrix, axis), self.spans, self.epsilon, mixed=self.mixed)

    def require(self, matrix: Any, axis: int) -> None:
        """Refuse a matrix of which it no longer holds: results would be called exact that are not."""
        if not self.holds(matrix, axis):
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

    def encode(self, allocate: Allocate, by_reference: bool = False) -> Sequence[Task]:
        """Make all tasks in one pass over the sources; combinations only when the first of their rows is asked for.

        Parameters
        ----------
        allocate : callable
        by_reference : bool
            Whether the tasks may hold views of the matrices, which nobody changes as long as they run.
        """
        self.require_unchanged()
        tasks = Tasks(self, allocate, by_reference)
        return tasks if tasks.begun else self.kernel(range(len(self.needs)), tasks.blocks())

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


class Tasks(Sequence[Task]):
    """The tasks of an encoding: what is made of plain blocks is there at once, combinations when one is asked for.

    Parameters
    ----------
    encoding : Encoding
    allocate : callable
    by_reference : bool
        As of `Encoding.encode`.
    """

    def __init__(self, encoding: Encoding, allocate: Allocate, by_reference: bool) -> None:
        self._encoding, self._allocate, self._by_reference = encoding, allocate, by_reference
        self._made: dict[Key, Array] = {}
        plain = [factor.plain.tolist() for factor in encoding.factors]
        at_hand = all(isinstance(factor.blocks.matrix, np.ndarray) for factor in encoding.factors)  # others: read once
        self.begun = at_hand and any(
            keys and all(plain[factor][number] for factor, number in keys) for keys in encoding.needs
        )
        if self.begun:
            self._make_plain()

    def __len__(self) -> int:
        return len(self._encoding.needs)

    @overload
    def __getitem__(self, row: int) -> Task: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Task]: ...
    def __getitem__(self, row: int | slice) -> Task | Sequence[Task]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        keys = self._encoding.needs[row]
        if not all(key in self._made for key in keys):
            self._make_others()
        return self._encoding.kernel([row], [[self._made[key] for key in keys]])[0]

    def blocks(self) -> list[list[Array]]:
        """What every task is made of."""
        self._make_plain()
        self._make_others()
        return [[self._made[key] for key in keys] for keys in self._encoding.needs]

    def _make_plain(self) -> None:
        for side, factor in enumerate(self._encoding.factors):
            made = factor.blocks_as_they_are(self._allocate, self._by_reference)
            self._made |= {(side, number): block for number, block in made.items()}

    def _make_others(self) -> None:
        for side, factor in enumerate(self._encoding.factors):
            numbers = [number for number in range(len(factor.distinct[0])) if (side, number) not in self._made]
            made = factor.together(numbers, self._allocate) if numbers else ()
            self._made |= {(side, number): block for number, block in zip(numbers, made, strict=True)}
