"""Zarr: an array on the disk in chunks, which is read and written chunk by chunk."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from ..._base._numbers import Array
from ...errors import FileError, require
from .._npy import refused, require_matrix, require_numbers
from .._source import Source

REMEDY = "write it again with zarr.save"


class ZarrMatrix(Source):
    """A matrix in a Zarr array; one chunk at a time comes into memory.

    Parameters
    ----------
    array : zarr.Array
        Of two dimensions. Chunks that were never written hold its fill value, as Zarr has it.
    shown : str
        What the user calls it.
    """

    is_static = False

    def __init__(self, array: Any, shown: str) -> None:
        self._array, self._shown = array, shown
        self.shape = (int(array.shape[0]), int(array.shape[1]))
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        rows, columns = (_slices(*side) for side in zip(self.shape, array.chunks, strict=True))
        self.chunks = list(itertools.product(rows, columns))

    def read(self, rows: Any, columns: Any) -> Array:
        """Read the chunks that hold what is asked for."""
        try:
            found = self._array.oindex[rows, columns]
        except MemoryError:
            raise
        except Exception as error:  # each codec has its own way to say that a chunk is no chunk
            text = str(error).partition("\n")[0].rstrip(".")
            raise FileError(f"kofn: a chunk of {self._shown} cannot be read ({text}); {REMEDY}.") from error
        return np.asarray(found, self.dtype)


def _slices(length: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def read_zarr(path: str, name: str | None, argument: str) -> ZarrMatrix:
    """The array in a Zarr folder, or that of this name in a group; or a refusal."""
    with require(f"{argument}: a Zarr array", "zarr"):
        import zarr

    try:
        found = zarr.open(path, mode="r")
        arrays = {} if isinstance(found, zarr.Array) else dict(found.arrays())
    except Exception as error:  # what nonsense raises depends on the nonsense and on Zarr's version
        text = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise refused(argument, "be a Zarr array that can be read", f"{path} ({text})", "check the path") from None
    if isinstance(found, zarr.Array) and name is None:
        array = found
    elif len(arrays) == 1 and name is None:
        (array,) = arrays.values()
    elif name in arrays:
        array = arrays[name]
    else:
        got = f"{path} with {', '.join(sorted(arrays)) or 'no array'}" if name is None else f"{path}:{name}"
        remedy = f"write {path}:{min(arrays)}, for example" if arrays else "leave the name out"
        raise refused(argument, "name an array of the group", got, remedy)
    shown = path if name is None else f"{path}:{name}"
    require_matrix(array.shape, shown, argument)
    require_numbers(np.dtype(array.dtype), shown, argument)
    return ZarrMatrix(array, shown)


def write_zarr(path: Path, matrix: Any) -> None:
    """Write a matrix, one row of chunks at a time; ``path`` is new."""
    with require("a Zarr array", "zarr"):
        import zarr

    array = zarr.open_array(str(path), mode="w-", shape=matrix.shape, dtype=matrix.dtype)
    for start in range(0, matrix.shape[0], array.chunks[0]):
        array[start : start + array.chunks[0]] = matrix[start : start + array.chunks[0]]
