"""Memory maps that hold no descriptor.

`mmap.mmap` keeps a duplicate of its descriptor (until Python 3.13 with ``trackfd=False``), so that a user who
holds a thousand results would run out of them. These maps live as long as anything looks at their bytes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from functools import cache

import numpy as np

MappedBytes = ctypes.Array[ctypes.c_ubyte]
"""Mapped bytes; supports the buffer protocol."""


def map_shared(fd: int, size: int) -> MappedBytes:
    """Map ``size`` bytes of a file for reading and writing.

    Examples
    --------
    >>> fd = os.memfd_create("example") if hasattr(os, "memfd_create") else os.open("/dev/zero", os.O_RDWR)
    >>> os.truncate(fd, 3) if hasattr(os, "memfd_create") else None
    >>> block = map_shared(fd, 3)
    >>> os.close(fd)
    >>> bytes(block)
    b'\\x00\\x00\\x00'
    """
    return _map(fd, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED)


def map_private(fd: int, size: int, offset: int = 0) -> MappedBytes:
    """Map ``size`` bytes of a file, from a page on, so that writes stay in this process; `restore` undoes them."""
    return _map(fd, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, offset)


def address(buffer: memoryview | MappedBytes) -> int:
    """Return where the bytes of ``buffer`` begin."""
    view: memoryview = memoryview(buffer)
    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])


def restore(block: MappedBytes, start: int = 0, size: int | None = None) -> None:
    """Undo what was written into a private map, or into the pages that hold ``size`` bytes from ``start`` on.

    Dropping clean pages would make the next reader fault them in again, which more than doubles the time of a
    sum over 200 MB; so ask the kernel first whether any page became private.
    """
    size = len(block) - start if size is None else size
    first = (ctypes.addressof(block) + start) // mmap.PAGESIZE
    pages = -(-(ctypes.addressof(block) + start + size) // mmap.PAGESIZE) - first
    if not pages or (sys.platform == "linux" and not _written(first, pages)):
        return
    if _libc().madvise(first * mmap.PAGESIZE, pages * mmap.PAGESIZE, mmap.MADV_DONTNEED):
        raise OSError(ctypes.get_errno(), "madvise failed")


def _written(first: int, pages: int) -> bool:
    try:
        fd = os.open("/proc/self/pagemap", os.O_RDONLY)
        try:
            entries = np.frombuffer(os.pread(fd, 8 * pages, 8 * first), np.uint64)
        finally:
            os.close(fd)
    except OSError:
        return True
    # Bit 63: present, 62: swapped; 61: still a page of the file, so never written here.
    here, of_file = np.uint64(0b11 << 62), np.uint64(1 << 61)
    return len(entries) < pages or bool(np.any((entries & here != 0) & (entries & of_file == 0)))


def _map(fd: int, size: int, protection: int, flags: int, offset: int = 0) -> MappedBytes:
    place = _libc().mmap(None, size, protection, flags, fd, offset)
    if place == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"cannot map {size} bytes: {os.strerror(ctypes.get_errno())}")
    block = (ctypes.c_ubyte * size).from_address(place)
    # Not at exit: arrays may still look at the bytes then.
    weakref.finalize(block, _libc().munmap, place, size).atexit = False
    return block


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    place, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.mmap.argtypes = [place, size, number, number, number, ctypes.c_ssize_t]
    libc.munmap.argtypes = [place, size]
    libc.madvise.argtypes = [place, size, number]
    return libc
