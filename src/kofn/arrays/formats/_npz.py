"""Arrays in a ``.npz`` archive: what is not compressed stays there and is read by pieces; what is sparse is loaded."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from .._file import Descriptor, FileMatrix
from .._npy import header, opened, refused, require_whole

SPARSE = {"format.npy", "shape.npy", "data.npy"}
"""Members of an archive that `scipy.sparse.save_npz` wrote."""

LOCAL_HEADER = 30
"""Bytes of what stands before a member of an archive, but for two texts of the lengths that it names at its end."""

STEP_BYTES = 1 << 20
"""So much is decompressed at a time."""

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, struct.error)
"""What reading a damaged archive, or an encrypted one, may raise."""


def read_npz(path: str, name: str | None, argument: str) -> Any:
    """The matrix of that name in an archive, the only one by default; or a refusal.

    Returns
    -------
    FileMatrix, ndarray or sparse array
        An array that is not compressed stays in the file.
    """
    with opened(path, argument) as file, _mended(path, argument):
        archive = zipfile.ZipFile(file)
        members = {info.filename: info for info in archive.infolist()}
        if name is None and members.keys() >= SPARSE:
            return _sparse(path, argument)
        info = members[_member(path, name, list(members), argument)]
        shown = f"{path}:{info.filename.removesuffix('.npy')}"
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
            return _stored(file, info, shown, argument)
        with archive.open(info) as member:
            return _inflated(member, info.file_size, shown, argument)


@contextmanager
def _mended(path: str, argument: str) -> Iterator[None]:
    """Say of an archive that is damaged that it is."""
    try:
        yield
    except BROKEN as error:
        got, remedy = f"{path} ({error})", "save it again with numpy.savez or scipy.sparse.save_npz"
        raise refused(argument, "be a whole .npz archive", got, remedy) from None


def _member(path: str, name: str | None, members: list[str], argument: str) -> str:
    names = [one.removesuffix(".npy") for one in members if one.endswith(".npy")]
    if name is None and len(names) == 1:
        return f"{names[0]}.npy"
    if name in names:
        return f"{name}.npy"
    listed = ", ".join(names[:12]) + ", …" * (len(names) > 12) if names else "no array"
    if name is None:
        remedy = f"write {path}:{names[0]}, for example" if names else "save it again with numpy.savez"
        raise refused(argument, "hold one array, or be named with one of its arrays", f"{path} with {listed}", remedy)
    raise refused(argument, f"name an array of {path}", name, f"it holds {listed}")


def _stored(file: IO[bytes], info: zipfile.ZipInfo, shown: str, argument: str) -> FileMatrix:
    """A matrix that lies in the archive as it would lie in a file of its own."""
    file.seek(info.header_offset)
    lengths = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
    start = info.header_offset + LOCAL_HEADER + sum(lengths)
    file.seek(start)
    shape, dtype, fortran = header(file, shown, argument)
    require_whole(shown, argument, start + info.file_size - file.tell(), math.prod(shape) * dtype.itemsize)
    return FileMatrix(Descriptor(file.fileno()), shape, dtype, file.tell(), by_columns=fortran).unchanging()


def _inflated(member: IO[bytes], size: int, shown: str, argument: str) -> np.ndarray[Any, Any]:
    """A matrix that was compressed, in memory; its check sum is looked at when it ends."""
    shape, dtype, fortran = header(member, shown, argument)
    require_whole(shown, argument, size - member.tell(), math.prod(shape) * dtype.itemsize)
    matrix = np.empty(shape, dtype, order="F" if fortran else "C")
    rest = matrix.reshape(-1, order="A").view(np.uint8).data
    while rest:
        got = member.read(min(len(rest), STEP_BYTES))
        if not got:
            raise EOFError("it was cut short")
        rest[: len(got)] = got
        rest = rest[len(got) :]
    member.read()  # to its end, where the check sum is
    return matrix


def _sparse(path: str, argument: str) -> Any:
    from scipy.sparse import load_npz

    try:
        matrix = load_npz(path)
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # who multiplies trusts its indices
    except MemoryError:
        raise
    except Exception as error:  # what nonsense raises depends on the nonsense and on SciPy's version
        text = str(error).partition("\n")[0].rstrip(".")
        remedy = "save it again with scipy.sparse.save_npz"
        raise refused(argument, "hold a whole sparse matrix", f"{path} ({text})", remedy) from None
    return matrix
