"""Messages over a socket pair: split anywhere, descriptors in their order, ends in the middle, nobody who reads."""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct

import pytest

from kofn.engines.local._connection import Connection

HEADER = struct.Struct("<QI")


@pytest.fixture
def ends():
    left, right = socket.socketpair()
    connection = Connection(right)
    yield left, connection
    left.close()
    connection.close()


def framed(*messages, fds=0):
    bodies = [pickle.dumps(message, protocol=5) for message in messages]
    return b"".join(HEADER.pack(len(body), fds) + body for body in bodies)


def test_messages_may_be_split_at_every_byte():
    stream = framed("one", {"two": [2, 2]})
    for cut in range(len(stream) + 1):
        left, right = socket.socketpair()
        connection = Connection(right)
        left.sendall(stream[:cut])
        got = connection.poll()
        left.sendall(stream[cut:])
        got += connection.poll()
        assert got == [("one", []), ({"two": [2, 2]}, [])]
        left.close()
        connection.close()


def test_messages_byte_by_byte(ends):
    left, connection = ends
    got = []
    for byte in framed("one", "two"):
        left.sendall(bytes([byte]))
        got += connection.poll()
    assert got == [("one", []), ("two", [])]


def test_descriptors_come_with_their_message_and_in_their_order(tmp_path):
    sender, receiver = map(Connection, socket.socketpair())
    paths = [tmp_path / f"{number}" for number in range(5)]
    for path in paths:
        path.write_text(path.name)
    opened = [os.open(path, os.O_RDONLY) for path in paths]
    sender.send("two", opened[:2])
    sender.send("none")
    sender.send("three", opened[2:])
    got = [receiver.wait() for _ in range(3)]
    assert [message for message, _ in got] == ["two", "none", "three"]
    assert [[os.read(fd, 9) for fd in fds] for _, fds in got] == [[b"0", b"1"], [], [b"2", b"3", b"4"]]
    for fd in opened + [fd for _, fds in got for fd in fds]:
        os.close(fd)
    sender.close()
    receiver.close()


def test_an_end_after_a_message_is_told_after_the_message(ends):
    left, connection = ends
    left.sendall(framed("last"))
    left.close()
    assert connection.poll() == [("last", [])]
    with pytest.raises(EOFError):
        connection.poll()
    with pytest.raises(EOFError):
        connection.wait()


@pytest.mark.parametrize("cut", [1, HEADER.size - 1, HEADER.size, HEADER.size + 3])
def test_an_end_in_the_middle_of_a_message_is_an_end(ends, cut):
    left, connection = ends
    left.sendall(framed("never whole")[:cut])
    left.close()
    with pytest.raises(EOFError):
        connection.wait()


def test_who_does_not_read_is_not_waited_for():
    sender, receiver = map(Connection, socket.socketpair())
    with pytest.raises(TimeoutError, match="does not read"):
        sender.send(b"x" * (1 << 24), patience=0.01)
    sender.close()
    receiver.close()


def test_a_message_larger_than_the_buffers_arrives_whole():
    from threading import Thread

    sender, receiver = map(Connection, socket.socketpair())
    large = os.urandom(1 << 22)
    thread = Thread(target=sender.send, args=(large,))
    thread.start()
    assert receiver.wait() == (large, [])
    thread.join()
    sender.close()
    receiver.close()


def test_descriptors_that_nobody_took_are_closed(ends):
    left, connection = ends
    read, write = os.pipe()
    body = pickle.dumps("first", protocol=5)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))]
    left.sendmsg([framed("taken") + HEADER.pack(len(body), 1) + body], rights)
    os.close(write)
    os.set_blocking(read, False)
    assert connection.wait() == ("taken", [])  # the other has come too, and nobody asks for it
    with pytest.raises(BlockingIOError):
        os.read(read, 1)  # the connection holds the writing end
    connection.close()
    assert os.read(read, 1) == b""
    os.close(read)
