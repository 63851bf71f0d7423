"""A value that a rank holds: tasks may write into it, and the next one sees it as it came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._pickling import Buffer
from ..local._mmap import map_private
from ..local._shared_memory import ALIGNMENT, Frame, Segment
from ..local._worker import ResidentValue
from ._post import LARGE, Room


def segment_room(lengths: Sequence[int]) -> Room:
    """Memory in one segment, for large buffers that stay.

    Examples
    --------
    >>> room = segment_room([3, 100])
    >>> [len(buffer) for buffer in room.buffers], room.owner.size
    ([3, 100], 164)
    """
    segment = Segment()
    offsets = _offsets(lengths)
    if not lengths:
        return Room([])
    block = np.frombuffer(memoryview(segment.map(offsets[-1] + lengths[-1])), np.uint8)
    return Room([block[at : at + length] for at, length in zip(offsets, lengths, strict=True)], segment)


def _offsets(lengths: Sequence[int]) -> list[int]:
    sizes = [-(-length // ALIGNMENT) * ALIGNMENT for length in lengths]
    return [sum(sizes[:place]) for place in range(len(sizes))]


class HeldValue:
    """A value that stays at a rank.

    Parameters
    ----------
    stream : bytes
    buffers : list of uint8 arrays
        The large ones lie in ``segment``, as `segment_room` gave them.
    segment : Segment or None

    Attributes
    ----------
    stream, buffers
        As they came, whatever tasks have written.

    Examples
    --------
    >>> from .._pickling import BufferedPickle
    >>> held = HeldValue.of(BufferedPickle.of(np.zeros(100_000)))
    >>> held.value[:] = 1
    >>> held.restore()
    >>> float(held.value.sum()), int(held.buffers[0].sum())
    (0.0, 0)
    """

    def __init__(self, stream: bytes, buffers: list[Buffer], segment: Segment | None) -> None:
        self.stream, self.buffers = stream, buffers
        self._segment = segment
        self._resident: ResidentValue | None = None

    @classmethod
    def of(cls, payload: Any) -> HeldValue:
        """Hold a copy of what was pickled here, a `BufferedPickle`."""
        stream, buffers = payload.plain()
        room = segment_room([len(buffer) for buffer in buffers if len(buffer) >= LARGE])
        places = iter(room.buffers)
        copies = [next(places) if len(buffer) >= LARGE else np.empty_like(buffer) for buffer in buffers]
        for copy, buffer in zip(copies, buffers, strict=True):
            copy[:] = buffer
        return cls(stream, copies, room.owner)

    @property
    def value(self) -> Any:
        """The value, on memory of this process's own where a task writes to it."""
        if self._resident is None:
            self._resident = self._made()
        return self._resident.value

    def restore(self) -> None:
        """Undo what a task has written."""
        if self._resident is not None:
            self._resident.restore()

    def _made(self) -> ResidentValue:
        segment = self._segment
        offsets = iter(_offsets([len(buffer) for buffer in self.buffers if len(buffer) >= LARGE]))
        frames: list[Frame] = [self.stream]
        for buffer in self.buffers:
            if segment is not None and len(buffer) >= LARGE:
                frames.append((segment.id, next(offsets), len(buffer)))
            else:
                frames.append(buffer.tobytes())
        mapped = {} if segment is None else {segment.id: map_private(segment.fd, segment.size)}
        return ResidentValue(frames, mapped)
