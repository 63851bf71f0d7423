"""Where results lie on their way from a worker to the client: memory that both keep mapped, and use again.

The worker lends it with a reply; it comes back when nobody at the client looks at it any more.
"""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._mmap import MappedBytes, address, map_shared
from ._shared_memory import KEPT_FROM, Frame, Memory, Segment, SegmentStore, Spares, map_received

RESULT_BYTES = 1 << 26
"""How much a worker keeps at most for its results."""

Arriving = tuple[int, int, bool]
"""Id and size of a segment, and whether the client is to keep it mapped."""


class ResultMemory:
    """The worker's side."""

    def __init__(self) -> None:
        self._known: set[int] = set()  # what the client keeps mapped
        self._gone: list[int] = []  # what it can let go of; told with the next reply
        self._spares = Spares(RESULT_BYTES)
        self._own: dict[int, Memory] = {}  # taken by the task that runs, or for its reply
        self._lent: dict[int, Memory] = {}
        self._views: dict[int, weakref.ref[Any]] = {}

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array that `find` finds; an ordinary one where it is small, or too much is in use."""
        kind = np.dtype(dtype)
        count = math.prod(shape)
        size = count * kind.itemsize
        memory = None if size < KEPT_FROM or kind.hasobject else self._take(size)
        if memory is None or memory.block is None:
            return np.empty(shape, kind)
        view = (ctypes.c_ubyte * size).from_buffer(memory.block)
        self._own[memory.id] = memory
        self._views[memory.id] = weakref.ref(view)
        weakref.finalize(view, self._unused, memory).atexit = False
        return np.frombuffer(memoryview(view), kind, count).reshape(shape)

    def find(self, buffer: memoryview) -> tuple[Segment, int] | None:
        """The segment that holds all of ``buffer``, of an array from `empty` that was not lent yet, and where."""
        start = address(buffer) if len(buffer) else 0
        for memory in list(self._own.values()):
            home = 0 if memory.block is None else address(memory.block)
            if home <= start and start + len(buffer) <= home + memory.size:
                return Segment.on(memory, lambda memory: None, memory.size), start - home
        return None

    def new(self, size: int) -> Segment:
        """A segment for so many bytes, to be copied to."""
        memory = None if size < KEPT_FROM else self._take(size)
        if memory is None:
            return Segment()
        self._own[memory.id] = memory
        return Segment.on(memory, self._unused)

    def _take(self, size: int) -> Memory | None:
        memory = self._spares.take(size)
        if memory is None:
            used = sum(memory.size for memory in [*list(self._own.values()), *self._lent.values()])
            if used + size > RESULT_BYTES:
                return None
            self._let_go(self._spares.trim(RESULT_BYTES - used - size))
            memory = Memory.new(size, mapped=True)
        return memory

    def _unused(self, memory: Memory) -> None:
        """Keep what was not lent after all; called at any time."""
        if self._own.pop(memory.id, None) is not None:
            self._let_go(self._spares.give(memory))

    def lend(self, segments: Iterable[Segment]) -> tuple[list[Arriving], list[int], list[int]]:
        """Give what is sent out of hand; return what the client must map, how, and what it can let go of."""
        arriving, fds = [], []
        for segment in segments:
            if (memory := self._own.pop(segment.id, None)) is not None:
                self._lent[memory.id] = memory
            if segment.id not in self._known:
                arriving.append((segment.id, segment.size if memory is None else memory.size, memory is not None))
                fds.append(segment.fd)
                self._known.update([] if memory is None else [memory.id])
        gone, self._gone = self._gone, []
        return arriving, fds, gone

    def come_back(self, ids: Iterable[int]) -> None:
        """Take what the client has no use for any more; a negative id is of what it cannot map."""
        for identity in ids:
            if (memory := self._lent.pop(abs(identity), None)) is None:
                continue
            view = self._views.pop(memory.id, lambda: None)()
            if identity < 0 or view is not None:  # the task has kept an array in it
                self._let_go([memory])
            else:
                self._let_go(self._spares.give(memory))

    def _let_go(self, memories: Iterable[Memory]) -> None:
        for memory in memories:
            os.close(memory.fd)
            if memory.id in self._known:
                self._known.discard(memory.id)
                self._gone.append(memory.id)


class Arrived(NamedTuple):
    """The memory of one result: what each segment is mapped to, and what is held until the result has been taken."""

    blocks: dict[int, MappedBytes]
    once: list[Segment]


class MappedResults:
    """The client's side: what it keeps mapped of one process, and ids of what it has no use for any more.

    Parameters
    ----------
    store : SegmentStore
        By which other processes can be given what has arrived.
    """

    def __init__(self, store: SegmentStore) -> None:
        self.returned: deque[int] = deque()
        self._store = store
        self._kept: dict[int, tuple[MappedBytes, Segment]] = {}

    def map(
        self, frames: Iterable[Frame], arriving: Iterable[Arriving], fds: Iterable[int], gone: Iterable[int]
    ) -> Arrived | OSError:
        """The memory that a result refers to, or why it cannot be mapped: that concerns this result alone."""
        for identity in gone:
            self._kept.pop(identity, None)
        arrived = Arrived({}, [])
        failed = None
        for (identity, size, kept), fd in zip(arriving, fds, strict=True):
            try:
                self._receive(arrived, identity, size, kept, fd)
            except OSError as error:
                failed = error
                if kept:
                    self.returned.append(-identity)
        for identity in {frame[0] for frame in frames if isinstance(frame, tuple)} & self._kept.keys():
            arrived.blocks[identity] = self._lent(identity)
        return arrived if failed is None else failed

    def _receive(self, arrived: Arrived, identity: int, size: int, kept: bool, fd: int) -> None:
        if size < KEPT_FROM:
            arrived.blocks[identity] = map_received(map_shared, fd, size)
            return
        block, segment = self._store.receive(fd, size)
        if kept:
            self._kept[identity] = block, segment
        else:
            arrived.blocks[identity] = block
            arrived.once.append(segment)
            self._store.hold(block, segment)

    def _lent(self, identity: int) -> MappedBytes:
        """A view of what is kept, with a segment that goes back to the worker when nobody looks at it any more."""
        block, kept = self._kept[identity]
        view: MappedBytes = (ctypes.c_ubyte * len(block)).from_buffer(block)
        memory = Memory(kept.fd, kept.id, kept.size, block)
        segment = Segment.on(memory, partial(_give_back, self.returned, identity, kept), kept.size)
        vars(view)["of"] = segment
        self._store.hold(view, segment)
        return view

    def close(self) -> None:
        """Let go of what is kept, but for what is still looked at."""
        self._kept.clear()


def _give_back(returned: deque[int], identity: int, kept: Segment, memory: Memory) -> None:
    """Nobody looks at a view any more; its descriptor was that of ``kept``, which had to stay for that long."""
    returned.append(identity)
