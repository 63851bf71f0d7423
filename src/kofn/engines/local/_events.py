"""What happens to a slot of a local pool, and what is to be done about it: data, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .._protocol import Stop
from ._call import LocalCall, Outcome


@dataclass(frozen=True, slots=True)
class _Plain:
    """What says no more than its name."""


@dataclass(frozen=True, slots=True)
class _OfCall:
    """What is about a call."""

    call: LocalCall


# -- what happens -------------------------------------------------------------------------------------


class Submitted(_OfCall):
    """A call for a slot that holds none."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody waits for a call any more; it may run on for so many seconds, or while it loads for so many."""

    number: int
    how: Stop
    seconds: float = 0.0
    loading_seconds: float = 0.0


class Hello(_Plain):
    """The process is ready."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The process is through with a call."""

    number: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Loads:
    """The process says whether it loads something."""

    number: int
    loads: bool


class Unreachable(_Plain):
    """Nothing can be sent to the process any more: it has hung up, or took a message in half."""


class GraceOver(_Plain):
    """The deadline has passed."""


@dataclass(frozen=True, slots=True)
class Exited:
    """A process has ended; the error is for the call that it had."""

    process: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Ended:
    """The pool has: it was closed, or cannot go on; the error is for the call in the slot."""

    error: Exception


SlotEvent: TypeAlias = Submitted | Stopped | Hello | Replied | Loads | Unreachable | GraceOver | Exited | Ended


# -- what is to be done -------------------------------------------------------------------------------


class Spawn(_Plain):
    """Start the process that the slot names."""


class Send(_OfCall):
    """Send the process a call, with the values that it lacks for it, and tell it what to forget."""


class Finish(_OfCall):
    """Note that the process has come through a call, and tell it what to forget."""


class Interrupt(_Plain):
    """Raise KeyboardInterrupt in what the process runs."""


class Ask(_Plain):
    """Ask the process whether it loads something."""


class Kill(_Plain):
    """Have the process killed."""


@dataclass(frozen=True, slots=True)
class Settle(_OfCall):
    """End a call with what came of it."""

    outcome: Outcome


class Cancel(_OfCall):
    """End a call that was stopped."""


@dataclass(frozen=True, slots=True)
class Fail(_OfCall):
    """End a call with an error."""

    error: Exception


SlotAction: TypeAlias = Spawn | Send | Finish | Interrupt | Ask | Kill | Settle | Cancel | Fail
