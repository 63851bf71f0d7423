"""A matrix that lies at workers in runs of rows, each at one or more of them, and its products with what is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np

from ..._base._numbers import Array, epsilon_of
from ..._base._snapshots import Snapshot
from ...arrays._remote import Ref, RemoteMatrix
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._estimators import Estimator
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Parts, Scheme
from .._task import Task
from .._template import Template
from ._remote import Run, UnevenGrid, combine_results
from ._scheme import prior_of_samples


def multiply_rows(blocks: Sequence[Sequence[Array]], rows: tuple[int, int], x: Array) -> Array:
    """What a worker does: some rows of blocks times what it is sent.

    Examples
    --------
    >>> A = np.arange(12.0).reshape(3, 4)
    >>> multiply_rows([[A[:, :1], A[:, 1:]]], (1, 3), np.ones((4, 1))).ravel().tolist()
    [22.0, 38.0]
    """
    parts = []
    for line in _cut(blocks, rows):
        edges = np.cumsum([0, *(block.shape[1] for block in line)]).tolist()
        parts.append(sum(block @ x[start:stop] for block, start, stop in zip(line, edges, edges[1:], strict=False)))
    return np.concatenate(parts)


def multiply_adjoint(blocks: Sequence[Sequence[Array]], rows: tuple[int, int], y: Array) -> Array:
    """What a worker does for the adjoint: the conjugate transpose of some rows times their part of a vector.

    Examples
    --------
    >>> A = np.arange(12.0).reshape(3, 4)
    >>> multiply_adjoint([[A[:, :1], A[:, 1:]]], (1, 3), np.ones((2, 1))).ravel().tolist()
    [12.0, 14.0, 16.0, 18.0]
    """
    total: Any = 0.0
    start = 0
    for line in _cut(blocks, rows):
        stop = start + line[0].shape[0]
        total = total + np.concatenate([block.conj().T @ y[start:stop] for block in line])
        start = stop
    return np.asarray(total)


def _cut(blocks: Sequence[Sequence[Array]], rows: tuple[int, int]) -> list[list[Array]]:
    """Rows of blocks, of which only those between two numbers are wanted."""
    cut, start = [], 0
    for line in blocks:
        height = line[0].shape[0]
        part = slice(max(0, rows[0] - start), max(0, rows[1] - start))
        cut.append([block[part] for block in line])
        start += height
    return cut


@dataclass(frozen=True, eq=False)
class RemoteSide(Template):
    """A matrix in one direction, whose blocks lie at workers; what is sent are vectors.

    Parameters
    ----------
    code : LinearCode
        Every run as it is, then its copies; for the adjoint the sum of all runs is wanted.
    matrix : RemoteMatrix
    runs : tuple of Run
    copies : sequence of (Ref, Ref)
        A block, and a copy of it at another worker.
    adjoint : bool
    sketches : callable
        Returns Ψ A_n, or (A_n Ω)ᴴ for the adjoint, of all runs: what the prior is estimated from.
    """

    code: LinearCode
    matrix: RemoteMatrix
    runs: tuple[Run, ...]
    copies: Sequence[tuple[Ref, Ref]]
    adjoint: bool
    sketches: Callable[[], Sequence[Array]]

    def bind(self, operand: Array, estimator: Estimator | None = None) -> RemoteSideScheme:
        """The product with an (n, columns) array."""
        return RemoteSideScheme(self.code, self, operand)


@final
@dataclass(frozen=True, eq=False, repr=False)
class RemoteSideScheme(Scheme):
    """The product of what lies at workers with what is sent; results come back.

    Parameters
    ----------
    code : LinearCode
    side : RemoteSide
    x : (n, columns) array
    """

    code: LinearCode
    side: RemoteSide
    x: Array

    def encoding(self) -> Encoding:
        """Nothing is encoded: what was copied lies there."""
        spec = self._spec
        height = spec.shape[0] if self.side.adjoint else self.side.runs[0].size
        return Encoding([()] * self.code.rows, self._tasks_of, result=ArraySpec((height, spec.shape[1]), spec.dtype))

    def _tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        return [self._task(self.side.runs[int(self.code.plain[row])]) for row in rows]

    def _task(self, run: Run) -> Task:
        blocks = [list(row) for row in self.side.matrix.blocks[run.first : run.last]]
        bounds = run.skip, run.skip + run.size
        if self.side.adjoint:
            return Task(multiply_adjoint, (blocks, bounds, self.x[run.start : run.stop]))
        return Task(multiply_rows, (blocks, bounds, self.x))

    @property
    def _spec(self) -> ArraySpec:
        """Of the answer."""
        matrix = self.side.matrix
        length = matrix.shape[1 if self.side.adjoint else 0]
        return ArraySpec((length, self.x.shape[1]), np.result_type(matrix.dtype, self.x))

    def layout(self, result: ArraySpec) -> Layout:
        """One array."""
        return Layout.whole(self._spec)

    def answer(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Any], out: Any = None) -> Any:
        """The sum of the runs' products, or these where they belong."""
        spec, side = self._spec, self.side
        value = np.zeros(spec.shape, spec.dtype) if out is None else out
        for run, line in zip(side.runs, decoding.matrix, strict=False):  # of an adjoint there is one line
            part = slice(None) if side.adjoint else slice(run.start, run.stop)
            numbers = np.flatnonzero(line).tolist()
            shape = (spec.shape[0] if side.adjoint else run.size, spec.shape[1])
            value[part] = combine_results(line[numbers], [results[n] for n in numbers], shape, spec.dtype)
        return value

    def prior(self) -> Prior:
        """From the sketches of the matrix, of which those of the product are multiples."""
        parts = zip(self.side.sketches(), self.side.runs, strict=True)
        inner = (self.x[run.start : run.stop] if self.side.adjoint else self.x for run in self.side.runs)
        samples = [(sketch @ x).ravel() for (sketch, _), x in zip(parts, inner, strict=True)]
        return prior_of_samples(np.array(samples), self.code.targets if self.side.adjoint else None)

    @property
    def epsilon(self) -> float:
        """That of the answer's numbers."""
        return epsilon_of(np.empty(0, self._spec.dtype))

    @property
    def parts(self) -> Parts:
        """Runs of rows; of an adjoint there is one."""
        if self.side.adjoint:
            return Parts(())
        whole = (Run(0, 1, 0, self.x.shape[1]),)
        return Parts((len(self.side.runs),), UnevenGrid(self.side.runs, whole))

    def taken(self, snapshot: Snapshot) -> Self:
        """The same factor as it is now; nobody writes into what lies at workers."""
        return replace(self, x=snapshot.value(self.x))
