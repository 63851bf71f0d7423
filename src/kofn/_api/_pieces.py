"""A matrix cut into pieces that lie at workers, beside combinations or copies of them, as `Stripes` deals them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from .._base._numbers import Array, Floats, epsilon_of
from .._base._parallel import PIECE_BYTES, for_pieces
from ..arrays._blocks import Blocks
from ..arrays._combine import TURNED_BYTES, combine
from ..arrays._scaling import balance, scale_by_powers, sizes_of, spread_of
from ..arrays._source import Source, lies_by_columns
from ..arrays._spans import Spans
from ..checks import refusal
from ..codes._linear import LinearCode
from ..codes._stripes import Stripes
from ..schemes._encoding import Factor
from ..schemes._task import Allocate

CALL = "kofn.operator"

FINE_BYTES = 1 << 20
"""A worker's share below this is not cut finer than it has to be: messages would cost more than what they tell."""

UNLIKE = 32.0
"""How much more rounding counts, at most, where rows of unlike sizes are combined (`kofn.arrays._scaling`)."""


class Pieces:
    """The rows of a matrix in pieces of one size, and what stripes add to them.

    The matrix is padded with rows of zeros until all pieces are equally long, so that each is a view of one array,
    which workers of this machine share: where rows need not be raised it is the only copy of the matrix that is made.

    Parameters
    ----------
    stripes : Stripes
    matrix : (m, n) array, Source or SciPy sparse array
        Whose numbers nobody changes.
    sizes : (m,) array
        Norms of its rows.
    rng : numpy.random.Generator

    Attributes
    ----------
    code : LinearCode
    spans : Spans
        How the padded rows are cut, and raised.
    """

    def __init__(self, stripes: Stripes, matrix: Any, sizes: Floats, rng: np.random.Generator) -> None:
        self._stripes, self._matrix = stripes, matrix
        self._is_source = isinstance(matrix, Source) and matrix.chunks is not None  # read once, and never padded
        length = len(sizes) if self._is_source else padded(len(sizes), stripes)
        sizes = np.concatenate([sizes, np.full(length - len(sizes), sizes[-1] if len(sizes) else 1.0)])
        code, epsilon = stripes.code(rng), epsilon_of(matrix)
        _require_digits(stripes, code, epsilon)
        self.spans = balance(sizes, Spans(length, code.unknowns), epsilon, mixed=code.mixes)
        if code.mixes:
            code = replace(code, spread=spread_of(sizes_of(sizes, self.spans), np.ones((1, 1))))
        self.code: LinearCode = code

    def rows(self, allocate: Allocate, store: Array | None = None) -> list[Any]:
        """What each row of the code multiplies.

        Parameters
        ----------
        allocate : callable
        store : (padded, n) array, optional
            The matrix, padded, where there is such a copy already.
        """
        if issparse(self._matrix):
            return self._sparse_rows()
        if self._is_source:
            return Factor(self.code.generator, Blocks(self._matrix, self.spans, 0)).encode(allocate)
        if store is None or self.spans.exponents is not None:
            store = copied(self._matrix, self.spans, allocate)
        pieces = store.reshape(self.code.unknowns, self.spans.size, store.shape[1])
        return [*pieces, *self._spare_rows(store, pieces, allocate)]

    def _spare_rows(self, store: Array, pieces: Array, allocate: Allocate) -> list[Array]:
        spare = self.code.generator[self.code.unknowns :]
        if not self.code.mixes:
            return [pieces[number] for number in spare.argmax(axis=1).tolist()]
        made = allocate((len(spare), *pieces.shape[1:]), store.dtype)
        blocks, each = Blocks(store, Spans(self.spans.length, self.code.unknowns), 0), self._stripes.redundancy
        for stripe, members in enumerate(self._stripes.members):
            mine = slice(stripe * each, (stripe + 1) * each)
            combine(spare[mine][:, members], blocks.only(members.tolist()), made[mine])
        return list(made)

    def _sparse_rows(self) -> list[Any]:
        rows = csr_array(self._matrix)
        if self.spans.length > rows.shape[0]:
            rows = rows.copy()
            rows.resize((self.spans.length, rows.shape[1]))
        rows = raised(rows, self.spans)
        pieces = [rows[span] for span in self.spans.slices]
        spares = ((row, np.flatnonzero(row)) for row in self.code.generator[len(pieces) :])
        return pieces + [
            pieces[used[0]] if len(used) == 1 else csr_array(sum(row[i] * pieces[i] for i in used)).astype(rows.dtype)
            for row, used in spares
        ]


def padded(length: int, stripes: Stripes) -> int:
    """So many rows that they can be cut into pieces of one size."""
    return max(1, -(-length // stripes.unknowns)) * stripes.unknowns


def copied(matrix: Any, spans: Spans, allocate: Allocate) -> Array:
    """A matrix in memory as an array of its own, padded with rows of zeros to the length of spans, and raised."""
    length, inner = matrix.shape
    store = allocate((spans.length, inner), matrix.dtype)

    def piece(start: int, stop: int) -> None:
        powers = None if spans.exponents is None else spans.exponents[start:stop]
        store[start:stop] = scale_by_powers(matrix[start:stop], powers)

    turned = lies_by_columns(matrix)
    for_pieces(piece, length, 2 * max(1, inner) * store.itemsize, TURNED_BYTES if turned else PIECE_BYTES)
    store[length:] = 0
    return store


def raised(matrix: Any, spans: Spans) -> Any:
    """The rows of a sparse matrix as blocks have them: CSR, and raised."""
    rows = csr_array(matrix)
    if spans.exponents is None:
        return rows
    powers = np.repeat(spans.exponents, np.diff(rows.indptr))
    return csr_array((scale_by_powers(rows.data, powers), rows.indices, rows.indptr), rows.shape)


def choose_stripes(workers: int, redundancy: int, copies: bool, nbytes: int) -> Stripes:
    """Stripes for a matrix of so many bytes."""
    return Stripes(workers, redundancy, copies, fine=nbytes >= FINE_BYTES * workers)


def _require_digits(stripes: Stripes, code: LinearCode, epsilon: float) -> None:
    """Refuse combinations that rounding would spoil where the worst workers are lost."""
    amplification = stripes.amplification(code)
    if amplification * UNLIKE * epsilon > np.sqrt(epsilon):
        must = f"leave half of the digits, whichever of the {stripes.workers} workers are lost"
        given = f"{stripes.redundancy}, with which rounding is amplified {amplification:.0f} times"
        raise refusal(CALL, "redundancy", must, given, "lose fewer, use code='repetition', or a matrix of float64")
