"""Every exception that kofn raises on purpose.

::

    KofnError
     ├── ArgumentError (ValueError)      what the caller gave cannot work; nothing was started
     │    └── FileError                  a file that cannot be read or written as asked
     ├── CodeError (ValueError)          a code whose mathematics does not hold
     ├── NotDecodable                    too little can arrive; carries the best estimate
     ├── WorkerError                     something went wrong at a worker
     │    ├── TaskError                  the task's function raised; carries worker, row, traceback
     │    │    ├── TermError             a term of a sum raised or cannot be added; carries its index
     │    │    └── FunctionError         a function raised, or its values do not fit together
     │    └── WorkerLost                 the worker died or cannot be reached
     ├── PoolClosed (RuntimeError)       the pool was closed before or during the call
     └── Cancelled                       the job was cancelled
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answer import Answer


class KofnError(Exception):
    """Base of every exception that kofn raises on purpose."""


class ArgumentError(KofnError, ValueError):
    """An argument cannot work; raised before anything is started or changed.

    Attributes
    ----------
    call : str
        What the user called, where it is known; the sentence starts with it.
    """

    call = ""

    def __str__(self) -> str:
        sentence = super().__str__()
        return f"{self.call}: {sentence}" if self.call else sentence


class FileError(ArgumentError):
    """A file cannot be read or written as asked; existing files are untouched."""


class CodeError(KofnError, ValueError):
    """The matrices of a code contradict each other or what is asked of them."""


class NotDecodable(KofnError):
    """No answer can come: everything that could arrive has arrived, or the deadline passed with nothing.

    Attributes
    ----------
    estimate : Answer or None
        The best estimate from whatever arrived; None when nothing did.
    """

    def __init__(self, message: str, estimate: Answer | None = None) -> None:
        super().__init__(message)
        self.estimate = estimate


class WorkerError(KofnError):
    """Something went wrong at a worker.

    Attributes
    ----------
    worker : int
        Which worker, counted from 0.
    row : int or None
        The row of the code that it was working on, where known.
    """

    def __init__(self, message: str, worker: int, row: int | None = None) -> None:
        super().__init__(message)
        self.worker = worker
        self.row = row


class TaskError(WorkerError):
    """The function of a task raised; the original exception is ``__cause__``.

    Attributes
    ----------
    traceback : str
        The traceback as the worker saw it.
    """

    def __init__(self, message: str, worker: int, row: int | None = None, traceback: str = "") -> None:
        super().__init__(message, worker, row)
        self.traceback = traceback


class TermError(TaskError):
    """A term of a sum raised, or returned what cannot be added to the others.

    Attributes
    ----------
    term : int
        Its index, counted from 0.
    """

    def __init__(
        self, message: str, worker: int, row: int | None = None, traceback: str = "", *, term: int = -1
    ) -> None:
        super().__init__(message, worker, row, traceback)
        self.term = term


class FunctionError(TaskError):
    """A function evaluated for `kofn.map` raised, or returned what other results cannot be combined with."""


class WorkerLost(WorkerError):
    """The worker died, was killed, or cannot be reached; its rows can go to others."""


class PoolClosed(KofnError, RuntimeError):
    """The pool was closed before or during the call."""


class Cancelled(KofnError):
    """The job was cancelled, so it has no result."""
