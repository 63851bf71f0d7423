"""Dask arrays as sources: computed chunk by chunk, never gathered."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .._base._numbers import Array
from ..checks import as_array, refusal
from ._source import Source

CALL = "kofn.matmul"


class DaskMatrix(Source):
    """A two-dimensional `dask.array.Array` read by pieces; passes over all of it compute each chunk once.

    Where it is computed is Dask's affair: on threads, or on the cluster of the client in use. One chunk at a time
    comes here.

    Parameters
    ----------
    array : dask.array.Array
        Of known chunk sizes.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self.dtype = np.dtype(array.dtype)
        rows, columns = (_slices(sizes) for sizes in array.chunks)
        self.chunks = list(itertools.product(rows, columns))

    def read(self, rows: Any, columns: Any) -> Array:
        """Compute what is asked for."""
        chunk, masked = as_array(self._array[rows, columns].compute())
        if masked:  # what Dask says of its chunks without computing them may be wrong
            must, remedy = "hold arrays without a mask", "fill them, with map_blocks(np.ma.filled, 0.0)"
            raise refusal(CALL, "the Dask array", must, "a chunk in which numbers are masked", remedy)
        if chunk.shape != (wanted := (_count(rows, self.shape[0]), _count(columns, self.shape[1]))):
            must, remedy = "hold chunks of the sizes that it says", "give map_blocks the chunks of what it returns"
            raise refusal(CALL, "the Dask array", must, f"{chunk.shape} in place of {wanted}", remedy)
        if chunk.dtype != self.dtype and not (chunk.dtype.kind in "fc" and np.can_cast(chunk.dtype, self.dtype)):
            must, remedy = f"hold {self.dtype}, as it says of itself", "give map_blocks the dtype of what it returns"
            raise refusal(CALL, "the Dask array", must, f"a chunk of {chunk.dtype}", remedy)
        return chunk.astype(self.dtype, copy=False)


def _count(chosen: Any, length: int) -> int:
    """How many rows or columns a slice or an index array picks."""
    return len(range(length)[chosen]) if isinstance(chosen, slice) else len(chosen)


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True) if size]
