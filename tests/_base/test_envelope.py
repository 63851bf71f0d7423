"""What fails at a worker arrives as what it is, or as its text: on every engine, whatever the exception does."""

from __future__ import annotations

import pickle
import sys
import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from awkward import KeywordsError, LoadsToExitError, ReducesToExitError, SpeechlessError, caused, holding
from kofn._base._envelope import CAUSES, LETTERS, Envelope, error_line
from kofn.errors import PoolClosed


class ChangedError(Exception):
    """Can be rebuilt, as something else."""

    def __init__(self, code):
        super().__init__(f"code {code}")


class AnotherError(Exception):
    def __reduce__(self):
        return ValueError, ("somebody else",)


class NotesError(Exception):
    def add_note(self, note):
        raise AssertionError

    @property
    def __notes__(self):
        raise AssertionError


def _circle():
    one, two = ValueError("this one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def _long_chain():
    error = ValueError("last")
    for _ in range(2000):
        error = caused(error)
    return error


TRAVELS = {
    "plain": lambda: ValueError("this one"),
    "of a connection": lambda: ConnectionError(111, "refused"),
    "of text": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "this one"),
    "group": lambda: ExceptionGroup("this one", [ValueError("a"), KeyError("b")]),
    "warning": lambda: UserWarning("this one"),
    "memory": lambda: MemoryError("this one"),
    "with an array": lambda: holding(np.ones(1000)),
    "cause that travels": lambda: caused(KeyError("two")),
    "cause that does not": lambda: caused(KeywordsError(7, where="here")),
    "circle of causes": _circle,
    "long chain of causes": _long_chain,
    "kofn's": lambda: PoolClosed("this one"),
    "of futures": lambda: CancelledError("this one"),
}
STAYS = {
    "keywords": lambda: KeywordsError(7, where="here"),
    "changed": lambda: ChangedError(7),
    "speechless": lambda: SpeechlessError(KeyboardInterrupt),
    "reduces to exit": lambda: ReducesToExitError("this one"),
    "loads to exit": lambda: LoadsToExitError("this one"),
    "another": lambda: AnotherError("this one"),
    "lock": lambda: holding(threading.Lock()),
    "generator": lambda: holding(i for i in range(3)),
    "huge": lambda: holding(np.ones(1 << 20)),
    "recursive": lambda: holding(__import__("functools").reduce(lambda held, _: [held], range(100_000))),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt("this one"),
    "generator's end": lambda: GeneratorExit("this one"),
    "group of exits": lambda: BaseExceptionGroup("this one", [SystemExit(3)]),
}


def sent(error):
    try:
        raise error
    except BaseException as caught:
        return pickle.loads(pickle.dumps(Envelope(caught, 3)))


@pytest.mark.parametrize("make", TRAVELS.values(), ids=TRAVELS)
def test_what_can_travel_arrives_as_it_is(make):
    error = make()
    envelope = sent(error)
    opened = envelope.open()
    assert type(opened) is type(error) and str(opened) == str(error)
    assert envelope.position == 3 and "in sent" in envelope.traceback and envelope.traceback in opened.__notes__[0]


@pytest.mark.parametrize("make", STAYS.values(), ids=STAYS)
def test_of_what_cannot_travel_kind_and_text_arrive(make):
    error = make()
    opened = sent(error).open()
    assert type(opened) is RuntimeError and str(opened) == error_line(error)
    assert "in sent" in opened.__notes__[0]


def test_causes_arrive_each_as_it_can():
    error = caused(caused(KeywordsError(7, where="here")))
    opened = sent(error).open()
    assert type(opened.__cause__) is ValueError
    assert repr(opened.__cause__.__cause__) == "RuntimeError('KeywordsError: code 7 at here')"
    assert str(error.__cause__.__cause__) == "code 7 at here" and error.__traceback__ is not None
    opened, links = sent(_long_chain()).open(), 0
    while opened.__cause__ is not None:
        opened, links = opened.__cause__, links + 1
    assert links == CAUSES


def test_a_class_that_is_not_here_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "library_of_the_workers", raising=False)  # tasks on threads make it here
    envelope = sent(ValueError("no licence"))
    envelope._live = b"clibrary_of_the_workers\nLibraryError\n(tR."
    envelope.kind = "LibraryError"
    assert repr(envelope.open()) == "RuntimeError('LibraryError: no licence')"


def test_within_a_process_it_is_the_exception_itself_and_a_second_raise_leaves_one_note():
    error = KeywordsError(7, where="here")
    for _ in range(2):
        assert Envelope(error).open() is error
    assert len(error.__notes__) == 1


def test_what_notes_do_is_of_no_account():
    assert isinstance(Envelope(NotesError("this one")).open(), NotesError)


def test_long_messages_are_cut():
    assert len(error_line(ValueError("x" * 10**6))) < LETTERS + 100
