"""A matrix in a file, of whatever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .._npy import in_floats, read_matrix
from .._source import Source
from ._market import read_market
from ._names import kind_of, split_name
from ._npz import read_npz
from ._zarr import read_zarr


def read_file(given: str, argument: str) -> Any:
    """Open a matrix: ``.npy``, ``.npz``, ``.mtx``, ``.mtx.gz`` or ``.zarr``; any other file should be a ``.npy``.

    Parameters
    ----------
    given : str
        A path; of an archive or a Zarr group with several arrays ``path:name``.
    argument : str
        What the caller calls it, for the sentence of a refusal.

    Returns
    -------
    FileMatrix, ZarrMatrix, another that is read by pieces, ndarray or sparse array
        What is not compressed stays in its file and is read by pieces. A sparse matrix stays sparse; dense integers are
        read as float64.

    Raises
    ------
    FileError
        The file is missing, unreadable, cut short, pickled, not numeric, or not a matrix, or has integers that float64
        cannot hold.
    MissingPackage
        It is a Zarr array, and Zarr is not installed.

    Examples
    --------
    >>> read_file("no/such/file.mtx", "A")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kofn.errors.FileError: kofn: 'A' must be a file that can be read, but got no/such/file.mtx (No such...
    """
    path, name = split_name(given)
    kind = kind_of(path)
    if kind == "npz":
        found = read_npz(path, name, argument)
    elif kind == "mtx":
        found = read_market(path, argument)
    elif kind == "zarr" or (Path(path) / "zarr.json").is_file() or (Path(path) / ".zarray").is_file():
        found = read_zarr(path, name, argument)
    else:
        return read_matrix(path, argument)
    return in_floats(found, given, argument) if isinstance(found, np.ndarray | Source) else found
