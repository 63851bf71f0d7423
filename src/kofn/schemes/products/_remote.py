"""Products of matrices whose blocks lie at workers: the same blocks, multiplied where they are, and left there.

A row of the code is one block of the answer: some rows of blocks of A times some columns of blocks of B, inner blocks
added up. What a worker is sent are references, and what it returns is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Self, final

import numpy as np

from ..._base._numbers import Array, Floats, epsilon_of
from ..._base._snapshots import Snapshot
from ...arrays._remote import Ref, RemoteMatrix, refs_in
from ...arrays._spec import ArraySpec
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._estimators import Estimator
from ...errors import CodeError
from .._encoding import Encoding
from .._layout import Layout
from .._scheme import Parts, Scheme
from .._task import Task
from ._scheme import SKETCH, prior_of_samples, product_flops, real_type


@dataclass(frozen=True)
class Run:
    """Blocks that follow one another along a side, or a part of one block: a side of a block of the answer.

    Parameters
    ----------
    first, last : int
        Which blocks; ``last`` is not among them.
    start, stop : int
        Rows (of A) or columns (of B) of the matrix; those of whole blocks, or some within one.
    skip : int
        How many of the first block come before.
    is_part : bool
        Whether it is less than a block.
    """

    first: int
    last: int
    start: int
    stop: int
    skip: int = 0
    is_part: bool = False

    @property
    def size(self) -> int:
        """How many rows or columns."""
        return self.stop - self.start


def cut_into_runs(sizes: Sequence[int], count: int) -> list[Run]:
    """Cut a side of a matrix of blocks into about so many runs of like length, at the ends of blocks or within one.

    Blocks shorter than a run are put together; longer ones are cut evenly.

    Examples
    --------
    >>> [(run.first, run.last, run.start, run.stop) for run in cut_into_runs([2, 2, 2, 2], 2)]
    [(0, 2, 0, 4), (2, 4, 4, 8)]
    >>> [(run.first, run.last, run.start, run.stop, run.skip) for run in cut_into_runs([3, 9], 4)]
    [(0, 1, 0, 3, 0), (1, 2, 3, 6, 0), (1, 2, 6, 9, 3), (1, 2, 9, 12, 6)]
    """
    wanted, edges = max(1.0, sum(sizes) / max(1, count)), [0, *accumulate(sizes)]
    runs: list[Run] = []
    first = 0
    while first < len(sizes):
        last = first + 1
        while last < len(sizes) and edges[last + 1] - edges[first] <= 1.25 * wanted:
            last += 1
        parts = max(1, round(sizes[first] / wanted)) if last == first + 1 else 1
        length = edges[last] - edges[first]
        cuts = [edges[first] + length * part // parts for part in range(parts + 1)]
        parted = (part for part in pairwise(cuts) if part[1] > part[0])
        runs += [Run(first, last, *part, part[0] - edges[first], parts > 1) for part in parted]
        first = last
    return runs


@dataclass(frozen=True)
class UnevenGrid:
    """How the answer is cut: where its blocks begin and end, which need not be alike.

    Parameters
    ----------
    rows, columns : tuple of Run
    """

    rows: tuple[Run, ...]
    columns: tuple[Run, ...]

    def where(self, n: int, p: int = 0) -> tuple[slice, slice]:
        """Index of a block in the answer."""
        return slice(self.rows[n].start, self.rows[n].stop), slice(self.columns[p].start, self.columns[p].stop)


def multiply_runs(left: Sequence[Sequence[Array]], rows: Any, right: Sequence[Sequence[Array]], columns: Any) -> Array:
    """What a worker does: rows of blocks of A times columns of blocks of B.

    Parameters
    ----------
    left : sequence of sequence of array
        Blocks of A, row by row, as wide as they are.
    rows : slice bounds
        (start, stop) of the rows that are wanted, of all that are there.
    right : sequence of sequence of array
        Blocks of B, row by row, as high as they are; they need not fit those of A.
    columns : slice bounds
        As ``rows``.

    Examples
    --------
    >>> A, B = np.arange(12.0).reshape(3, 4), np.arange(8.0).reshape(4, 2)
    >>> made = multiply_runs([[A[:, :3], A[:, 3:]]], (1, 3), [[B[:1]], [B[1:]]], (0, 2))
    >>> bool(np.all(made == A[1:] @ B))
    True
    """
    out: Array | None = None
    whole = len(left) == 1 and len(right[0]) == 1
    for start, stop in pairwise(_edges(left[0], right)):
        a = _stripe(left, start, stop, 1)[rows[0] : rows[1]]
        b = _stripe(right, start, stop, 0)[:, columns[0] : columns[1]]
        if out is None:
            out = a @ b
        elif whole and out.dtype.kind != "b":
            out += a @ b
        else:
            out = out + a @ b
    assert out is not None, "a product has at least one inner block"
    return out


def _edges(left: Sequence[Array], right: Sequence[Sequence[Array]]) -> list[int]:
    """Where an inner block of either matrix ends."""
    widths, heights = [block.shape[1] for block in left], [line[0].shape[0] for line in right]
    return sorted({0, *accumulate(widths), *accumulate(heights)})


def _stripe(blocks: Sequence[Sequence[Array]], start: int, stop: int, axis: int) -> Array:
    """Columns (1) or rows (0) of a matrix of blocks, which lie in one block along that axis."""
    lines = blocks if axis == 0 else list(zip(*blocks, strict=True))
    before = 0
    for line in lines:
        size = line[0].shape[axis]
        if start < before + size or size == stop - start == 0:
            part = slice(start - before, stop - before)
            pieces = [block[:, part] if axis == 1 else block[part] for block in line]
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1 - axis)
        before += size
    raise AssertionError(f"no block at {start}")


def combine_results(weights: Sequence[float], results: Sequence[Array], shape: tuple[int, int], dtype: Any) -> Array:
    """What a worker does to decode: a weighted sum of results, cut to the size of the target, or zeros.

    Examples
    --------
    >>> combine_results([2.0, 1.0], [np.ones((1, 2)), np.ones((2, 2))], (2, 2), float)
    array([[3., 3.],
           [1., 1.]])
    """
    out = np.zeros(shape, dtype)
    for weight, result in zip(weights, results, strict=True):
        part = result[: shape[0], : shape[1]]
        out[: part.shape[0], : part.shape[1]] += np.asarray(weight * part).astype(out.dtype, copy=False)
    return out


def sketch_left(seed: int, height: int, blocks: Sequence[Sequence[Array]], rows: Any) -> Array:
    """Ψ A for rows of blocks of A, with the same Ψ whichever they are."""
    start, stop = rows
    wide = np.hstack([np.vstack(column)[start:stop] for column in zip(*blocks, strict=True)])
    psi = np.random.default_rng([seed, 0]).standard_normal((SKETCH, height))[:, : stop - start]
    made: Array = psi.astype(real_type(wide.dtype) if wide.dtype.kind in "fc" else float) @ wide
    return made


def sketch_right(seed: int, width: int, blocks: Sequence[Sequence[Array]], columns: Any) -> Array:
    """B Ω for columns of blocks of B, with the same Ω whichever they are."""
    start, stop = columns
    wide = np.vstack([np.hstack(line)[:, start:stop] for line in blocks])
    omega = np.random.default_rng([seed, 1]).standard_normal((width, SKETCH))[: stop - start]
    made: Array = wide @ omega.astype(real_type(wide.dtype) if wide.dtype.kind in "fc" else float)
    return made


def pair_sketches(left: Sequence[Array], right: Sequence[Array]) -> Array:
    """(Ψ A_i)(B_j Ω) of all pairs, j running fastest, one row of numbers each."""
    return np.array([(x @ y).ravel() for x in left for y in right])


@final
@dataclass(frozen=True, eq=False, repr=False)
class RemoteScheme(Scheme):
    """Blocks of A times blocks of B, at workers, each once; the results are the blocks of the answer, and stay there.

    Parameters
    ----------
    code : LinearCode
        Each row is one block of the answer, in the order in which workers are to compute them.
    left, right : RemoteMatrix
    lines : tuple of Run
        Rows of A, and so of the answer.
    columns : tuple of Run
    samples : (unknowns, numbers) array, optional
        Sketches of the unknowns, from which errors of estimates are told.
    copies : sequence of (Ref, int)
        Blocks that are to lie at another worker, too, while rows are computed.
    left_out : int
        How many such copies were asked for in vain: workers have no memory for them.
    """

    code: LinearCode
    left: RemoteMatrix
    right: RemoteMatrix
    lines: tuple[Run, ...]
    columns: tuple[Run, ...]
    samples: Array | None = None
    copies: Sequence[tuple[Ref, int]] = ()
    left_out: int = 0

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of the answer."""
        found: np.dtype[Any] = (np.zeros((1, 1), self.left.dtype) @ np.zeros((1, 1), self.right.dtype)).dtype
        return found

    @property
    def epsilon(self) -> float:
        """That of the answer's numbers."""
        return epsilon_of(np.empty(0, self.dtype))

    @property
    def estimator(self) -> Estimator:
        """What is missing is zero: nothing else would be known of it without moving all that is there."""
        return "exact"

    @property
    def flops(self) -> float | None:
        """Of a block of mean size."""
        (m, k), n = self.left.shape, self.right.shape[1]
        return product_flops(m, k, n, self.dtype) / max(1, self.code.rows)

    def block_of(self, unknown: int) -> tuple[Run, Run]:
        """Rows and columns of an unknown."""
        n, p = divmod(unknown, len(self.columns))
        return self.lines[n], self.columns[p]

    def spec_of(self, unknown: int) -> ArraySpec:
        """Shape and type of an unknown."""
        line, column = self.block_of(unknown)
        return ArraySpec((line.size, column.size), self.dtype)

    def task_of(self, unknown: int) -> Task:
        """What is asked of the worker of an unknown; its arguments are references."""
        return Task(multiply_runs, arguments_of(self.left, self.right, *self.block_of(unknown)))

    def encoding(self) -> Encoding:
        """Nothing is encoded."""
        return Encoding([()] * self.code.rows, self._tasks_of)

    def _tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        return [self.task_of(int(self.code.plain[row])) for row in rows]

    def layout(self, result: ArraySpec) -> Layout:
        """There is none here: blocks stay where they are."""
        raise CodeError("the answer of blocks at workers is made there.")

    def prior(self) -> Prior:
        """From the sketches; of blocks without any, as large as they are."""
        if self.samples is not None:
            return prior_of_samples(self.samples)
        return Prior.independent(
            [float(math.prod(self.spec_of(unknown).shape)) for unknown in range(self.code.unknowns)]
        )

    @property
    def parts(self) -> Parts:
        """Blocks of the answer."""
        return Parts((len(self.lines), len(self.columns)), UnevenGrid(self.lines, self.columns))

    def taken(self, snapshot: Snapshot) -> Self:
        """The same: nobody writes into what lies at workers."""
        return self

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Any:
        """Results are references; nothing looks at their numbers."""
        return result

    def answer(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Any], out: Any = None) -> Any:
        """Which results make each target, and by what weights: who has the pool has them combined."""
        return [Target(self.spec_of(t), *_made_of(line, results)) for t, line in enumerate(decoding.matrix)]


@dataclass(frozen=True, eq=False)
class Target:
    """One block of the answer, as it is to be decoded.

    Parameters
    ----------
    spec : ArraySpec
    weights : sequence of float
    results : sequence of Ref
    """

    spec: ArraySpec
    weights: Sequence[float]
    results: Sequence[Ref]

    @property
    def is_result(self) -> bool:
        """Whether it is one result as it is."""
        return len(self.results) == 1 and self.weights[0] == 1.0 and self.results[0].spec == self.spec


def _made_of(line: Floats, results: Sequence[Ref]) -> tuple[list[float], list[Ref]]:
    used = np.flatnonzero(line).tolist()
    return [float(line[i]) for i in used], [results[i] for i in used]


def arguments_of(left: RemoteMatrix, right: RemoteMatrix, line: Run, column: Run) -> tuple[Any, ...]:
    """Arguments of `multiply_runs` for a block of the answer."""
    a = [list(row) for row in left.blocks[line.first : line.last]]
    b = [list(row) for row in right.blocks[:, column.first : column.last]]
    return (a, (line.skip, line.skip + line.size), b, (column.skip, column.skip + column.size))


def remote_code(unknowns: int, order: Sequence[int], owners: Sequence[int], load: Sequence[float]) -> LinearCode:
    """Every unknown once, in an order and at workers that are given.

    Examples
    --------
    >>> remote_code(2, [1, 0], [0, 1], [1.0, 1.0]).generator.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    eye = np.eye(unknowns)
    return LinearCode("plain", eye[list(order)], eye, np.asarray(owners), np.asarray(load), threshold=unknowns)


def inputs_of(tasks: Sequence[Task]) -> tuple[list[Ref], np.ndarray[Any, Any]]:
    """The distinct blocks that tasks need, and which of them each needs, (tasks, blocks)."""
    blocks: dict[str, Ref] = {}
    needs = [{ref.key for ref in refs_in(task.arguments)} for task in tasks]
    for task in tasks:
        blocks.update((ref.key, ref) for ref in refs_in(task.arguments))
    table = np.array([[key in need for key in blocks] for need in needs], dtype=bool)
    return list(blocks.values()), table.reshape(len(tasks), len(blocks))
