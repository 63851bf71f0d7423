"""What happens to a slot of a local pool, and what is to be done about it: data, without any I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .._protocol import Stop
from ._call import LocalCall, Outcome

# -- what happens -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """A call for a slot that holds none."""

    call: LocalCall


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody waits for a call any more; it may run on for so many seconds, or while it loads for so many."""

    number: int
    how: Stop
    seconds: float = 0.0
    loading_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hello:
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


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing can be sent to the process any more: it has hung up, or took a message in half."""


@dataclass(frozen=True, slots=True)
class GraceOver:
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


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the process that the slot names."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the process a call, with the values that it lacks for it, and tell it what to forget."""

    call: LocalCall


@dataclass(frozen=True, slots=True)
class Finish:
    """Note that the process has come through a call, and tell it what to forget."""

    call: LocalCall


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Raise KeyboardInterrupt in what the process runs."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the process whether it loads something."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Have the process killed."""


@dataclass(frozen=True, slots=True)
class Settle:
    """End a call with what came of it."""

    call: LocalCall
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a call that was stopped."""

    call: LocalCall


@dataclass(frozen=True, slots=True)
class Fail:
    """End a call with an error."""

    call: LocalCall
    error: Exception


SlotAction: TypeAlias = Spawn | Send | Finish | Interrupt | Ask | Kill | Settle | Cancel | Fail
