"""What ends when nobody holds it any more: where, and when."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from kofn._base import _closeable
from kofn._base._closeable import at_end


class Thing:
    """Holds itself, so that only the garbage collector finds it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_collected_under_a_lock_that_its_end_needs_ends_once_that_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_closeable, "SOON", 0.01)
    lock, ended, threads = threading.Lock(), threading.Event(), []

    def end() -> None:
        threads.append(threading.current_thread())
        with lock:
            ended.set()

    at_end(Thing(), end)
    with lock:
        gc.collect()
        assert not ended.is_set()
    assert ended.wait(60.0) and threads != [threading.current_thread()]


def test_what_is_forgotten_has_ended_when_it_is_gone() -> None:
    ended: list[int] = []
    at_end(Thing(), ended.append, 1)
    gc.collect()
    assert ended == [1]


def test_what_is_ended_by_hand_ends_once_and_here() -> None:
    threads: list[threading.Thread] = []
    thing = Thing()
    end = at_end(thing, lambda: threads.append(threading.current_thread()) or "told")
    assert (end(), end()) == ("told", None)
    del thing
    gc.collect()
    assert threads == [threading.current_thread()]


def test_what_is_held_to_the_end_of_the_program_ends_there() -> None:
    lines = "from kofn._base._closeable import at_end", "class Thing: pass", "thing = Thing()"
    program = "\n".join([*lines, "at_end(thing, print, 'ended')"])
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "ended\n"


def test_what_is_forgotten_while_no_thread_can_be_started_ends_with_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    ended: list[int] = []
    end = at_end(Thing(), ended.append, 1)
    monkeypatch.setattr(threading.Thread, "start", start)
    gc.collect()
    assert not ended and end.atexit
    end()
    assert ended == [1]


LATE = """
import atexit

class Thing: ...
held = []

def late():
    held.append(Thing())
    at_end(held[0], print, "ended")

atexit.register(late)
from kofn._base._closeable import at_end
"""


def test_what_is_made_as_the_program_ends_does_not_keep_it_from_ending() -> None:
    """In Python 3.11 it waited for ever for a thread that no longer came to run."""
    ran = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=600.0)
    assert (ran.returncode, ran.stderr) == (0, "")
