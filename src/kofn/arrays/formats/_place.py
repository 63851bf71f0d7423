"""Where a product goes: a file of the kind that its name says, which is there whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, final

import numpy as np

from ...errors import require_installed
from .._file import Descriptor, FileMatrix
from .._npy import check_target, new_matrix, refused, replacing
from ._market import write_market
from ._names import ENDINGS, kind_of
from ._zarr import write_zarr

LISTED = ", ".join(ENDINGS)


class Place(ABC):
    """Where a matrix is written.

    Attributes
    ----------
    out : FileMatrix or None
        Where its pieces can be written as they come; None where all of it is needed first.
    """

    out: FileMatrix | None = None

    @abstractmethod
    def write(self, value: Any) -> None:
        """Write the matrix, or what is not written yet of it."""


@final
class _Pieces(Place):
    def __init__(self, out: FileMatrix, at_end: Callable[[FileMatrix], None] | None = None) -> None:
        self.out: FileMatrix = out
        self._at_end = at_end

    def write(self, value: Any) -> None:
        """What is somewhere else is copied."""
        if value is not self.out:
            self.out[:] = value
        if self._at_end is not None:
            self._at_end(self.out)


@final
class _Whole(Place):
    def __init__(self, path: str, argument: str, write: Callable[[IO[bytes], Any], None]) -> None:
        self._path, self._argument, self._write = path, argument, write

    def write(self, value: Any) -> None:
        """All of it, in one go."""
        with replacing(self._path, self._argument) as file:
            self._write(file, value)


def check_place(path: str, argument: str, shape: tuple[int, int], dtype: np.dtype[Any], sparse: bool) -> None:
    """Refuse a name that says no kind of file, or one that does not suit; and a place that cannot be written to."""
    kind = kind_of(path)
    if kind is None:
        raise refused(argument, f"end in one of {LISTED}", path, "choose another name")
    if sparse and kind not in ("npz", "mtx"):
        must = "end in .npz, .mtx or .mtx.gz where both matrices are sparse, as their product is"
        raise refused(argument, must, path, "choose another name")
    target = Path(path)
    if kind != "zarr":
        dense = shape[0] * shape[1] * dtype.itemsize + 128
        check_target(path, argument, dense if kind == "npy" else 0)
        return
    require_installed(f"{argument}: a Zarr array", "zarr")
    if target.exists() and not any((target / name).is_file() for name in ("zarr.json", ".zarray")):
        raise refused(argument, "be a Zarr array, or a new name", path, "choose another name")
    check_target(target.absolute().parent / f".{token_hex(6)}", argument, shape[0] * shape[1] * dtype.itemsize)


@contextmanager
def place(path: str, argument: str, shape: tuple[int, int], dtype: np.dtype[Any], sparse: bool) -> Iterator[Place]:
    """Where a product goes that `check_place` has not refused; nothing is there unless `Place.write` ends well.

    Parameters
    ----------
    path, argument : str
    shape : pair of int
    dtype : dtype
        Of the product.
    sparse : bool
        Whether it is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with place(f"{folder}/C.npz", "C", (1, 2), np.dtype(float), sparse=False) as target:
    ...         target.write(np.array([[1.0, 2.0]]))
    ...     np.load(f"{folder}/C.npz")["arr_0"].tolist()
    [[1.0, 2.0]]
    """
    check_place(path, argument, shape, dtype, sparse)
    kind = kind_of(path)
    if kind == "npy":
        with new_matrix(path, shape, dtype, argument) as matrix:
            yield _Pieces(matrix)
    elif kind == "zarr":
        with _new_zarr(Path(path), argument, shape, dtype) as place:
            yield place
    elif kind == "mtx":
        packed = path.lower().endswith(".gz")
        yield _Whole(path, argument, lambda file, value: write_market(file, value, packed))
    else:
        yield _Whole(path, argument, _save_sparse if sparse else np.savez)


def _save_sparse(file: IO[bytes], value: Any) -> None:
    from scipy.sparse import save_npz

    save_npz(file, value)


@contextmanager
def _new_zarr(path: Path, argument: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[Place]:
    """Pieces go to a file without a name first: they do not come by chunks."""
    target = path.resolve()
    part, old = (target.with_name(f".{target.name[:100]}.{token_hex(6)}.{what}") for what in ("part", "old"))

    def keep(matrix: FileMatrix) -> None:
        write_zarr(part, matrix)
        if target.exists():
            target.replace(old)
        part.replace(target)

    try:
        with tempfile.TemporaryFile(dir=target.parent) as file:
            file.truncate(shape[0] * shape[1] * dtype.itemsize)
            matrix = FileMatrix(Descriptor(file.fileno()), shape, dtype)
            matrix.filename = target
            yield _Pieces(matrix, keep)
    except OSError as error:
        got, remedy = f"{path} ({error.strerror or error})", "choose another place or make room"
        raise refused(argument, "be a place that can be written to", got, remedy) from None
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
