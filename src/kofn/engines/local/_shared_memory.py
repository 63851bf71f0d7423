"""Shared memory without names: a segment is a descriptor, so nothing can be left in /dev/shm.

A value becomes a `SharedPickle`: a pickle stream (protocol 5) and its array buffers. A buffer that already lies in
a segment travels as (segment, offset, length); the rest goes inline when small, or is copied once to a new
segment.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import pickle
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..._base._pickles import NOTHING, Code, pickled
from ...errors import KofnError
from ._descriptors import anonymous_file
from ._mmap import MappedBytes, address, map_shared

INLINE = 1 << 16
"""Payloads below this many bytes travel in the message itself."""

ALIGNMENT = 64
"""Buffers of a segment start at multiples of this."""

KEPT_FROM = 1 << 20
"""Memory of so many bytes and more is used again: new pages cost several times what copying to old ones does."""

KEPT_BYTES = 1 << 28
"""How much of it a pool keeps at most while nobody uses it."""

Frame = bytes | tuple[int, int, int]
"""Bytes as they are, or (segment id, offset, length)."""

_ids = itertools.count(1)


class Memory(NamedTuple):
    """Nameless memory, to be used again.

    Attributes
    ----------
    fd, id, size : int
    block : MappedBytes or None
        Where it is mapped, if it is.
    """

    fd: int
    id: int
    size: int
    block: MappedBytes | None = None

    @classmethod
    def new(cls, size: int, mapped: bool = False) -> Memory:
        """Make ``size`` bytes, and map them shared and writable if asked to."""
        with _tell_limits(size):
            fd = anonymous_file()
            try:
                os.ftruncate(fd, size)
                return cls(fd, next(_ids), size, map_shared(fd, size) if mapped else None)
            except BaseException:
                os.close(fd)
                raise


class Spares:
    """Memory that nobody uses, for the next who needs as much.

    Finalizers give to it, at any time, so each change is one operation on a dict.

    Examples
    --------
    >>> spares, memory = Spares(1000), Memory.new(800)
    >>> spares.give(memory), spares.take(300), spares.take(500) == memory
    ([], None, True)
    >>> os.close(memory.fd)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: dict[int, Memory] = {}

    def take(self, size: int) -> Memory | None:
        """The smallest that is large enough, unless that would waste more than half of it."""
        fitting = [memory for memory in list(self._kept.values()) if size <= memory.size <= 2 * size]
        for memory in sorted(fitting, key=lambda memory: memory.size):
            if self._kept.pop(memory.id, None) is not None:
                return memory
        return None

    def pop(self, identity: int) -> Memory | None:
        """The one with this id, if it is kept."""
        return self._kept.pop(identity, None)

    def give(self, memory: Memory) -> list[Memory]:
        """Keep memory; return what has to go for it, the oldest first."""
        self._kept[memory.id] = memory
        return self.trim()

    def trim(self, most: int | None = None) -> list[Memory]:
        """Let go of what is too much, the oldest first."""
        gone, most = [], self.most if most is None else most
        for memory in list(self._kept.values()):
            if sum(kept.size for kept in list(self._kept.values())) <= most:
                break
            if self._kept.pop(memory.id, None) is not None:
                gone.append(memory)
        return gone


class Segment:
    """A piece of nameless memory; its descriptor is closed with the last reference, or whoever made it is told.

    Parameters
    ----------
    on_free : callable, optional
        Called with the segment's id when it is gone.

    Attributes
    ----------
    is_shared : bool
        Of memory that came from a worker: whether others may see it.
    holder : weak reference or None
        To what that memory is mapped to.
    """

    is_shared = True
    holder: weakref.ref[Any] | None = None

    def __init__(self, on_free: Callable[[int], None] | None = None) -> None:
        self.id = next(_ids)
        with _tell_limits(0):
            self.fd = anonymous_file()
        self.size = 0
        self._block: MappedBytes | None = None
        owner = os.getpid()
        self._finalizer: weakref.finalize[Any, Any] = weakref.finalize(self, _release, self.fd, self.id, on_free, owner)
        self._finalizer.atexit = False

    @classmethod
    def on(cls, memory: Memory, retire: Callable[[Memory], object], size: int = 0) -> Segment:
        """One on memory that ``retire`` is given when the last reference is gone."""
        segment = object.__new__(cls)
        segment.id, segment.fd, segment.size, segment._block = memory.id, memory.fd, size, memory.block
        segment._finalizer = weakref.finalize(segment, retire, memory)
        segment._finalizer.atexit = False
        return segment

    def write(self, buffers: Sequence[memoryview]) -> list[int]:
        """Copy ``buffers`` in, aligned, and return their offsets."""
        offsets = []
        for buffer in buffers:
            offset = -(-self.size // ALIGNMENT) * ALIGNMENT
            offsets.append(offset)
            self.size = offset + len(buffer)
            if self._block is not None:  # a third of what the system takes for it
                np.frombuffer(memoryview(self._block), np.uint8)[offset : self.size] = np.frombuffer(buffer, np.uint8)
                continue
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

    Results that lie in memory of their worker are found as well, once somebody has said that they will not change.

    Finalizers may run inside any of these methods, so each change is one operation on a dict or deque.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.freed: deque[int] = deque()
        self._wake = wake
        self._homes: dict[int, Segment] = {}
        self._arrived: weakref.WeakValueDictionary[int, Segment] = weakref.WeakValueDictionary()
        self._spares = Spares(KEPT_BYTES)
        self._owner = os.getpid()

    def close(self) -> None:
        """Give back what is kept, now and from now on."""
        self._spares.most = 0
        self._let_go(self._spares.trim())

    def _on_free(self, identity: int) -> None:
        self.freed.append(identity)
        self._wake()

    def _retire(self, memory: Memory) -> None:
        """Keep memory that no array, payload or worker uses any more."""
        self._let_go(self._spares.give(memory) if os.getpid() == self._owner else [memory])

    def _let_go(self, gone: Sequence[Memory]) -> None:
        for memory in gone:
            _release(memory.fd, memory.id, self._on_free, self._owner)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array in a segment of its own; it lives as long as the array, a payload or a worker uses it.

        A small array is an ordinary one: sending its bytes is cheaper than sending a descriptor and mapping it. Large
        memory that nobody uses any more is used again.
        """
        kind = np.dtype(dtype)
        count = math.prod(shape)
        size = count * kind.itemsize
        if size < INLINE or kind.hasobject:
            return np.empty(shape, kind)
        if size < KEPT_FROM:
            segment = Segment(self._on_free)
            block = segment.map(size)
        else:
            memory = self._spares.take(size) or Memory.new(size, mapped=True)
            segment = Segment.on(memory, self._retire, memory.size)
            assert memory.block is not None
            block = (ctypes.c_ubyte * size).from_address(address(memory.block))  # which the segment keeps
        start = address(block)
        self._homes[start] = segment
        weakref.finalize(block, self._homes.pop, start).atexit = False
        return np.frombuffer(memoryview(block), kind, count).reshape(shape)

    def receive(self, fd: int, size: int) -> tuple[MappedBytes, Segment]:
        """Map memory that a worker has sent; its descriptor is closed with the segment."""
        segment = Segment.on(Memory(fd, next(_ids), size), lambda memory: self._let_go([memory]), size)
        return map_shared(fd, size), segment

    def hold(self, block: MappedBytes, segment: Segment) -> None:
        """Have what lies in ``block`` be found by `share`, as long as somebody holds the segment."""
        segment.is_shared = False
        segment.holder = weakref.ref(block)
        self._arrived[address(block)] = segment

    def share(self, array: NDArray[Any]) -> None:
        """Let a result that has just come travel on from where it lies; nobody may write to it from now on."""
        found = _within(array.__array_interface__["data"][0], array.nbytes, self._arrived)
        block = None if found is None or found[0].holder is None else found[0].holder()
        if found is not None and block is not None:
            found[0].is_shared = True
            vars(block)["of"] = found[0]

    def find(self, buffer: memoryview) -> tuple[Segment, int] | None:
        """Return the segment that holds all of ``buffer`` and the offset in it."""
        if not len(buffer) or not (self._homes or self._arrived):
            return None
        start = address(buffer)
        found = _within(start, len(buffer), self._homes) or _within(start, len(buffer), self._arrived)
        return found if found is not None and found[0].is_shared else None


def _within(start: int, length: int, homes: Mapping[int, Segment]) -> tuple[Segment, int] | None:
    for home, segment in list(homes.items()):
        if home <= start and start + length <= home + segment.size:
            return segment, start - home
    return None


class Finder(Protocol):
    """Knows which segment holds all of a buffer, and where in it, if one does."""

    def find(self, buffer: memoryview) -> tuple[Segment, int] | None: ...


def pack(
    value: object, store: Finder | None = None, new: Callable[[int], Segment] = lambda size: Segment()
) -> SharedPickle:
    """Pickle ``value``, functions and classes of ``__main__`` included, copying large buffers once.

    Parameters
    ----------
    value : object
    store : Finder, optional
        Whose arrays are not copied: a `SegmentStore`, for example.
    new : callable
        Makes the segment for so many bytes that are.

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
    size = sum(-(-len(view) // ALIGNMENT) * ALIGNMENT for view in apart)
    fresh = None if size < INLINE else new(size)
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
