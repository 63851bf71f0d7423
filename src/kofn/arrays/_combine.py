"""Linear combinations of large arrays: what encoding and decoding do to payloads. Memory is passed over once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._base._numbers import Array
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
    flat = _flat(outs, real)
    chosen = np.argmax(weights, axis=1)
    copied = np.array_equal(weights, np.eye(weights.shape[1])[chosen])  # blocks as they are

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

    One matrix product a piece, on a copy of the piece that the cache holds: the results need not lie together
    and the targets may be views into the answer.

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

    @np.errstate(over="ignore", invalid="ignore")  # who gave what can overflow looks at the targets
    def piece(start: int, stop: int) -> None:
        stacked = np.empty((len(results), stop - start, *inner), kind)
        for row, result in zip(stacked, results, strict=True):
            row[...] = result[start:stop]
        combined = np.empty((len(targets), *stacked.shape[1:]), stacked.dtype)
        np.matmul(matrix.astype(stacked.real.dtype, copy=False), _as_real(stacked), out=_as_real(combined))
        for target, values in zip(targets, combined, strict=True):
            room = (max(0, min(stop, target.shape[0]) - start), *target.shape[1:])
            if room[0]:
                target[start : start + room[0]] = values[tuple(slice(size) for size in room)]

    for_pieces(piece, length, math.prod(inner) * (len(results) + len(targets)) * kind.itemsize)


def _as_real(stacked: Array) -> Array:
    """View (parts, …) as a real matrix with one row a part: real weights need no complex arithmetic."""
    return stacked.reshape(len(stacked), -1).view(stacked.real.dtype)
