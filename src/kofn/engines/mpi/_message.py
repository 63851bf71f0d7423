"""Messages between ranks, of any length: a pickled head, and behind it large buffers, sent from where they lie."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._pickling import Buffer
from ..local._shared_memory import INLINE, SegmentStore

HEAD = 4000
"""Bytes of the first part of a message, with which it is complete if it is short; MPI sends as much without asking."""

LARGE = INLINE
"""Buffers from so many bytes on travel by themselves."""

PIECE = 1 << 22
"""At most so many bytes go at once, so that it can be seen whether they move."""

STREAM = 1
"""Tag of all messages of kofn."""

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Message:
    """What has come.

    Parameters
    ----------
    source : int
        The rank that sent it.
    head : tuple
        Any plain objects; empty where the rank is lost and nothing will come any more.
    buffers : sequence of uint8 arrays
    """

    source: int
    head: tuple[Any, ...]
    buffers: Sequence[Buffer] = ()


Allocate = Callable[[int], Buffer]
"""Makes memory for so many bytes."""

Reader = Generator[Any, None, None]
"""Yields requests, each of which must be done before it goes on, and each `Message` when it is there."""


def memory_in(store: SegmentStore) -> Allocate:
    """Memory that is used again once nobody looks at it: new pages cost many times what copying to old ones does.

    Examples
    --------
    >>> len(memory_in(SegmentStore(lambda: None))(3))
    3
    """

    def allocate(length: int) -> Buffer:
        store.freed.clear()  # whoever could be told looks at nothing here
        return store.empty((length,), np.uint8)

    return allocate


def parts_of(head: tuple[Any, ...], buffers: Sequence[Buffer]) -> Iterator[Any]:
    """What is sent one after the other for a message.

    Examples
    --------
    >>> short, long = ("put", 1), np.zeros(LARGE, np.uint8)
    >>> len(list(parts_of(short, []))), [len(part) for part in parts_of(short, [long])][1:]
    (1, [65536])
    """
    places = [len(buffer) if len(buffer) >= LARGE else buffer.tobytes() for buffer in buffers]
    text = pickle.dumps((head, places), 5)
    start = _LENGTH.pack(len(text))
    if len(start) + len(text) <= HEAD:
        yield start + text
    else:
        yield start
        yield from _pieces(text)
    for buffer in buffers:
        if len(buffer) >= LARGE:
            yield from _pieces(buffer)


def reading(receive: Callable[[Any], Any], source: int, allocate: Allocate) -> Reader:
    """Receive one message after the other.

    Parameters
    ----------
    receive : callable
        Begins to receive the next part into memory; returns a request.
    source : int
        Who sends them.
    allocate : callable
    """
    start = np.empty(HEAD, np.uint8)
    while True:
        yield receive(start)
        (length,) = _LENGTH.unpack_from(start.data)
        text: Any = start[_LENGTH.size : _LENGTH.size + length]
        if _LENGTH.size + length > HEAD:
            text = np.empty(length, np.uint8)
            yield from map(receive, _pieces(text))
        head, places = pickle.loads(text)
        buffers = [allocate(place) if isinstance(place, int) else np.frombuffer(place, np.uint8) for place in places]
        yield from map(receive, _large_pieces(places, buffers))
        yield Message(source, head, buffers)
        del text, head, places, buffers  # nothing stays here until the next one comes


def _large_pieces(places: Sequence[int | bytes], buffers: Sequence[Buffer]) -> Iterator[Any]:
    for place, buffer in zip(places, buffers, strict=True):
        if isinstance(place, int):
            yield from _pieces(buffer)


def _pieces(buffer: Any) -> Iterator[Any]:
    view = memoryview(buffer)
    return (view[start : start + PIECE] for start in range(0, len(view), PIECE))
