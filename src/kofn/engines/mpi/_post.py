"""Messages between ranks, of any length: a pickled head, and large buffers behind it that nobody copies.

All calls of MPI that follow each other in a message are made under one lock, by whichever thread has something to send
or to look for. Nobody waits inside of MPI.
"""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._pickling import Buffer
from ..local._shared_memory import SegmentStore

HEAD = 4000
"""Bytes of the first part of a message, with which it is complete if it is short; MPI sends as much without asking."""

LARGE = 1 << 16
"""Buffers from so many bytes on travel by themselves."""

PIECE = 1 << 22
"""At most so many bytes go at once, so that it can be seen whether they move."""

STREAM = 1
"""Tag of what a rank and the client say to each other; higher ones are of single values between ranks."""

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Room:
    """Memory that a message's large buffers are received in.

    Parameters
    ----------
    buffers : sequence of uint8 arrays
    owner : object
        Whatever they lie in.
    """

    buffers: Sequence[Buffer]
    owner: Any = None


@dataclass(frozen=True)
class Message:
    """What has come.

    Parameters
    ----------
    source : int
        The rank that sent it.
    head : tuple
        Any plain objects; empty where the rank is lost and nothing will come any more.
    buffers : list of uint8 arrays
    owner : object
        What the large ones lie in.
    """

    source: int
    head: tuple[Any, ...]
    buffers: list[Buffer]
    owner: Any = None


Allocate = Callable[[tuple[Any, ...], Sequence[int]], Room]
"""(head, lengths of the large buffers) → memory for them."""

Reader = Generator[Any, None, None]
"""Yields requests, each of which must be done before it goes on, and each `Message` when it is there."""


def room_in(store: SegmentStore) -> Allocate:
    """Memory that is used again once nobody looks at it: new pages cost many times what copying to old ones does.

    Examples
    --------
    >>> [len(buffer) for buffer in room_in(SegmentStore(lambda: None))((), [3, 5]).buffers]
    [3, 5]
    """

    def allocate(head: tuple[Any, ...], lengths: Sequence[int]) -> Room:
        store.freed.clear()
        return Room([store.empty((length,), np.uint8) for length in lengths])

    return allocate


class Post:
    """Sends and receives messages for one rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Of kofn's own, whose errors are raised.
    peers : iterable of int
        The ranks that may speak at any time.
    allocate : callable
        (head, lengths) → `Room`.

    Attributes
    ----------
    steps : int
        How many pieces have gone or come so far.
    """

    def __init__(self, comm: Any, peers: Iterable[int], allocate: Allocate) -> None:
        self._comm, self._allocate = comm, allocate
        self._lock = threading.RLock()
        self._sending: list[tuple[int, Any]] = []
        self._receiving: list[tuple[int, Any, Reader]] = []
        self._lost: set[int] = set()
        self._losses: list[Message] = []
        self._begun: set[Reader] = set()
        self.steps = 0
        for peer in peers:
            self._expect(peer, STREAM, True)

    @property
    def is_moving(self) -> bool:
        """Whether some message is not yet complete, here or on its way from here."""
        return bool(self._sending or self._begun)

    @property
    def is_sending(self) -> bool:
        """Whether something is still on its way, so that MPI has to be looked at."""
        return bool(self._sending)

    def send(self, rank: int, head: tuple[Any, ...], buffers: Sequence[Buffer] = (), tag: int = STREAM) -> None:
        """Begin to send a message; its large buffers must not change until `is_sending` says that all is gone."""
        large = [buffer for buffer in buffers if len(buffer) >= LARGE]
        places = [len(buffer) if len(buffer) >= LARGE else buffer.tobytes() for buffer in buffers]
        text = pickle.dumps((head, places), 5)
        start = _LENGTH.pack(len(text))
        parts = [start + text] if len(start) + len(text) <= HEAD else [start, *_pieces(text)]
        with self._lock:
            for part in [*parts, *(piece for buffer in large for piece in _pieces(buffer))]:
                self._begin(rank, part, tag)

    def expect(self, source: int, tag: int) -> None:
        """Be ready for one message under a tag of its own."""
        with self._lock:
            self._expect(source, tag, False)

    def look(self) -> list[Message]:
        """Return what has come since the last look, in the order of each rank that sent it."""
        from mpi4py import MPI

        with self._lock:
            come, self._losses = self._losses, []
            while True:
                try:
                    self._clear_sent()
                    place, done = MPI.Request.Testany([request for _, request, _ in self._receiving])
                except MPI.Exception as error:
                    come += self._lose(error)
                    continue
                if not done or place < 0:
                    return come
                self._advance(place, come)

    # -- under the lock -------------------------------------------------------------------------------

    def _begin(self, rank: int, part: Any, tag: int) -> None:
        from mpi4py import MPI

        if rank in self._lost:
            return
        try:
            request = self._comm.Isend(part, dest=rank, tag=tag)
            if not request.Test():
                self._sending.append((rank, request))
        except MPI.Exception as error:
            self._losses += self._lose(error)

    def _clear_sent(self) -> None:
        if self._sending:
            left = [pair for pair in self._sending if not pair[1].Test()]
            self.steps += len(self._sending) - len(left)
            self._sending = left

    def _expect(self, source: int, tag: int, forever: bool) -> None:
        reader = _reading(self._comm, source, tag, self._allocate, forever)
        self._receiving.append((source, next(reader), reader))

    def _advance(self, place: int, come: list[Message]) -> None:
        source, _, reader = self._receiving[place]
        self._begun.add(reader)
        self.steps += 1
        for step in reader:
            if not isinstance(step, Message):
                self._receiving[place] = source, step, reader
                return
            self._begun.discard(reader)
            come.append(step)
        del self._receiving[place]

    def _lose(self, error: Exception) -> list[Message]:
        """Take note of ranks that are gone; anything else that MPI says is raised."""
        failed = self._comm.Get_failed()
        self._comm.Ack_failed()
        gone = set(failed.Translate_ranks(range(failed.Get_size()), self._comm.Get_group())) - self._lost
        if not gone:
            raise error
        self._lost |= gone
        losses = [Message(source, (), []) for source, _, _ in self._receiving if source in gone]
        self._receiving = [entry for entry in self._receiving if entry[0] not in gone]
        self._sending = [pair for pair in self._sending if pair[0] not in gone]
        self._begun &= {reader for _, _, reader in self._receiving}
        self.steps += 1
        return losses


def _pieces(buffer: Any) -> Iterator[Any]:
    view = memoryview(buffer)
    return (view[start : start + PIECE] for start in range(0, len(view), PIECE))


def _reading(comm: Any, source: int, tag: int, allocate: Allocate, forever: bool) -> Reader:
    start = np.empty(HEAD, np.uint8)
    more = True
    while more:
        yield comm.Irecv(start, source=source, tag=tag)
        (length,) = _LENGTH.unpack_from(start.data)
        text: Any = start[_LENGTH.size : _LENGTH.size + length]
        if _LENGTH.size + length > HEAD:
            text = np.empty(length, np.uint8)
            for piece in _pieces(text):
                yield comm.Irecv(piece, source=source, tag=tag)
        head, places = pickle.loads(text)
        room = allocate(head, [place for place in places if isinstance(place, int)])
        for buffer in room.buffers:
            for piece in _pieces(buffer):
                yield comm.Irecv(piece, source=source, tag=tag)
        large = iter(room.buffers)
        whole = [next(large) if isinstance(place, int) else np.frombuffer(place, np.uint8) for place in places]
        more = forever
        yield Message(source, head, whole, room.owner)
        del text, head, places, room, large, whole  # nothing of it stays here until the next one comes
