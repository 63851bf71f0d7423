"""Messages with descriptors over a socket pair, framed, never blocking unless asked to."""

from __future__ import annotations

import array
import os
import pickle
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

from ._descriptors import raise_descriptor_limit

Message = tuple[Any, list[int]]
"""What was sent, and the descriptors that came with it."""

MOST_DESCRIPTORS = 100
"""Descriptors that one message may carry (the kernel allows 253)."""

_HEADER = struct.Struct("<QI")
_CHUNK = 1 << 16
_ROOM = socket.CMSG_SPACE(253 * array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Connection:
    """One end of a socket pair that carries pickled messages of plain values.

    Examples
    --------
    >>> left, right = map(Connection, socket.socketpair())
    >>> _ = left.send(("hello", 1))
    >>> right.wait()
    (('hello', 1), [])
    >>> left.close(); right.close()
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._bytes = bytearray()
        self._fds: deque[int] = deque()
        self._ready: deque[Message] = deque()
        self._ended = False

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once closed."""
        return self._socket.fileno()

    def send(self, message: object, fds: Sequence[int] = (), patience: float | None = None) -> int:
        """Send all of ``message``; `TimeoutError` when the other end takes nothing for ``patience`` seconds.

        Returns
        -------
        int
            The number of bytes sent.
        """
        body = pickle.dumps(message, protocol=5)
        rest = memoryview(_HEADER.pack(len(body), len(fds)) + body)
        total = len(rest)
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while rest:
            try:
                rest = rest[self._socket.sendmsg([rest], extra) :]
                extra = []
            except BlockingIOError:
                self._await(select.POLLOUT, patience)
        return total

    def _await(self, event: int, patience: float | None = None) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if not poll.poll(None if patience is None else patience * 1000):
            raise TimeoutError("the other end of the connection does not read")

    def poll(self) -> list[Message]:
        """Return the messages that are complete by now; raise `EOFError` once the other end has closed."""
        self._read()
        messages = list(self._ready)
        self._ready.clear()
        if self._ended and not messages:
            raise EOFError("the other end of the connection has closed")
        return messages

    def wait(self) -> Message:
        """Wait for one message; raise `EOFError` once the other end has closed."""
        while not self._ready:
            if self._ended:
                raise EOFError("the other end of the connection has closed")
            self._await(select.POLLIN)
            self._read()
        return self._ready.popleft()

    def _read(self) -> None:
        while not self._ended:
            try:
                data, extra, flags, _ = self._socket.recvmsg(_CHUNK, _ROOM, _CLOEXEC)
            except BlockingIOError:
                break
            except OSError:
                data, extra, flags = b"", [], 0
            for _, _, packed in extra:
                received = array.array("i")
                received.frombytes(packed[: len(packed) - len(packed) % received.itemsize])
                self._fds.extend(received)
            self._bytes += data
            if flags & socket.MSG_CTRUNC:
                # This process is out of descriptors and has lost those of this message.
                raise_descriptor_limit()
                data = b""
            self._ended = not data
            if len(data) < _CHUNK:
                break  # most likely all there is
        self._split()

    def _split(self) -> None:
        while len(self._bytes) >= _HEADER.size:
            length, count = _HEADER.unpack_from(self._bytes)
            end = _HEADER.size + length
            if len(self._bytes) < end:
                return
            message = pickle.loads(memoryview(self._bytes)[_HEADER.size : end].tobytes())
            del self._bytes[:end]
            self._ready.append((message, [self._fds.popleft() for _ in range(count)]))

    def close(self) -> None:
        """Close the socket and every descriptor that nobody took."""
        self._socket.close()
        for _, fds in self._ready:
            self._fds.extend(fds)
        self._ready.clear()
        while self._fds:
            os.close(self._fds.popleft())


def bell() -> tuple[socket.socket, socket.socket]:
    """Return the ends of a socket pair by which a thread that waits is woken; neither ever blocks."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair
