"""What failed at a worker, in a form that always arrives: text first, the exception itself where that can travel."""

from __future__ import annotations

import contextlib
import io
import pickle
import traceback
from functools import cache
from typing import Any

LIVE_BYTES = 1 << 20
"""An exception that pickles to more than this stays where it was raised; its text travels."""

LETTERS = 10_000
"""At most so many characters of a message travel; it may be the text of an array."""

CAUSES = 8
"""At most so many causes of an exception travel; a chain of them may be a circle."""

NOTE = "Traceback at the worker:\n"
"""How the note with a worker's traceback begins; an exception that is raised again keeps one such note."""

ESCAPES = (Exception, SystemExit, GeneratorExit)
"""What is caught of a user's code that runs in the caller's own thread; KeyboardInterrupt is Ctrl-C there."""


def text_of(error: BaseException) -> str:
    """Return the message of ``error``, whatever its ``__str__`` does.

    Examples
    --------
    >>> text_of(ValueError("no licence"))
    'no licence'
    """
    try:
        text = str(error)
    except BaseException as worse:
        return f"(its message cannot be had: __str__ raised {type(worse).__name__})"
    return text if len(text) <= LETTERS else f"{text[:LETTERS]} …"


def error_line(error: BaseException) -> str:
    """Return kind and message of ``error`` as the last line of a traceback does.

    Examples
    --------
    >>> error_line(KeyError("matrix"))
    "KeyError: 'matrix'"
    """
    return f"{type(error).__name__}: {text_of(error)}"


def notes_of(error: BaseException) -> list[str]:
    """Return the notes of ``error``, whatever it says they are.

    Examples
    --------
    >>> error = ValueError("no licence")
    >>> error.add_note("ask for one")
    >>> notes_of(error)
    ['ask for one']
    """
    try:
        return list(map(str, getattr(error, "__notes__", ())))
    except ESCAPES:
        return []


class Envelope:
    """What failed at a worker.

    It travels by any pickle, and opens in any process: what cannot, such as an exception that holds a lock, or one
    whose class is not installed where it arrives, is left behind, and a `RuntimeError` with its kind and message
    stands for it. Within a process it holds the exception itself.

    Parameters
    ----------
    error : BaseException
    position : int
        Which of the tasks that were sent together raised it, counted from 0.

    Attributes
    ----------
    kind, text, traceback : str
        Name of its class, its message, and its traceback as the worker saw it.

    Examples
    --------
    >>> class LibraryError(Exception):
    ...     def __init__(self, *, code):  # which pickle does not know
    ...         super().__init__(f"code {code}")
    >>> envelope = pickle.loads(pickle.dumps(Envelope(LibraryError(code=7))))
    >>> envelope.open()
    RuntimeError('LibraryError: code 7')
    """

    def __init__(self, error: BaseException, position: int = 0) -> None:
        self.position = position
        self.kind = type(error).__name__
        self.text = text_of(error)
        self.traceback = _traceback_of(error)
        self._live: BaseException | bytes | None = error
        self._causes: list[Envelope] = []  # once it has travelled; before, the exception has its own

    def __getstate__(self) -> dict[str, Any]:
        live = self._live
        causes = self._causes
        if isinstance(live, BaseException):
            causes = [Envelope(cause) for cause in _chain(live)]
            for cause in causes:
                cause.traceback, cause._live = "", _pickled(cause._live)
            live = _pickled(live)
        return {**vars(self), "_live": live, "_causes": causes}

    def open(self) -> Exception:
        """Return the exception, or what stands for it, with its traceback as a note and its causes."""
        error = self._opened()
        last: BaseException = error
        with contextlib.suppress(*ESCAPES):  # it may take neither: a frozen dataclass
            for cause in self._causes:
                last.__cause__ = last = cause._opened()
        with contextlib.suppress(*ESCAPES):
            theirs = [note for note in notes_of(error) if not note.startswith(NOTE)]
            error.__notes__ = [*theirs, f"{NOTE}{self.traceback}"]
        return error

    def _opened(self) -> Exception:
        error: object = self._live
        if isinstance(error, bytes):
            try:
                error = pickle.loads(error)
            except ESCAPES:  # a class that is not installed here, or that wants other arguments
                error = None
        # SystemExit and its like would end the program of whoever asks for the result.
        return error if isinstance(error, Exception) else RuntimeError(f"{self.kind}: {self.text}")


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as worse:
        return f"{error_line(error)} (its traceback cannot be had: {type(worse).__name__})\n"


def _chain(error: BaseException) -> list[BaseException]:
    """The causes of ``error``, its own first, as a traceback shows them."""
    chain: list[BaseException] = [error]
    while len(chain) <= CAUSES:
        last = chain[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or any(cause is known for known in chain):
            break
        chain.append(cause)
    return chain[1:]


def _pickled(error: Any) -> bytes | None:
    """Return ``error`` as bytes that give the same again here, if there are such bytes and few of them."""
    if not isinstance(error, Exception):
        return None
    stream = _Bounded()
    try:
        _pickler()(stream, 5).dump(error)
        same = pickle.loads(stream.getvalue())
        alike = type(same) is type(error) and str(same) == str(error)
    except BaseException:  # what a user's own __reduce__ or __str__ may raise is anything
        return None
    return stream.getvalue() if alike else None


@cache
def _pickler() -> Any:
    """A pickler that asks exceptions themselves: tblib, which Dask brings, would take causes and frames along."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:
            return value.__reduce_ex__(5) if isinstance(value, BaseException) else super().reducer_override(value)

    return Pickler


class _Bounded(io.BytesIO):
    """A file in memory that refuses to grow beyond `LIVE_BYTES`."""

    def write(self, part: Any) -> int:
        if self.tell() + memoryview(part).nbytes > LIVE_BYTES:
            raise OverflowError
        return super().write(part)
