"""A matrix in a file, read and written by pieces and never mapped.

A map of a file counts under a limit of address space (``ulimit -v``), and ends the process when somebody cuts the
file short. Reading copies once more than mapping, at the speed of memory.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sources import ALL, Source

Array = NDArray[Any]

WHOLE_ROWS = 4
"""Rows are read whole when at least one part in so many is wanted."""

STRIDE_BYTES = 1 << 17
"""Lines of up to this size come from the disk sooner all together than one piece of each at a time."""


class Descriptor:
    """A duplicate of a file's descriptor, closed when nobody uses it any more."""

    def __init__(self, descriptor: int) -> None:
        self.number = os.dup(descriptor)
        weakref.finalize(self, os.close, self.number).atexit = False


class FileMatrix(Source):
    """The numbers of a matrix at some place in a file.

    Parameters
    ----------
    file : Descriptor
    shape : pair of int
    dtype : dtype
    offset : int
        Where the numbers begin.
    by_columns : bool
        Whether the file holds one column after the other.

    Attributes
    ----------
    filename : Path or None
        What the file is called, where somebody has said so.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     matrix = FileMatrix(Descriptor(file.fileno()), (2, 3), float)
    >>> matrix[:] = np.arange(6.0).reshape(2, 3)
    >>> matrix[1:, 0:2]
    array([[3., 4.]])
    """

    def __init__(
        self, file: Descriptor, shape: tuple[int, int], dtype: Any, offset: int = 0, by_columns: bool = False
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.by_columns = by_columns
        self.filename: Path | None = None
        self._offset = offset
        self._file = file

    @property
    def nbytes(self) -> int:
        """Bytes of all the numbers."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def read(self, rows: Any, columns: Any) -> Array:
        """Return ``matrix[rows, columns]``."""
        return self._read(columns, rows).T if self.by_columns else self._read(rows, columns)

    def __setitem__(self, key: Any, values: Array) -> None:
        rows, columns = key if isinstance(key, tuple) else (key, ALL)
        rows = rows if isinstance(rows, slice) else np.ravel(rows)
        if self.by_columns:
            rows, columns, values = columns, rows, np.transpose(values)
        self._write(rows, columns, values)

    # -- lines: rows, or the columns of what lies by columns -------------------------------------------

    @property
    def _lines(self) -> tuple[int, int]:
        return (self.shape[1], self.shape[0]) if self.by_columns else self.shape

    def _read(self, lines: Any, within: Any) -> Array:
        count, width = self._lines
        if not isinstance(within, slice):
            return self._read(lines, ALL)[:, within]
        start, stop, _ = within.indices(width)
        if isinstance(lines, slice) and (stop - start) * WHOLE_ROWS >= width > stop - start:
            return self._read(lines, ALL)[:, start:stop]
        numbers = range(*lines.indices(count)) if isinstance(lines, slice) else lines
        found = np.empty((len(numbers), max(0, stop - start)), self.dtype)
        if isinstance(lines, slice) and found.shape[1] == width:
            self._fill(found, numbers.start * width)
        else:
            if isinstance(lines, slice) and width * self.dtype.itemsize <= STRIDE_BYTES:
                self._announce(numbers.start * width, len(numbers) * width)
            for row, line in zip(found, numbers, strict=True):
                self._fill(row, int(line) * width + start)
        return found

    def _announce(self, place: int, count: int) -> None:
        """Have a stretch read from the disk in one go, where it will be read here and there."""
        size = self.dtype.itemsize
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.number, self._offset + place * size, count * size, os.POSIX_FADV_WILLNEED)

    def _write(self, lines: Any, within: Any, values: Array) -> None:
        count, width = self._lines
        numbers = range(*lines.indices(count)) if isinstance(lines, slice) else lines
        values = np.ascontiguousarray(values, self.dtype)
        if isinstance(within, slice):
            start, stop, _ = within.indices(width)
            if isinstance(lines, slice) and stop - start == width:
                self._put(values, numbers.start * width)
                return
            for row, line in zip(values, numbers, strict=True):
                self._put(row, int(line) * width + start)
            return
        for row, line in zip(values, numbers, strict=True):
            whole = np.zeros(width, self.dtype)
            self._fill(whole, int(line) * width, short=True)
            whole[within] = row
            self._put(whole, int(line) * width)

    def _fill(self, array: Array, place: int, short: bool = False) -> None:
        at, rest = self._offset + place * self.dtype.itemsize, array.reshape(-1).view(np.uint8).data
        while rest:
            got = os.preadv(self._file.number, [rest], at)
            if not got:
                if short:  # what was never written is zero
                    return
                raise OSError("the file of a matrix was cut short while it was read")
            at, rest = at + got, rest[got:]

    def _put(self, array: Array, place: int) -> None:
        at, rest = self._offset + place * self.dtype.itemsize, array.reshape(-1).view(np.uint8).data
        while rest:
            put = os.pwrite(self._file.number, rest, at)
            at, rest = at + put, rest[put:]
