"""Sends and receives messages: nobody waits inside of MPI, and whoever looks moves everything a step further.

All parts of a message are sent under one lock, by whichever thread has something to send.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .._pickling import Buffer
from ._message import STREAM, Allocate, Message, Reader, parts_of, reading


class Parcel:
    """A message on its way; its large buffers must not change before it is gone.

    Attributes
    ----------
    left : int
        How many parts of it are not gone yet.
    """

    def __init__(self) -> None:
        self.left = 0


class Post:
    """The messages of one rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Of kofn's own, whose errors are raised.
    peers : iterable of int
        The ranks to listen to from the beginning.
    allocate : callable
        Makes memory for large buffers that come.

    Attributes
    ----------
    steps : int
        How many parts have gone or come so far.
    lost : set of int
        Ranks that are gone.
    """

    def __init__(self, comm: Any, peers: Iterable[int], allocate: Allocate) -> None:
        self._comm, self._allocate = comm, allocate
        self._lock = threading.RLock()
        self._sending: list[tuple[int, Any, Parcel]] = []
        self._receiving: list[tuple[int, Any, Reader]] = []
        self._begun: set[Reader] = set()
        self._outbox: deque[tuple[int, list[Any], Parcel]] = deque()
        self._news: list[Message] = []
        self.steps = 0
        self.lost: set[int] = set()
        for peer in peers:
            self.listen(peer)

    @property
    def is_moving(self) -> bool:
        """Whether some message is not yet complete, here or on its way from here."""
        return bool(self._sending or self._begun or self._outbox)

    def send(self, rank: int, head: tuple[Any, ...], buffers: Sequence[Buffer] = ()) -> Parcel:
        """Begin to send a message; to a rank that is gone nothing is sent.

        One of several parts is sent by whoever looks next: Ctrl-C in the caller's thread would tear it apart.
        """
        parts, parcel = list(parts_of(head, buffers)), Parcel()
        with self._lock:
            if len(parts) == 1 and not self._outbox:
                self._begin(rank, parts[0], parcel)
            else:
                parcel.left = 1
                self._outbox.append((rank, parts, parcel))
        return parcel

    def listen(self, source: int) -> None:
        """Be ready for what a rank sends from now on."""
        with self._lock:
            if source not in self.lost and all(source != known for known, _, _ in self._receiving):
                reader = reading(lambda part: self._comm.Irecv(part, source=source, tag=STREAM), source, self._allocate)
                self._receiving.append((source, next(reader), reader))

    def look(self) -> list[Message]:
        """Return what has come since the last look, in the order in which each rank sent it."""
        from mpi4py import MPI

        with self._lock:
            while True:
                try:
                    self._send_waiting()
                    self._clear_sent()
                    place, done = MPI.Request.Testany([request for _, request, _ in self._receiving])
                except MPI.Exception as error:
                    self._lose(error)
                    continue
                if not done or place < 0:
                    news, self._news = self._news, []
                    return news
                self._advance(place)

    # -- under the lock -------------------------------------------------------------------------------

    def _begin(self, rank: int, part: Any, parcel: Parcel) -> None:
        from mpi4py import MPI

        if rank in self.lost:
            return
        try:
            request = self._comm.Isend(part, dest=rank, tag=STREAM)
            if not request.Test():
                parcel.left += 1
                self._sending.append((rank, request, parcel))
        except MPI.Exception as error:
            self._lose(error)

    def _send_waiting(self) -> None:
        while self._outbox:
            rank, parts, parcel = self._outbox.popleft()
            for part in parts:
                self._begin(rank, part, parcel)
            parcel.left -= 1

    def _clear_sent(self) -> None:
        if not self._sending:
            return
        left = []
        for entry in self._sending:
            if entry[1].Test():
                entry[2].left -= 1
                self.steps += 1
            else:
                left.append(entry)
        self._sending = left

    def _advance(self, place: int) -> None:
        source, _, reader = self._receiving[place]
        self._begun.add(reader)
        self.steps += 1
        for step in reader:
            if not isinstance(step, Message):
                self._receiving[place] = source, step, reader
                return
            self._begun.discard(reader)
            self._news.append(step)

    def _lose(self, error: Exception) -> None:
        """Take note of ranks that are gone; anything else that MPI says is raised."""
        failed = self._comm.Get_failed()
        self._comm.Ack_failed()
        gone = set(failed.Translate_ranks(range(failed.Get_size()), self._comm.Get_group())) - self.lost
        if not gone:
            raise error
        self.lost |= gone
        self._news += [Message(source, ()) for source, _, _ in self._receiving if source in gone]
        self._receiving = [entry for entry in self._receiving if entry[0] not in gone]
        self._begun &= {reader for _, _, reader in self._receiving}
        for entry in self._sending:
            entry[2].left -= entry[0] in gone
        self._sending = [entry for entry in self._sending if entry[0] not in gone]
        self.steps += 1
