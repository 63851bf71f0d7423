"""What became of a call that has no value, in words of the user's."""

from __future__ import annotations

from contextlib import suppress
from pickle import PicklingError

from ..._base._envelope import ESCAPES, NOTE, Envelope, error_line, notes_of, text_of
from ...checks import refusal
from ...errors import ArgumentError, FunctionError, KofnError, ReferenceLost, WorkerLost
from ._loop import Result
from ._state import ATTEMPTS


def failure_of_call(result: Result, call: str, noun: str = "input") -> KofnError:
    """Build (not raise) the exception that names the input, the worker and what f did; its cause is f's own.

    Examples
    --------
    >>> print(failure_of_call(Result(3, 1, None, Envelope(ValueError("no licence"))), "kofn.map"))
    no licence (at worker 1).
    """
    number, worker, _, failure = result
    assert failure is not None
    error: KofnError
    if isinstance(failure, Envelope):
        opened = failure.open()
        text = f"{failure.text} (at worker {worker})."
        error = FunctionError(text, worker, number, failure.traceback, input=number)
        error.__cause__ = opened.__cause__
    elif isinstance(failure, WorkerLost) and worker >= 0:
        text = f"{noun} {number} was given up after {ATTEMPTS} lost workers; the last: {failure}"
        error = WorkerLost(text, worker, number)
    elif isinstance(failure, ReferenceLost):
        text = f"input {number} is lost with the worker that had it ({failure}); make it again, or keep copies"
        error = ReferenceLost(text, worker, number)
    elif isinstance(failure, ArgumentError):
        given = error_line(failure.__cause__) if failure.__cause__ else str(failure)
        must, remedy = "be picklable", "leave out locks, files and generators"
        error = refusal(call, f"{noun}s", must, f"{given} in {noun} {number}", remedy)
    elif isinstance(failure, KofnError):  # of the pool, not of this call
        error = failure
    elif isinstance(failure, PicklingError):
        text = f"f returned at input {number} what cannot be sent back (at worker {worker}): {failure}"
        error = FunctionError(text, worker, number, input=number)
        error.__cause__ = failure
    else:
        notes = "\n".join(notes_of(failure))
        text = (
            f"the call of f at {noun} {number} raised {type(failure).__name__} at worker {worker}: {text_of(failure)}"
        )
        error = FunctionError(text, worker, number, notes, input=number)
        error.__cause__ = failure
    return error


def own_failure(result: Result, call: str, noun: str = "input") -> BaseException:
    """What f itself raised, with the traceback at the worker as a note; else what kofn says of it.

    Examples
    --------
    >>> own_failure(Result(3, 1, None, WorkerLost("worker 1 died", 1)), "kofn.map").row
    3
    """
    error = failure_of_call(result, call, noun)
    cause = error.__cause__
    if cause is None or not isinstance(result.failure, Envelope):
        return error
    if not any(note.startswith(NOTE) for note in notes_of(cause)):
        with suppress(*ESCAPES):  # it may take none: a frozen dataclass
            cause.add_note(f"{NOTE}{result.failure.traceback}")
    return cause
