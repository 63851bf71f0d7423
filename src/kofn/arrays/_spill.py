"""Results that do not fit into memory: kept in a file without a name, which goes with the last of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from .._base._numbers import Array
from ..checks import refusal
from ..errors import FileError
from ._file import Descriptor, FileMatrix


class SpillFile:
    """Room for the results of a job.

    Parameters
    ----------
    call : str
        Who asks, for the sentence of a refusal.
    folder : path
    rows : int
        How many results there can be.
    size : int
        Bytes of one.

    Examples
    --------
    >>> import numpy as np
    >>> spill = SpillFile("f", tempfile.gettempdir(), 2, 32)
    >>> spill.keep(1, np.eye(2))[1:2]
    array([[0., 1.]])
    """

    def __init__(self, call: str, folder: str | os.PathLike[str], rows: int, size: int) -> None:
        self._size, self._call, self._folder = size, call, os.fspath(folder)
        try:
            free = shutil.disk_usage(folder).free
            with tempfile.TemporaryFile(dir=folder) as file:
                self._file = Descriptor(file.fileno())
        except OSError as error:
            given = f"{os.fspath(folder)} ({error.strerror or error})"
            raise refusal(call, "scratch", "be a folder for results", given, "name another, or set TMPDIR") from None
        if free < rows * size:
            given = f"{os.fspath(folder)} with {free}"
            must = f"be a folder with {rows * size} bytes to spare for results"
            raise refusal(call, "scratch", must, given, "make room, name another, or set TMPDIR")

    def keep(self, row: int, result: Array) -> Any:
        """Write a result to its place in the file and return what reads it from there.

        Raises
        ------
        FileError
            The disk is full by now, or the system lets files be no longer.
        """
        if result.ndim != 2 or result.nbytes > self._size:
            return result
        kept = FileMatrix(self._file, result.shape, result.dtype, row * self._size)
        try:
            kept[:] = result
        except OSError as error:
            must = f"be a folder where results can be written, {result.nbytes} bytes each"
            given = f"{self._folder} ({error.strerror or error})"
            refused = refusal(self._call, "scratch", must, given, "make room, name another, or set TMPDIR")
            failure = FileError(*refused.args)
            failure.call = self._call
            raise failure from error
        return kept
