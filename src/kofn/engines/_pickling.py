"""A value on its way to or from another process: a pickle stream, and array buffers that nobody copies twice."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._base._pickles import NOTHING, Code, pickled
from .local._mmap import map_private
from .local._shared_memory import INLINE, Segment

Buffer = NDArray[np.uint8]


class BufferedPickle:
    """A pickle stream (protocol 5) and its buffers; travels by any pickle that keeps buffers apart.

    Parameters
    ----------
    stream : bytes
    buffers : sequence of uint8 arrays

    Attributes
    ----------
    code : set
        Functions and classes that the value refers to, where it was pickled; nothing where it has arrived.

    Examples
    --------
    >>> payload = BufferedPickle.of({"a": np.arange(3)})
    >>> pickle.loads(pickle.dumps(payload)).open()
    {'a': array([0, 1, 2])}
    """

    def __init__(self, stream: bytes, buffers: Sequence[Buffer]) -> None:
        self.stream = stream
        self.code: Code = NOTHING
        self._buffers: Sequence[Buffer] | None = buffers
        self._lengths = [len(buffer) for buffer in buffers]
        self._segment: Segment | None = None
        self._offsets: list[int] = []
        self._lock = threading.Lock()

    @classmethod
    def of(cls, value: object, copy: bool = False) -> Self:
        """Pickle ``value``, functions and classes of ``__main__`` included; ``copy`` frees it to be changed."""
        buffers: list[pickle.PickleBuffer] = []
        stream, code = pickled(value, buffers.append)
        views = [np.asarray(buffer.raw()) for buffer in buffers]
        payload = cls(stream, [view.copy() for view in views] if copy else views)
        payload.code = code
        return payload

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.stream) + sum(self._lengths)

    def __sizeof__(self) -> int:
        return self.size

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return BufferedPickle, self.plain()

    def plain(self) -> tuple[bytes, Sequence[Buffer]]:
        """Return what the payload is made of."""
        return self.stream, self._buffers if self._buffers is not None else self._mapped()

    def open(self) -> Any:
        """Return the value, on top of the payload's own bytes where they may be written to; for one user."""
        stream, buffers = self.plain()
        return pickle.loads(stream, buffers=[b if b.flags.writeable else b.copy() for b in buffers])

    def view(self) -> Any:
        """Return the value for one of many users: nobody sees what another one writes into its arrays."""
        if self.size < INLINE and self._buffers is not None:
            return pickle.loads(self.stream, buffers=[bytearray(buffer) for buffer in self._buffers])
        return pickle.loads(self.stream, buffers=self._mapped())

    def _mapped(self) -> list[Buffer]:
        with self._lock:
            if self._segment is None and self._buffers is not None:
                self._segment = Segment()
                self._offsets = self._segment.write([buffer.data for buffer in self._buffers])
                self._buffers = None
        assert self._segment is not None
        if not self._segment.size:
            return [np.empty(0, np.uint8) for _ in self._lengths]
        block = np.asarray(map_private(self._segment.fd, self._segment.size))
        places = zip(self._offsets, self._lengths, strict=True)
        return [block[offset : offset + length] for offset, length in places]
