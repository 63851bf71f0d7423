"""A value that an actor holds: each task sees it as if it were its own, and nothing is copied but what it writes to.

Ray hands out its shared memory read-only, once for all actors of a machine. The same pages are mapped once more for
each task, privately: what is written there becomes a page of that process. Where that cannot be had, the bytes are
copied, once an actor.
"""

from __future__ import annotations

import mmap
import os
import pickle
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._pickling import Buffer, BufferedPickle
from ..local._mmap import map_private

LARGE = 1 << 20
"""Bytes from which a buffer is mapped; to copy less is as quick."""


class Place(NamedTuple):
    """Where a buffer lies: a descriptor of a file that has no name, and the first byte there."""

    fd: int
    first: int


class HeldValue:
    """A resident value at an actor.

    Parameters
    ----------
    payload : BufferedPickle
        As Ray gave it: as long as its buffers are held, Ray leaves them where they are.

    Examples
    --------
    >>> held = HeldValue(BufferedPickle.of(np.zeros(3)))
    >>> mine = held.view()
    >>> mine += 1
    >>> held.view()
    array([0., 0., 0.])
    """

    def __init__(self, payload: BufferedPickle) -> None:
        self._payload = payload
        self._stream, self._buffers = b"", list[Buffer]()
        self._places: list[Place | None] = []
        if payload.size < LARGE:
            return
        stream, buffers = payload.plain()
        places = [place_of(buffer) if len(buffer) >= LARGE else None for buffer in buffers]
        for place in filter(None, places):
            weakref.finalize(self, os.close, place.fd).atexit = False
        if all(place or len(buffer) < LARGE for place, buffer in zip(places, buffers, strict=True)):
            self._stream, self._buffers, self._places = stream, list(buffers), places

    @property
    def is_shared(self) -> bool:
        """Whether its large arrays are those of Ray's store, and no copies."""
        return any(self._places)

    def view(self) -> Any:
        """Return the value for one task."""
        if not self.is_shared:
            return self._payload.view()
        pairs = zip(self._buffers, self._places, strict=True)
        buffers = [buffer.copy() if place is None else _mapped(buffer, place) for buffer, place in pairs]
        return pickle.loads(self._stream, buffers=buffers)


def _mapped(buffer: Buffer, place: Place) -> Buffer:
    skipped = place.first % mmap.PAGESIZE
    block = map_private(place.fd, skipped + len(buffer), place.first - skipped)
    vars(block)["of"] = buffer  # a task may keep the array for longer than the actor holds the value
    return np.asarray(block)[skipped:]


def place_of(buffer: Buffer) -> Place | None:
    """Where the bytes of a buffer lie in the memory that Ray shares; None where that cannot be known.

    Examples
    --------
    >>> place_of(np.zeros(10, np.uint8)) is None  # it is this process's own
    True
    """
    begin = int(buffer.__array_interface__["data"][0])
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, access, offset, _, inode, *_ = line.split()
            low, high = (int(edge, 16) for edge in span.split("-"))
            if low <= begin and begin + len(buffer) <= high and access.endswith("s"):
                fd = _opened(int(inode))
                return None if fd is None else Place(fd, int(offset, 16) + begin - low)
    return None


def _opened(inode: int) -> int | None:
    """A descriptor of a file without a name that Ray's store has open: it is in the process that started this one."""
    for path in Path(f"/proc/{os.getppid()}/fd").iterdir():
        with suppress(OSError):
            if path.stat().st_ino == inode and "plasma" in str(path.readlink()):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None
