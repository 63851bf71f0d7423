"""A matrix in a file, read and written by pieces and never mapped.

A map of a file counts under a limit of address space (``ulimit -v``), and ends the process when somebody cuts the
file short. Reading copies once more than mapping, at the speed of memory.
"""

from __future__ import annotations

import os
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._base._numbers import Array
from .._base._snapshots import Snapshot, memory_map
from ..errors import FileError
from ._source import ALL, WAYS, Cast, Source, lines_of, sides_of

WHOLE_ROWS = 4
"""Rows are read whole when at least one part in so many is wanted."""

STRIDE_BYTES = 1 << 17
"""Lines of up to this size come from the disk sooner all together than one piece of each at a time."""


TICK_SECONDS = 0.02
"""Times of files go in steps shorter than this: a change so soon after another one may not show."""


@dataclass(frozen=True)
class Stamp:
    """How a file was found, so that a change of it shows: its number, its size, and when it was written to.

    Parameters
    ----------
    file : path or int
        Name, or descriptor.
    found : tuple of int
    """

    file: str | int
    found: tuple[int, ...]

    @classmethod
    def of(cls, file: str | int) -> Stamp:
        """The file as it is now; one that was written to just now is waited for, so that later changes show.

        Examples
        --------
        >>> Stamp.of(__file__).require_same()
        """
        found = _found(file)
        soon = found[-1] / 1e9 + TICK_SECONDS - time.time()
        if 0 < soon <= TICK_SECONDS:
            time.sleep(soon)
        return cls(file, found)

    def require_same(self) -> None:
        """Raise `FileError` unless the file is as it was found."""
        if self._changed:
            name = "the file of a matrix" if isinstance(self.file, int) else self.file
            remedy = "leave files alone while they are read, or copy the matrix to memory first"
            raise FileError(f"kofn: {name} was changed or replaced while it was in use; {remedy}.")

    @property
    def _changed(self) -> bool:
        try:
            return _found(self.file) != self.found
        except FileNotFoundError:
            return False  # who has it open has it whole


def _found(file: str | int) -> tuple[int, ...]:
    status = os.stat(file)  # noqa: PTH116  a descriptor, too
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Mapped(Cast):
    """A memory map of a file, which is read when it is needed and refused once the file was changed.

    Parameters
    ----------
    matrix : memmap, or a view of one
    name : str
        Of the file.
    """

    def __init__(self, matrix: Any, name: str) -> None:
        super().__init__(matrix, matrix.dtype)
        self._name = name
        self._stamp = Stamp.of(name)
        self.is_static = not matrix.flags.writeable  # what is written through a map need not show in the file at once

    def taken(self, snapshot: Snapshot) -> Mapped:
        """The same as it is now: from here on, writes through the map show too."""
        self._stamp.require_same()
        if self._matrix.flags.writeable:
            memory_map(self._matrix).flush()  # what is written to a page that is not on the disk yet leaves no time
        return Mapped(self._matrix, self._name)

    def read(self, rows: Any, columns: Any) -> Array:
        """Read from the map."""
        self._stamp.require_same()
        return super().read(rows, columns)


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
        self._stamp: Stamp | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all the numbers."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def unchanging(self) -> FileMatrix:
        """The same matrix, which is refused once its file was changed."""
        self._stamp = Stamp.of(self._file.number)
        return self

    def read(self, rows: Any, columns: Any) -> Array:
        """Return ``matrix[rows, columns]``."""
        if self._stamp is not None:
            self._stamp.require_same()
        return self._read(columns, rows).T if self.by_columns else self._read(rows, columns)

    def __setitem__(self, key: Any, values: Array) -> None:
        rows, columns = sides_of(key)
        if np.ndim(columns) == 1 and np.shape(rows)[1:] == (1,):  # as NumPy has it where both are picked
            rows = np.ravel(rows)
        elif np.ndim(columns) == np.ndim(rows) == 1:
            raise IndexError(f"{WAYS}; both at once are matrix[rows[:, None], columns]")
        rows, columns = (lines_of(at, length) for at, length in zip((rows, columns), self.shape, strict=True))
        room = [at.stop - at.start if isinstance(at, slice) else len(at) for at in (rows, columns)]
        values = np.broadcast_to(values, room)
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
        numbers = range(count)[lines] if isinstance(lines, slice) else lines
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
        numbers = range(count)[lines] if isinstance(lines, slice) else lines
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
