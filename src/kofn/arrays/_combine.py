"""Linear combinations of large arrays: what encoding and decoding do to payloads. Memory is passed over once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._base._numbers import Array, Indices
from .._base._parallel import PIECE_BYTES, for_pieces
from ..errors import CodeError
from ._blocks import Blocks
from ._source import Source, chunks_of, lies_by_columns

TURNED_BYTES = 1 << 25
"""Size of a piece of what is read from columns, so that what is read of one of them lies together."""


def combine(weights: Array, blocks: Blocks, outs: Array | Sequence[Array]) -> None:
    """Write linear combinations of the blocks of a matrix into ``outs``.

    Parameters
    ----------
    weights : (combinations, blocks) real array
    blocks : Blocks
    outs : contiguous arrays of the matrix's type, one of the shape of a block for each combination
        Best one array that holds them all.

    Examples
    --------
    >>> from kofn.arrays._spans import Spans
    >>> out = np.empty((1, 1, 2), complex)
    >>> combine(np.array([[1.0, 2.0]]), Blocks(np.array([[1j, 0], [1, 1]]), Spans(2, 2), 0), out)
    >>> out
    array([[[2.+1.j, 2.+0.j]]])
    """
    if not len(outs) or not outs[0].size:
        return
    real = outs[0].real.dtype
    weights = weights.astype(real, copy=False)
    if chunks_of(blocks.matrix) is not None:
        _accumulate(weights, blocks, outs)
        return
    length, inner = blocks.shape
    width = inner * outs[0].itemsize // real.itemsize  # real numbers in a row of a block
    chosen = np.argmax(weights, axis=1)
    copied = np.array_equal(weights, np.eye(weights.shape[1])[chosen])  # blocks as they are
    if copied and isinstance(blocks.matrix, np.ndarray):
        _copy(blocks, chosen, outs)
        return
    flat = _flat(outs, real)

    def piece(start: int, stop: int) -> None:
        parts, here = _as_real(blocks.piece(start, stop)), slice(start * width, stop * width)
        if isinstance(flat, np.ndarray) and not copied:
            np.matmul(weights, parts, out=flat[:, here])
            return
        for out, row in zip(flat, map(parts.__getitem__, chosen) if copied else weights @ parts, strict=True):
            out[here] = row

    turned = isinstance(blocks.matrix, Source) and lies_by_columns(blocks.matrix)
    each = (len(outs) + weights.shape[1]) * inner * outs[0].itemsize
    for_pieces(piece, length, each, TURNED_BYTES if turned else PIECE_BYTES)


def _copy(blocks: Blocks, chosen: Indices, outs: Array | Sequence[Array]) -> None:
    """Write blocks of a matrix in memory as they are: each number is read once and written once."""
    length, width = blocks.shape

    def piece(start: int, stop: int) -> None:
        for number, out in zip(chosen.tolist(), outs, strict=True):
            blocks.copy(number, start, stop, out)

    for_pieces(piece, length, len(outs) * width * blocks.dtype.itemsize)


def _flat(outs: Array | Sequence[Array], real: np.dtype[Any]) -> Array | Sequence[Array]:
    """The numbers of each array, one array where they lie together: products are written to it straight away."""
    if isinstance(outs, np.ndarray) and outs.flags.c_contiguous:
        return _as_real(outs)
    return [out.reshape(-1).view(real) for out in outs]


def _accumulate(weights: Array, blocks: Blocks, outs: Array | Sequence[Array]) -> None:
    """Add up what each chunk of a matrix gives: each is read once, and only one at a time."""
    for out in outs:
        out[...] = 0
    for tile, shares in blocks.tiles():
        for number, inside, place in shares:
            part = tile[inside]
            for weight, out in zip(weights[:, number], outs, strict=True):
                if weight:
                    out[place] += weight * part


def apply(matrix: Array, results: Sequence[Any], targets: Sequence[Any]) -> None:
    """Write ``matrix @ results`` into arrays for the targets.

    A target that is a result goes straight to its place. For the others, one matrix product a piece, on a copy of the
    piece that the cache holds: the results need not lie together and the targets may be views into the answer.

    Parameters
    ----------
    matrix : (targets, received) real array
    results : received arrays of one shape, or what is read like one
    targets : arrays of the results' number of dimensions, or what is written to like one
        What a target has no room for is padding.

    Examples
    --------
    >>> total = np.zeros(2)
    >>> apply(np.array([[1.0, -1.0]]), [np.array([3.0, 4.0]), np.array([1.0, 1.0])], [total])
    >>> total
    array([2., 3.])
    """
    targets = [target if target.shape else target.reshape(1) for target in targets]
    if not results or not targets:
        for target in targets:
            target[: target.shape[0]] = np.zeros(target.shape)
        return
    shapes = {tuple(result.shape) for result in results}
    if len(shapes) > 1:
        raise CodeError(f"results of one code must have one shape, got {' and '.join(map(str, sorted(shapes)))}.")
    length, inner = (results[0].shape or (1,))[0], results[0].shape[1:]
    kind = np.result_type(*{result.dtype for result in results})
    results = [result if result.shape else result.reshape(1) for result in results]

    which = np.where(np.count_nonzero(matrix, axis=1) == 1, np.argmax(matrix == 1.0, axis=1), -1)
    which[~(matrix == 1.0).any(axis=1)] = -1
    mixed = np.flatnonzero(which < 0)
    used = np.flatnonzero(matrix[mixed].any(axis=0))
    weights = matrix[np.ix_(mixed, used)].astype(np.empty(0, kind).real.dtype, copy=False)

    @np.errstate(over="ignore", invalid="ignore")  # who gave what can overflow looks at the targets
    def piece(start: int, stop: int) -> None:
        for target, number in zip(targets, which.tolist(), strict=True):
            if number >= 0:
                _fill(target, start, results[number][start:stop])
        if not mixed.size:
            return
        stacked = np.empty((len(used), stop - start, *inner), kind)
        for row, number in zip(stacked, used.tolist(), strict=True):
            row[...] = results[number][start:stop]
        combined = np.empty((len(mixed), *stacked.shape[1:]), stacked.dtype)
        np.matmul(weights, _as_real(stacked), out=_as_real(combined))
        for number, values in zip(mixed.tolist(), combined, strict=True):
            _fill(targets[number], start, values)

    for_pieces(piece, length, math.prod(inner) * (len(results) + len(targets)) * kind.itemsize)


def _fill(target: Any, start: int, values: Any) -> None:
    """Write rows of a target from ``start`` on, as far as it has room for them; the rest is padding."""
    room = (max(0, min(start + len(values), target.shape[0]) - start), *target.shape[1:])
    if room[0]:
        target[start : start + room[0]] = values[tuple(slice(size) for size in room)]


def _as_real(stacked: Array) -> Array:
    """View (parts, …) as a real matrix with one row a part: real weights need no complex arithmetic."""
    width = math.prod(stacked.shape[1:])  # of no parts, too
    return stacked.reshape(len(stacked), width).view(stacked.real.dtype)
