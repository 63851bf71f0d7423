"""A code is a pair of matrices: workers return rows of ``y = G u`` and the user wants ``T u``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base._numbers import Floats, Indices
from .._base._travel import Remade
from ..checks import as_array
from ..errors import CodeError
from ._certify import backward_limit, certify
from ._sparse import RowGroups, column_maxima, equal_rows, find_groups, freeze, is_sparse


@dataclass(frozen=True, eq=False)
class LinearCode(Remade):
    """A linear code over the reals, with the work that each of its rows costs.

    Parameters
    ----------
    name : str
        What it is called in reports.
    generator : (rows, unknowns) array or SciPy sparse array
        G: row ``r`` says what combination of the unknown results row ``r`` returns.
    targets : (targets, unknowns) array
        T: what the user wants of the unknowns.
    worker : (rows,) int array
        Which worker computes each row, counted from 0. Rows of one worker are computed in the order given.
    load : (rows,) float array, optional
        Work of each row in units of one uncoded task; 1 by default.
    threshold : int, optional
        The recovery threshold: any so many rows recover every target. None when there is no such number.
    spread : (targets, unknowns) array, optional
        How many times larger than a target's numbers those of an unknown can be that is mixed with it: rounding of
        large unknowns is what the small ones are lost in. Left out, all are of like size.

    Raises
    ------
    CodeError
        When the shapes contradict each other or a number is not finite.

    Examples
    --------
    Two sums and their total on three workers, any two of which suffice:

    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> code.rows, code.unknowns, code.workers
    (3, 2, 3)
    >>> code.decodable
    True
    """

    name: str
    generator: Any
    targets: Floats
    worker: Indices
    load: Floats = field(default_factory=lambda: np.ones(0))
    threshold: int | None = None
    spread: Floats | None = None

    def __post_init__(self) -> None:
        generator = freeze(self.generator) if is_sparse(self.generator) else _freeze("generator", self.generator)
        vars(self).update(
            generator=generator,
            targets=_freeze("targets", self.targets),
            worker=_freeze("worker", self.worker, np.intp),
            load=_freeze("load", self.load if np.size(self.load) else np.ones(generator.shape[:1])),
            spread=None if self.spread is None else _freeze("spread", self.spread),
        )
        self._assert()

    def _assert(self) -> None:
        for name, matrix in (("generator", self.generator), ("targets", self.targets)):
            _require(matrix.ndim == 2, f"{name} of code {self.name!r} must have 2 dimensions, got {matrix.ndim}")
            values = matrix.data if is_sparse(matrix) else matrix
            _require(bool(np.isfinite(values).all()), f"{name} of code {self.name!r} must be finite")
        rows, unknowns = self.generator.shape
        wanted = self.targets.shape[1]
        _require(wanted == unknowns, f"targets must have one column per unknown ({unknowns}), got {wanted}")
        for name, vector in (("worker", self.worker), ("load", self.load)):
            _require(vector.shape == (rows,), f"{name} must hold one number per row ({rows}), got {vector.shape}")
        _require(bool(np.all(self.worker >= 0)), "workers are counted from 0, got a negative one")
        _require(bool(np.all(self.load > 0) and np.isfinite(self.load).all()), "load must be positive and finite")
        shape, spread = self.targets.shape, self.targets.shape if self.spread is None else self.spread.shape
        _require(spread == shape, f"spread must have the shape of targets, {shape}, got {spread}")
        least = np.linalg.matrix_rank(self.targets) if self.targets.size else 0
        possible = self.threshold is None or (hasattr(self.threshold, "__index__") and least <= self.threshold <= rows)
        _require(bool(possible), f"threshold must be an int in [{least}, {rows}], got {self.threshold!r}")

    @property
    def rows(self) -> int:
        """Number of rows, that is of results that can arrive."""
        return len(self.worker)

    @cached_property
    def unknowns(self) -> int:
        """Number of unknown results."""
        return int(self.generator.shape[1])

    @property
    def workers(self) -> int:
        """Number of workers that the rows are spread over."""
        return int(self.worker.max(initial=-1)) + 1

    @cached_property
    def mixes(self) -> bool:
        """Whether any row combines several unknowns."""
        if is_sparse(self.generator):
            return bool(np.diff(self.generator.indptr).max(initial=0) > 1)
        return bool(np.count_nonzero(self.generator, axis=1).max(initial=0) > 1)

    @cached_property
    def systematic(self) -> bool:
        """Whether the targets are the unknowns, each is a row as it is, in order, and combinations of them follow."""
        if is_sparse(self.generator) or not self.mixes or self.rows < self.unknowns:
            return False
        one = np.eye(self.unknowns)
        return np.array_equal(self.targets, one) and np.array_equal(self.generator[: self.unknowns], one)

    @cached_property
    def column_size(self) -> Floats:
        """Largest coefficient of each column once rows are scaled to unit size, (unknowns,)."""
        return column_maxima(self.generator)

    @cached_property
    def work(self) -> Floats:
        """Work that a row's worker has done when the row is finished, (rows,): its load and that of rows before."""
        order = np.argsort(self.worker, kind="stable")
        worker, total = self.worker[order], np.cumsum(self.load[order])
        first = np.flatnonzero(np.diff(worker, prepend=-1))
        before = total[first] - self.load[order[first]]
        work = np.empty(self.rows)
        work[order] = total - np.repeat(before, np.diff(first, append=self.rows))
        return work

    @cached_property
    def disjoint(self) -> RowGroups | None:
        """The groups of a sparse code whose rows are equal or disjoint, with which coverage is all; else None."""
        return find_groups(self.generator) if is_sparse(self.generator) and self.rows else None

    @cached_property
    def decodable(self) -> bool:
        """Whether all rows together recover every target."""
        generator = self.generator.toarray() if is_sparse(self.generator) else self.generator
        error = certify(generator, self.targets).backward_error
        return bool(np.all(error <= backward_limit(self.rows, self.unknowns)))

    @cached_property
    def picks(self) -> Indices | None:
        """Which unknown each row is, (rows,), of a code that only copies its targets; else None."""
        return None

    @cached_property
    def groups(self) -> Indices:
        """Number of each row among the distinct ones, (rows,): equal rows have one number, as they say the same."""
        if self.disjoint is not None:
            return self.disjoint.group
        return groups_of(self.generator)

    @cached_property
    def plain(self) -> Indices:
        """Which unknown alone each row is a multiple of, (rows,); -1 for rows that combine several, or none."""
        if self.picks is not None:
            return self.picks
        unknown = np.full(self.rows, -1, dtype=np.intp)
        rows, columns = self.generator.nonzero()
        unknown[rows] = columns
        unknown[np.bincount(rows, minlength=self.rows) != 1] = -1
        return unknown

    @cached_property
    def spares(self) -> Mapping[int, frozenset[int]]:
        """Rows without which each unknown is still a row: which unknowns each of them speaks of.

        These are combinations, and of rows that are the same unknown all but the first.

        Examples
        --------
        >>> rows = [[1, 0], [0, 1], [1, 1], [1, 0]]
        >>> LinearCode("pair", rows, np.eye(2), worker=[0, 1, 2, 2]).spares
        {2: frozenset({0, 1}), 3: frozenset({0})}
        """
        first = {unknown: row for row, unknown in reversed(list(enumerate(self.plain.tolist())))}
        spare = [row for row, unknown in enumerate(self.plain.tolist()) if unknown < 0 or first[unknown] != row]
        rows, columns = self.generator[spare].nonzero()
        parts = np.split(columns, np.searchsorted(rows, np.arange(1, len(spare))))
        return {row: frozenset(part.tolist()) for row, part in zip(spare, parts, strict=False)}

    def extended(self, row: Floats, worker: int, load: float = 1.0) -> LinearCode:
        """The code with one more row at its end; of a dense one. It has no threshold any more.

        Examples
        --------
        >>> LinearCode("plain", np.eye(2), np.eye(2), worker=[0, 1]).extended(np.array([1.0, 1.0]), 1).generator
        array([[1., 0.],
               [0., 1.],
               [1., 1.]])
        """
        if is_sparse(self.generator) or row.shape != (self.unknowns,) or not np.isfinite(row).all():
            raise CodeError(f"a row of code {self.name!r} must be {self.unknowns} finite numbers, got {row}.")
        # What is there was checked, which took as long as to decode it.
        made = object.__new__(LinearCode)
        vars(made).update(
            name=self.name,
            generator=_freeze("generator", np.vstack([self.generator, row])),
            targets=self.targets,
            worker=_freeze("worker", np.append(self.worker, worker), np.intp),
            load=_freeze("load", np.append(self.load, load)),
            threshold=None,
            spread=self.spread,
        )
        return made

    def on_workers(self, count: int) -> LinearCode:
        """Return the same code with its workers folded onto ``count``, worker ``w`` onto ``w % count``.

        Equal rows that would meet at a worker are kept apart (`keep_apart`).
        """
        _require(count >= 1, f"a code needs at least one worker, got {count}")
        if count >= self.workers:
            return self
        return replace(self, worker=keep_apart(self.worker % count, self.groups, count))


def groups_of(generator: Any) -> Indices:
    """Number of each row among the distinct ones, (rows,).

    Examples
    --------
    >>> groups_of(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -0.0]])).tolist()
    [0, 1, 0]
    """
    if is_sparse(generator):
        return equal_rows(generator)[0]
    numbers: dict[bytes, int] = {}
    rows = generator + 0.0  # -0.0 is 0.0
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows], dtype=np.intp)


def keep_apart(worker: Indices, group: Indices, count: int) -> Indices:
    """Workers of rows, such that equal rows share one of ``count`` workers only where there are more of them than that.

    A straggler would hold up all that it has. A row stays where it is unless another worker has fewer of its
    equals before it; it goes to the one of those that has fewest rows.

    Parameters
    ----------
    worker : (rows,) int array
        Where rows would be otherwise.
    group : (rows,) int array
        Equal rows have one number.
    count : int

    Examples
    --------
    >>> keep_apart(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1]), 2).tolist()
    [0, 1, 1, 0]
    """
    if len(np.unique(worker * (group.max(initial=0) + 1) + group)) == len(worker):
        return worker
    held: dict[int, Indices] = {}
    rows = np.zeros(count, dtype=np.intp)
    apart = worker.copy()
    for row, (first, number) in enumerate(zip(worker.tolist(), group.tolist(), strict=True)):
        equals = held.setdefault(number, np.zeros(count, dtype=np.intp))
        if equals[first] > (least := equals.min()):
            order = np.flatnonzero(equals == least)
            apart[row] = order[np.lexsort(((order - first) % count, rows[order]))[0]]
        equals[apart[row]] += 1
        rows[apart[row]] += 1
    return apart


def _freeze(name: str, values: ArrayLike, dtype: type = np.float64) -> NDArray[Any]:
    try:
        given, masked = as_array(values)
        if masked:
            raise TypeError("masked numbers")
        if given.dtype.kind not in ("biu" if dtype is np.intp else "biuf") and given.size:
            raise TypeError(f"numbers of type {given.dtype}")
        array: NDArray[Any] = np.array(given, dtype=dtype)
    except (TypeError, ValueError) as error:
        must = "a vector of ints" if dtype is np.intp else "a matrix or vector of real numbers"
        raise CodeError(f"{name} of a code must be {must}, got {error}.") from None
    array.setflags(write=False)
    return array


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise CodeError(sentence + ".")
