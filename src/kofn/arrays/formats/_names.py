"""Which kind of file a name means, and which array in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["npy", "npz", "mtx", "zarr"]

ENDINGS: dict[str, Kind] = {".npy": "npy", ".npz": "npz", ".mtx": "mtx", ".mtx.gz": "mtx", ".zarr": "zarr"}
"""Kinds of files by how their names end."""

HOLDING: tuple[Kind, ...] = ("npz", "zarr")
"""Kinds that hold several arrays, each under a name."""


def kind_of(path: str) -> Kind | None:
    """The kind of file that a name means.

    Examples
    --------
    >>> kind_of("A.mtx.gz"), kind_of("A.NPZ"), kind_of("A.csv")
    ('mtx', 'npz', None)
    """
    name = path.rstrip("/").lower()
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)


def split_name(given: str) -> tuple[str, str | None]:
    """The file, and the name of the array in it where one is given.

    Examples
    --------
    >>> split_name("data.npz:left"), split_name("data.npz"), split_name("A:B.npy")
    (('data.npz', 'left'), ('data.npz', None), ('A:B.npy', None))
    """
    path, colon, name = given.rpartition(":")
    if colon and kind_of(path) in HOLDING and not Path(given).exists():
        return path, name
    return given, None
