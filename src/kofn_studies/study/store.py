"""Where finished points are kept: one file each, written whole or not at all, so that processes may share a folder."""

from __future__ import annotations

import fcntl
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from kofn.arrays import replacing
from kofn.errors import FileError

from .point import Point, Result

OF, SECONDS, MEMORY = "of", "processor-seconds", "peak-bytes"
"""Names in a file beside those of the result, each with `OWN` before it."""

OWN = "point."

RESERVE_BYTES = 8 << 20
"""Kept back on the disk: where it is full, what was being computed can still be written down."""


class Store:
    """A folder of finished points.

    Parameters
    ----------
    folder : path
        Made if need be.

    Raises
    ------
    FileError
        It cannot be made or written to, or there is no room.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._known: dict[str, Result] = {}
        self._costs: dict[str, tuple[float, int]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._set_aside()
        except OSError as error:
            raise FileError(_unwritable(self.folder, error)) from None

    def get(self, point: Point) -> Result | None:
        """What came of a point; None where it is not there, or its file is damaged or of something else."""
        if point.digest not in self._known:
            held = self._read(point)
            if held is None:
                return None
            self._known[point.digest], self._costs[point.digest] = held
        return self._known[point.digest]

    def add(self, point: Point, result: Result, seconds: float = 0.0, peak: int = 0) -> None:
        """Write a finished point down.

        Parameters
        ----------
        point : Point
        result : mapping of str to array
        seconds : float
            Of a processor, that it took.
        peak : int
            Bytes of memory that its process had at most.

        Raises
        ------
        FileError
            The disk is full, or the folder is gone. Where there was a reserve, the point was written down all the
            same, but nothing more may be computed.
        """
        try:
            self._write(point, result, seconds, peak)
        except FileError:
            if not self._reserve.exists():
                raise
            self._reserve.unlink(missing_ok=True)
            self._write(point, result, seconds, peak)
            raise
        finally:
            self._known[point.digest] = {name: np.asarray(value) for name, value in result.items()}
            self._costs[point.digest] = seconds, peak

    def cost(self, point: Point) -> tuple[float, int]:
        """Processor seconds and peak bytes of a point that is there."""
        return self._costs[point.digest] if self.get(point) is not None else (0.0, 0)

    @contextmanager
    def claim(self, point: Point) -> Iterator[bool]:
        """Keep other processes from computing a point; false where one of them does so already.

        A claim ends with its process, however that ends.

        Raises
        ------
        FileError
            The folder is gone, cannot be written to, or is of a file system without locks.
        """
        path = self.folder / f"{point.digest}.claim"
        try:
            file = _locked(path)
        except OSError as error:
            raise FileError(_unwritable(self.folder, error)) from None
        if file is None:
            yield False
            return
        with file:
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)

    @property
    def _reserve(self) -> Path:
        return self.folder / "reserve"

    def _set_aside(self) -> None:
        """Take the room of the reserve, for good and not only by name."""
        if self._reserve.exists() and self._reserve.stat().st_size == RESERVE_BYTES:
            return
        part = self._reserve.with_suffix(f".{os.getpid()}-{threading.get_ident()}")  # others may do the same just now
        try:
            with part.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            part.replace(self._reserve)
        finally:
            part.unlink(missing_ok=True)

    def _path(self, point: Point) -> Path:
        return self.folder / f"{point.digest}.npz"

    def _write(self, point: Point, result: Result, seconds: float, peak: int) -> None:
        said: Mapping[str, Any] = {OF: point.identity, SECONDS: seconds, MEMORY: peak}
        with replacing(self._path(point), "--out") as file:
            np.savez(file, **result, **{OWN + name: np.array(value) for name, value in said.items()})  # type: ignore[arg-type]

    def _read(self, point: Point) -> tuple[Result, tuple[float, int]] | None:
        try:
            with self._path(point).open("rb") as raw:
                with zipfile.ZipFile(raw) as whole:
                    if whole.testzip() is not None:  # NumPy looks at a checksum only where it reads to the end
                        return None
                raw.seek(0)
                with np.load(raw, allow_pickle=False) as file:
                    held = {name: file[name] for name in file.files}
            own = {name: held.pop(OWN + name).item() for name in (OF, SECONDS, MEMORY)}
        except Exception:  # there is none, or it is damaged, and then zip files and arrays may raise whatever they like
            return None
        return (held, (own[SECONDS], own[MEMORY])) if own[OF] == point.identity else None


def _locked(path: Path) -> IO[str] | None:
    """A file, made if need be and locked; None where somebody else has locked it.

    Whoever lets a claim go deletes its file. One that was opened before that and is locked after it has no name any
    more, and keeps nobody out: then the file of that name is the one to lock.
    """
    while True:
        with ExitStack() as opened:
            file = opened.enter_context(path.open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            if _is_at(file, path):
                opened.pop_all()
                return file


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _unwritable(folder: Path, error: OSError) -> str:
    reason = error.strerror or error
    must, remedy = "be a folder to keep finished points in", "make room or choose another"
    return f"kofn figure: '--out' must {must}, but {folder}: {reason}; {remedy}."
