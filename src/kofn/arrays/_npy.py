"""Reading matrices and writing results: never a pickle, header first, and the old file stays whole."""

from __future__ import annotations

import errno
import math
import os
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from .._base._numbers import Array
from ..checks import refusal
from ..errors import FileError
from ._file import Descriptor, FileMatrix
from ._source import Cast, Source, tiles

Name = str | os.PathLike[str]

CALL = "kofn"
HEADERS = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): npy.read_array_header_2_0,  # the same in UTF-8, where a header of plain numbers is the same too
}


EXACT = 1 << 53
"""The integers up to here float64 has all; of larger ones it rounds some."""


def read_matrix(path: Name, argument: str) -> Source:
    """Open a matrix of numbers in a ``.npy`` file, or refuse it with a reason.

    Parameters
    ----------
    path : path
    argument : str
        What the caller calls the file, for the sentence of a refusal.

    Returns
    -------
    FileMatrix, or what reads one as float64
        Only what is used of it is read; integers are converted then.

    Raises
    ------
    FileError
        The file is missing, unreadable, cut short, pickled, not numeric, or not a matrix, or has integers that float64
        cannot hold.

    Examples
    --------
    >>> read_matrix("no/such/file.npy", "A")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kofn.errors.FileError: kofn: 'A' must be a file that can be read, but got no/such/file.npy (No such...
    """
    with opened(path, argument) as file:
        shape, dtype, fortran = header(file, path, argument)
        start, have = file.tell(), os.fstat(file.fileno()).st_size - file.tell()
        require_whole(path, argument, have, math.prod(shape) * dtype.itemsize)
        found = FileMatrix(Descriptor(file.fileno()), shape, dtype, start, by_columns=fortran).unchanging()
    floats: Source = in_floats(found, path, argument)
    return floats


def in_floats(matrix: Any, name: object, argument: str) -> Any:
    """The same matrix, or one of integers as float64; refused if that would round one of them.

    Examples
    --------
    >>> in_floats(np.array([[1, 2]]), "A.npz", "A")[:]
    array([[1., 2.]])
    """
    if matrix.dtype.kind not in "iu":
        return matrix
    for tile in tiles(matrix) if matrix.dtype.itemsize == 8 else ():
        piece = matrix[tile]
        for found in (piece.min(initial=0), piece.max(initial=0)):
            if abs(int(found)) > EXACT:
                must = "hold integers of 2**53 at most, and -2**53 at least, which float64 has exactly"
                remedy = "scale them down, or save it again after array.astype(float) if it may be rounded"
                raise refused(argument, must, f"{name} with {found}", remedy)
    return Cast(matrix, np.dtype(float))


def header(file: IO[bytes], name: object, argument: str) -> tuple[tuple[int, int], np.dtype[Any], bool]:
    """The shape, the type and whether columns lie together of a ``.npy`` file whose numbers come next, or a refusal."""
    shape, fortran, dtype = _header(file, name, argument)
    require_numbers(dtype, name, argument)
    return require_matrix(shape, name, argument), dtype, fortran


def require_numbers(dtype: np.dtype[Any], name: object, argument: str) -> None:
    """Refuse what is no dense matrix that codes could combine, nor integers that can become one."""
    if dtype.char not in "fdFD" and dtype.kind not in "iu":
        what = "pickled Python objects" if dtype.hasobject else f"dtype {dtype}"
        remedy = "save it again after array.astype(float)"
        raise refused(argument, "hold float32, float64, complex numbers or integers", f"{name} with {what}", remedy)


def require_matrix(shape: tuple[int, ...], name: object, argument: str) -> tuple[int, int]:
    """Refuse what has not two dimensions."""
    if len(shape) != 2:
        raise refused(argument, "have 2 dimensions", f"{name} of shape {shape}", "reshape it and save it again")
    return shape[0], shape[1]


def require_whole(name: object, argument: str, have: int, size: int) -> None:
    """Refuse what has fewer bytes than its header speaks of."""
    if have < size:
        must = f"hold the {size} bytes of numbers that its header speaks of"
        raise refused(argument, must, f"{name} with {have}", "it was cut short; save or copy it again")


def check_target(path: Name, argument: str, size: int = 0) -> None:
    """Refuse a place for a file of ``size`` bytes that could not be written, without changing anything.

    Examples
    --------
    >>> check_target("no/such/C.npy", "--out")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kofn.errors.FileError: kofn: '--out' must lie in a folder that exists, but got no/such/C.npy; ...
    """
    target = _resolved(path, argument)
    folder = target.parent
    if not folder.is_dir():
        raise refused(argument, "lie in a folder that exists", path, "make the folder first")
    if target.exists() and not target.is_file():
        kind = "folder" if target.is_dir() else "device or pipe"
        raise refused(argument, "be an ordinary file", f"{path}, a {kind}", "choose another name")
    try:
        file, trial = _beside(target)
        file.close()
        trial.unlink()
        free = _free_bytes(folder)
    except OSError as error:
        raise _unwritable(argument, path, error) from None
    if free < size:
        must = f"lie on a disk with {size} bytes to spare"
        raise refused(argument, must, f"{path} with {free}", "make room or choose another disk")


@contextmanager
def replacing(path: Name, argument: str) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of ``path`` when the block ends well; otherwise nothing changes.

    Raises
    ------
    FileError
        Something could not be written; the old file, if any, is whole and nothing else remains.
    """
    target = _resolved(path, argument)
    part: Path | None = None
    try:
        file, part = _beside(target)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException as error:
        if part is not None:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(argument, path, error) from None
        raise


@contextmanager
def new_matrix(path: Name, shape: tuple[int, int], dtype: np.dtype[Any], argument: str) -> Iterator[FileMatrix]:
    """A ``.npy`` file to be written by pieces, which takes the place of ``path`` when the block ends well.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with new_matrix(f"{folder}/C.npy", (2, 1), np.dtype(float), "C") as matrix:
    ...         matrix[1:2] = np.array([[3.0]])
    ...     np.load(f"{folder}/C.npy").tolist()
    [[0.0], [3.0]]
    """
    with replacing(path, argument) as file:
        described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, described)
        file.flush()
        matrix = FileMatrix(Descriptor(file.fileno()), shape, dtype, file.tell())
        os.ftruncate(file.fileno(), file.tell() + matrix.nbytes)
        matrix.filename = Path(path).resolve()
        try:
            yield matrix
        except OSError as error:
            if error.errno == errno.ENOMEM:  # the file is not to blame
                raise MemoryError(str(error)) from error
            raise


def write_matrix(path: Name, matrix: Array, argument: str = "path") -> None:
    """Write a matrix as a ``.npy`` file: all of it, or nothing.

    Raises
    ------
    FileError
        It could not be written; the old file, if any, is whole.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_matrix(f"{folder}/C.npy", np.eye(2))
    ...     read_matrix(f"{folder}/C.npy", "C")[1:]
    array([[0., 1.]])
    """
    with new_matrix(path, (matrix.shape[0], matrix.shape[1]), matrix.dtype, argument) as file:
        file[:] = matrix


@contextmanager
def opened(path: Name, argument: str) -> Iterator[IO[bytes]]:
    """A file to be read, or a refusal of what cannot be."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise refused(argument, "be a file that can be read", f"{path} ({why})", "check the path") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise refused(argument, "be an ordinary file", path, "copy it to one first")
        yield file


def _header(file: IO[bytes], name: object, argument: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = HEADERS[npy.read_magic(file)](file)
        if min(shape, default=0) < 0:
            raise ValueError("negative dimension")
    except Exception:  # what a header of nonsense raises depends on the nonsense and on NumPy's version
        remedy = "write it with numpy.save"
        raise refused(argument, "be a NumPy .npy file with a whole header", name, remedy) from None
    return shape, fortran, dtype


def _resolved(path: Name, argument: str) -> Path:
    """Where a file that is to be written lies, which links may lead to."""
    try:
        target = Path(path).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            target.stat()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, links in a circle, a null byte
        raise _unwritable(argument, path, error) from None
    return target


def _beside(target: Path) -> tuple[IO[bytes], Path]:
    part = target.with_name(f".{target.name[:100]}.{token_hex(6)}.part")
    # Not tempfile: the mode is what the user's umask asks for.
    return os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "w+b"), part


def _free_bytes(folder: Path) -> float:
    disk = os.statvfs(folder)
    blocks = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
    return blocks * disk.f_frsize if disk.f_blocks else math.inf


def _unwritable(argument: str, path: Name, error: Exception) -> FileError:
    got = f"{path} ({getattr(error, 'strerror', None) or error})"
    remedy = "choose another place or make room; nothing there was changed"
    return refused(argument, "be a file that can be written", got, remedy)


def refused(argument: str, must: str, got: object, remedy: str) -> FileError:
    """Build (not raise) the exception for a file that cannot be read or written as asked."""
    return FileError(str(refusal(CALL, argument, must, got, remedy)))
