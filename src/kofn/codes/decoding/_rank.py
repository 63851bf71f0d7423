"""How near the targets are while rows arrive: the span of dense and middling codes, the coverage of large ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..._base._numbers import Floats, Indices
from .._linear import LinearCode
from .._sparse import is_sparse

SPAN_NUMBERS = 1 << 22
"""A sparse code keeps a basis of up to so many numbers (a thousand rows take about a second), then only counts."""


def track_rank(code: LinearCode) -> DenseRank | SystematicRank | CoverageRank | CopyRank:
    """Start with no rows of a code.

    Examples
    --------
    >>> space = track_rank(LinearCode("pair", np.eye(2), np.ones((1, 2)), worker=[0, 1]))
    >>> space.add(0), space.is_near, space.add(1), space.is_near
    (True, False, True, True)
    """
    if code.picks is not None:
        return CopyRank(code.picks.tolist(), range(code.unknowns))
    generator = code.generator
    if not code.mixes:
        unknown = np.full(code.rows, -1)
        rows, columns = generator.nonzero()
        unknown[rows] = columns
        return CopyRank(unknown.tolist(), np.flatnonzero(code.targets.any(axis=0)).tolist())
    if not is_sparse(generator):
        plain = np.unique(code.plain)
        if plain.size - (plain[0] < 0) == code.unknowns:
            return SystematicRank(generator, code.targets, code.plain.tolist())
        return DenseRank(code.column_size, code.targets, lambda row: generator[row])
    if code.disjoint is None and min(code.rows, code.unknowns) * code.unknowns <= SPAN_NUMBERS:
        return DenseRank(code.column_size, code.targets, lambda row: generator[[row]].toarray()[0])
    return CoverageRank(generator, code.targets, np.asarray(code.worker), code.disjoint is not None)


class DenseRank:
    """The span of the rows seen so far, grown one row at a time, and how far the targets are from it.

    It costs O(rank·unknowns) a row and tells when a certificate is worth computing; it proves nothing itself. Targets
    are looked at once there are as many rows as they need at least.

    Parameters
    ----------
    scale : (unknowns,) array
        Sizes of the generator's columns, so that no column is invisible beside another.
    targets : (targets, unknowns) array
    row_of : callable
        From the number of a row to its coefficients, (unknowns,).
    """

    def __init__(self, scale: Floats, targets: Floats, row_of: Callable[[int], Floats]) -> None:
        self._row_of = row_of
        self._scale = 1.0 / np.where(scale > 0, scale, 1.0)
        missing = targets * self._scale
        norms = np.linalg.norm(missing, axis=1, keepdims=True)
        self._missing = missing / np.where(norms > 0, norms, 1.0)
        wanted = np.count_nonzero(norms)
        self._distance = float(wanted > 0)  # squared, of the farthest target
        is_disjoint = np.count_nonzero(missing, axis=0).max(initial=0) <= 1
        self._needed = wanted if is_disjoint else 0  # what shares no unknown is orthogonal
        self._basis = np.zeros((min(8, len(scale)), len(scale)))
        self._removed = 0  # so many directions of the basis are no more in what is missing
        self.rank = 0

    def add(self, row: int) -> bool:
        """Add a row and tell whether it was independent of the ones before."""
        vector = self._row_of(row) * self._scale
        size = math.sqrt(vector @ vector)
        if size == 0 or self.rank == len(vector):
            return False
        basis = self._basis[: self.rank]
        vector /= size
        vector -= (basis @ vector) @ basis
        if vector @ vector < 0.5:  # then what rounding left of the first pass may count
            vector -= (basis @ vector) @ basis
        rest = math.sqrt(vector @ vector)
        if rest < 1e-10:
            return False
        self._append(vector / rest)
        return True

    def _append(self, direction: Floats) -> None:
        if self.rank == len(self._basis):
            grown = np.zeros((min(2 * self.rank, len(direction)), len(direction)))
            grown[: self.rank] = self._basis
            self._basis = grown
        self._basis[self.rank] = direction
        self.rank += 1

    @property
    def is_near(self) -> bool:
        """Whether every target may lie in the span, so that `certify` should decide."""
        if self._needed <= self.rank < len(self._scale) and self._removed < self.rank:
            fresh = self._basis[self._removed : self.rank]
            self._missing -= (self._missing @ fresh.T) @ fresh
            self._removed = self.rank
            self._distance = float(np.einsum("ij,ij->i", self._missing, self._missing).max(initial=0.0))
        return self.rank == len(self._scale) or self._distance < 1e-10


class SystematicRank:
    """What `DenseRank` is, for codes that have every unknown as a row: such rows cost nothing.

    Of the others only counts what they say of the unknowns that have not come by themselves.

    Parameters
    ----------
    generator : (rows, unknowns) array
    targets : (targets, unknowns) array
    plain : sequence of int
        The unknown that each row is a multiple of; -1 for others.

    Examples
    --------
    >>> seen = SystematicRank(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.eye(2), [0, 1, -1])
    >>> seen.add(2), seen.is_near, seen.add(1), seen.is_near, seen.rank
    (True, False, True, True, 2)
    """

    def __init__(self, generator: Floats, targets: Floats, plain: Sequence[int]) -> None:
        self._generator, self._targets, self._plain = generator, targets, plain
        self._missing = np.ones(generator.shape[1], dtype=bool)
        self._wanted = np.any(targets != 0, axis=0)
        self._known = 0
        self._combined: list[int] = []
        self._rest: DenseRank | None = None

    def add(self, row: int) -> bool:
        """Add a row and tell whether it was independent of the ones before."""
        unknown = self._plain[row]
        if unknown >= 0 and not self._missing[unknown]:
            return False
        before = self.rank
        if unknown >= 0:
            self._missing[unknown] = False
            self._known += 1
        else:
            self._combined.append(row)
        self._rest = None
        return self.rank > before

    @property
    def rank(self) -> int:
        """Independent rows so far."""
        return self._known + (self._of_combined().rank if self._combined else 0)

    @property
    def is_near(self) -> bool:
        """Whether every target may lie in the span, so that decoding should decide."""
        if not np.any(self._missing & self._wanted):
            return True
        return bool(self._combined) and self._of_combined().is_near

    def _of_combined(self) -> DenseRank:
        """The span of the combinations over what is missing."""
        if self._rest is None:
            combined = self._generator[self._combined]
            rows, sizes = combined[:, self._missing], np.linalg.norm(combined, axis=1)
            scale = np.abs(rows / np.where(sizes > 0, sizes, 1.0)[:, None]).max(axis=0, initial=0.0)
            self._rest = DenseRank(scale, self._targets[:, self._missing], lambda row: rows[row])
            for row in range(len(rows)):
                self._rest.add(row)
        return self._rest


class CoverageRank:
    """What `DenseRank` is for dense rows, for codes that are too large for it: it only counts.

    A target that uses an unknown which no row has seen is out of reach. Where all are seen, disjoint rows decode.
    Others are worth an attempt once one worker has sent everything, or every unknown came alone, or there are as
    many rows as unknowns; from there on after every hundredth more, because an attempt costs more than the rows
    that it could save and a few more rows than necessary make the equations well conditioned.

    Parameters
    ----------
    matrix : (rows, unknowns) CSR array
    targets : (targets, unknowns) array
    worker : (rows,) int array
    disjoint : bool
        Whether any two rows are equal or share no unknown.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> seen = CoverageRank(csr_array([[1, 1, 0], [0, 0, 1]]), np.ones((1, 3)), np.arange(2), disjoint=True)
    >>> seen.add(0), seen.is_near, seen.add(1), seen.is_near
    (True, False, True, True)
    """

    def __init__(self, matrix: Any, targets: Floats, worker: Indices, disjoint: bool) -> None:
        self._matrix = matrix
        self._worker = worker
        self._disjoint = disjoint
        self._open = np.any(targets != 0, axis=0)
        self._wanted = self._left = int(np.sum(self._open))
        self._seen = np.zeros(matrix.shape[1], dtype=bool)
        self._sent = np.zeros(int(worker.max(initial=-1)) + 2, dtype=np.intp)  # the last entry: rows of one unknown
        self._count = 0
        self.rank = 0

    def add(self, row: int) -> bool:
        """Add a row and tell whether it brought an unknown that was not seen before.

        ``rank`` counts such rows: a lower bound on the number of independent ones, and the number itself where
        rows are disjoint.
        """
        start, stop = self._matrix.indptr[row : row + 2]
        columns = self._matrix.indices[start:stop]
        new = columns[~self._seen[columns]]
        self._seen[new] = True
        self._left -= int(np.sum(self._open[new]))
        self._sent[self._worker[row]] += stop - start
        self._sent[-1] += stop - start == 1
        self._count += 1
        self.rank += bool(len(new))
        return bool(len(new))

    @property
    def is_near(self) -> bool:
        """Whether decoding is worth an attempt."""
        if self._left:
            return False
        spare = self._count - self._wanted
        due = spare >= 0 and spare % max(1, self._wanted // 100) == 0
        return bool(self._disjoint or due or self._sent.max() >= self._wanted)


class CopyRank:
    """How near the targets of a code are that mixes nothing: what `kofn.codes.decoding._rank` asks of a space.

    Parameters
    ----------
    unknown : sequence of int
        The unknown that each row is a multiple of; -1 for rows that say nothing.
    wanted : iterable of int
        Unknowns that the targets need.

    Examples
    --------
    >>> seen = CopyRank([0, 1, 0, 1], wanted=[0, 1])
    >>> seen.add(0), seen.add(2), seen.is_near, seen.add(1), seen.is_near
    (True, False, False, True, True)
    """

    def __init__(self, unknown: Sequence[int], wanted: Iterable[int]) -> None:
        self._unknown = unknown
        self._left = set(wanted)
        self._seen = {-1}
        self.rank = 0

    def add(self, row: int) -> bool:
        """Add a row and tell whether it is the first of its unknown."""
        unknown = self._unknown[row]
        if unknown in self._seen:
            return False
        self._seen.add(unknown)
        self._left.discard(unknown)
        self.rank += 1
        return True

    @property
    def is_near(self) -> bool:
        """Whether every unknown that is wanted has come."""
        return not self._left
