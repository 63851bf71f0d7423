"""A value that a rank holds: tasks may write into it, and the next one sees it as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._base._snapshots import seal, unseal
from .._pickling import Buffer
from ..local._mmap import MappedBytes, map_private
from ..local._shared_memory import Frame, SegmentStore
from ..local._worker import ResidentValue
from ._message import LARGE, memory_in


class HeldValue:
    """A value that stays at a rank.

    Parameters
    ----------
    store : SegmentStore
        Where large buffers lie; those that lie elsewhere are copied to it.
    stream : bytes
    buffers : sequence of uint8 arrays
        As `kofn.engines._pickling.BufferedPickle.plain` gives them; nobody writes into them any more.

    Attributes
    ----------
    stream, buffers
        As they came, whatever tasks have written.

    Examples
    --------
    >>> import numpy as np
    >>> from .._pickling import BufferedPickle
    >>> held = HeldValue(SegmentStore(lambda: None), *BufferedPickle.of(np.zeros(100_000)).plain())
    >>> held.value[:] = 1
    >>> held.restore()
    >>> float(held.value.sum()), int(held.buffers[0].sum())
    (0.0, 0)
    """

    def __init__(self, store: SegmentStore, stream: bytes, buffers: Sequence[Buffer]) -> None:
        self.stream = bytes(stream)
        self.buffers = [_lying_in(store, buffer) for buffer in buffers]
        self._store = store
        self._resident: ResidentValue | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.stream) + sum(map(len, self.buffers))

    @property
    def value(self) -> Any:
        """The value, on memory of this process's own where a task writes to it."""
        if self._resident is None:
            self._resident = self._made()
        return self._resident.value

    def for_task(self) -> Any:
        """The value for one task: an array, whose numbers are restored after it, or a copy of anything else."""
        value = self.value
        return value if isinstance(value, np.ndarray) else unseal(seal(value))

    def restore(self) -> None:
        """Undo what a task has written."""
        if self._resident is not None:
            self._resident.restore()

    def _made(self) -> ResidentValue:
        frames: list[Frame] = [self.stream]
        mapped: dict[int, MappedBytes] = {}
        for buffer in self.buffers:
            home = self._store.find(buffer.data)
            if home is None:
                frames.append(buffer.tobytes())
                continue
            segment, offset = home
            block = mapped.setdefault(segment.id, map_private(segment.fd, segment.size))
            vars(block)["of"] = buffer  # a task may keep the array for longer than the rank holds the value
            frames.append((segment.id, offset, len(buffer)))
        return ResidentValue(frames, mapped)


def _lying_in(store: SegmentStore, buffer: Buffer) -> Buffer:
    """A buffer that is small, or lies in the store, or a copy of it there."""
    if len(buffer) < LARGE:
        return buffer.copy()
    if store.find(buffer.data) is not None:
        return buffer
    copy = memory_in(store)(len(buffer))
    copy[:] = buffer
    return copy
