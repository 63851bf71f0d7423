"""Shared memory without names: a segment is a descriptor, so nothing can be left in /dev/shm.

A value becomes a `SharedPickle`: a pickle stream (protocol 5) and its array buffers. A buffer that already lies in
a segment travels as (segment, offset, length); the rest goes inline when small, or is copied once to a new
segment.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import pickle
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..._base._pickles import NOTHING, Code, pickled
from ...errors import KofnError
from ._mmap import MappedBytes, address, map_shared

INLINE = 1 << 16
"""Payloads below this many bytes travel in the message itself."""

ALIGNMENT = 64
"""Buffers of a segment start at multiples of this."""

Frame = bytes | tuple[int, int, int]
"""Bytes as they are, or (segment id, offset, length)."""

_ids = itertools.count(1)


def anonymous_file() -> int:
    """Return the descriptor of a new memory file that has no name.

    Examples
    --------
    >>> import os
    >>> descriptor = anonymous_file()
    >>> os.fstat(descriptor).st_size
    0
    >>> os.close(descriptor)
    """
    try:
        return _create()
    except OSError as error:
        if error.errno != errno.EMFILE or not raise_descriptor_limit():
            raise
        return _create()


def _create() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kofn", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def raise_descriptor_limit() -> bool:
    """Lift the soft limit of descriptors to the hard one; one resident value needs one descriptor."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True


class Segment:
    """A piece of nameless memory; its descriptor is closed with the last reference.

    Parameters
    ----------
    on_free : callable, optional
        Called with the segment's id when it is gone.
    """

    def __init__(self, on_free: Callable[[int], None] | None = None) -> None:
        self.id = next(_ids)
        with _tell_limits(0):
            self.fd = anonymous_file()
        self.size = 0
        self._finalizer = weakref.finalize(self, _release, self.fd, self.id, on_free, os.getpid())
        self._finalizer.atexit = False

    def write(self, buffers: Sequence[memoryview]) -> list[int]:
        """Copy ``buffers`` in, aligned, and return their offsets."""
        offsets = []
        for buffer in buffers:
            offset = -(-self.size // ALIGNMENT) * ALIGNMENT
            offsets.append(offset)
            self.size = offset + len(buffer)
            with _tell_limits(self.size):
                written = 0
                while written < len(buffer):
                    written += os.pwrite(self.fd, buffer[written:], offset + written)
        return offsets

    def map(self, size: int) -> MappedBytes:
        """Make the segment ``size`` bytes large and map it, shared and writable."""
        with _tell_limits(size):
            os.ftruncate(self.fd, size)
            self.size = size
            return map_shared(self.fd, size)


@contextmanager
def _tell_limits(size: int) -> Iterator[None]:
    """Ask the system for shared memory, and say so where it gives none."""
    try:
        yield
    except OSError as error:
        limits = "this system limits what files or memory a process may have (ulimit -a); use less at once"
        raise KofnError(f"{size} bytes of shared memory cannot be had: {error}; {limits}.") from error


def _release(fd: int, identity: int, on_free: Callable[[int], None] | None, owner: int) -> None:
    os.close(fd)
    if on_free is not None and os.getpid() == owner:
        on_free(identity)


@dataclass
class SharedPickle:
    """A value ready to travel: the pickle stream, then its buffers."""

    frames: list[Frame]
    segments: list[Segment] = field(default_factory=list)
    fresh: Segment | None = None
    """The one of ``segments`` that was made for this payload alone."""
    code: Code = NOTHING
    """Functions and classes that the value refers to."""


class SegmentStore:
    """The arrays of `empty`, found again by address; ``freed`` collects the ids of segments that are gone.

    Finalizers may run inside any of these methods, so each change is one operation on a dict or deque.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.freed: deque[int] = deque()
        self._wake = wake
        self._homes: dict[int, Segment] = {}

    def _on_free(self, identity: int) -> None:
        self.freed.append(identity)
        self._wake()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array in a segment of its own; it lives as long as the array or a payload uses it.

        A small array is an ordinary one: sending its bytes is cheaper than sending a descriptor and mapping it.
        """
        kind = np.dtype(dtype)
        count = math.prod(shape)
        if count * kind.itemsize < INLINE or kind.hasobject:
            return np.empty(shape, kind)
        segment = Segment(self._on_free)
        block = segment.map(count * kind.itemsize)
        start = address(block)
        self._homes[start] = segment
        weakref.finalize(block, self._homes.pop, start).atexit = False
        return np.frombuffer(memoryview(block), kind, count).reshape(shape)

    def find(self, buffer: memoryview) -> tuple[Segment, int] | None:
        """Return the segment that holds all of ``buffer`` and the offset in it."""
        if not self._homes or not len(buffer):
            return None
        start = address(buffer)
        for home, segment in list(self._homes.items()):
            if home <= start and start + len(buffer) <= home + segment.size:
                return segment, start - home
        return None


def pack(value: object, store: SegmentStore | None = None) -> SharedPickle:
    """Pickle ``value``, functions and classes of ``__main__`` included, copying large buffers once.

    Examples
    --------
    >>> payload = pack({"a": 1})
    >>> unpack(payload.frames, {})
    {'a': 1}
    """
    buffers: list[pickle.PickleBuffer] = []
    stream, code = pickled(value, buffers.append)
    if not buffers and len(stream) < INLINE:
        return SharedPickle([stream], code=code)
    views = [memoryview(stream), *(buffer.raw() for buffer in buffers)]
    homes = [None, *(store.find(view) if store else None for view in views[1:])]
    apart = [view for view, home in zip(views, homes, strict=True) if home is None]
    fresh = None if sum(map(len, apart)) < INLINE else Segment()
    if fresh is not None:
        offsets = iter(fresh.write(apart))
        homes = [home or (fresh, next(offsets)) for home in homes]
    frames: list[Frame] = [
        (home[0].id, home[1], len(view)) if home else bytes(view) for view, home in zip(views, homes, strict=True)
    ]
    return SharedPickle(frames, list({home[0].id: home[0] for home in homes if home}.values()), fresh, code)


def unpack(frames: Sequence[Frame | bytearray], segments: Mapping[int, MappedBytes]) -> Any:
    """Rebuild the value of a payload on top of mapped segments."""
    stream, *buffers = frames
    views = [_view(frame, segments) for frame in buffers]
    return pickle.loads(stream if isinstance(stream, bytes) else _view(stream, segments), buffers=views)


def _view(frame: Frame | bytearray, segments: Mapping[int, MappedBytes]) -> memoryview:
    if isinstance(frame, tuple):
        identity, offset, length = frame
        return memoryview(segments[identity])[offset : offset + length]
    # An array on top of bytes is read-only; one on top of a bytearray is not.
    return memoryview(frame if isinstance(frame, bytearray) else bytearray(frame))


def map_received(map_: Callable[[int, int], MappedBytes], fd: int, size: int) -> MappedBytes:
    """Map a received segment and close its descriptor."""
    try:
        return map_(fd, size)
    finally:
        os.close(fd)
