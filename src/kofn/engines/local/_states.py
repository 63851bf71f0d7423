"""Where a slot of a local pool stands, and what follows from what happens there.

`step` is pure: it neither waits, nor sends, nor looks at a clock. The supervisor tells it what happened and carries out
what it answers. An event about a call or a process that the slot has no longer changes nothing; one that the table
lacks cannot happen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from .._protocol import Stop, WorkerState
from . import _events as on
from ._call import LocalCall

TRIES = 3
"""Processes in a row that end before they are ready, after which their slot is given up."""

SILENT_SECONDS = 4.0
"""How long a worker may take to say whether it loads: where a large library is mapped, no Python runs for a while."""

AGAIN_SECONDS = 0.5
"""How long a worker that loads has until it is asked again."""


class SlotState(StrEnum):
    """What the process of a slot is doing, as far as the supervisor knows."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    """It runs a call that nobody waits for, and has until the slot's deadline to come to its end."""
    KILLED = "killed"
    """Its death has been asked for, and is not certain yet."""
    DEAD = "dead"
    """There is no process, and none will come."""


STARTING, IDLE, BUSY, STOPPING, KILLED, DEAD = SlotState


class Slot(NamedTuple):
    """One place in a pool, served by one process after another. (A frozen dataclass takes ten times as long to make.)

    Parameters
    ----------
    state : SlotState
    process : int
        Which process serves it, counted from 1.
    tries : int
        Processes started since the last one that became ready.
    call : LocalCall, optional
        What it runs, or will run once its process is ready.
    is_sent : bool
        Whether the process has been sent the call, in part at least.
    deadline : float
        When the grace of a call ends that nobody waits for.
    loading_until : float
        How long its process may go on all the same, as long as it says that it loads something.
    is_asked : bool
        Whether the process has been asked if it does, and has not answered.
    """

    state: SlotState = STARTING
    process: int = 1
    tries: int = 1
    call: LocalCall | None = None
    is_sent: bool = False
    deadline: float = math.inf
    loading_until: float = -math.inf
    is_asked: bool = False

    @property
    def seen(self) -> WorkerState:
        """What it is doing, seen from outside."""
        return _SEEN[self.state] if self.call is None else WorkerState.BUSY


_KINDS = {
    *((state, False, False) for state in (STARTING, IDLE, KILLED, DEAD)),
    *((state, True, False) for state in (STARTING, KILLED)),
    *((state, True, True) for state in (BUSY, STOPPING, KILLED)),
}
"""States, whether there is a call, and whether the process has been sent it."""

_SEEN = {STARTING: WorkerState.STARTING, KILLED: WorkerState.STARTING, IDLE: WorkerState.IDLE, DEAD: WorkerState.DEAD}

After: TypeAlias = tuple[Slot, tuple[on.SlotAction, ...]]
Follow: TypeAlias = Callable[[Slot, Any, float], After]


def step(slot: Slot, event: on.SlotEvent, now: float) -> After:
    """Return the slot after an event, and what is to be done about it.

    Examples
    --------
    >>> slot, actions = step(Slot(), on.Hello(), now=0.0)
    >>> slot.state, actions
    (<SlotState.IDLE: 'idle'>, ())
    """
    if _is_past(slot, event):
        return slot, ()
    follow = _FOLLOWS.get((slot.state, type(event)))
    assert follow is not None, f"{event} cannot happen to {slot}"
    after, actions = follow(slot, event, now)
    assert (after.state, after.call is not None, after.is_sent) in _KINDS, after
    assert after.deadline == math.inf or after.state is STOPPING, after
    return after, actions


def _is_past(slot: Slot, event: on.SlotEvent) -> bool:
    if isinstance(event, (on.Stopped, on.Replied, on.Loads)):
        return slot.call is None or slot.call.number != event.number
    return isinstance(event, on.Exited) and event.process != slot.process


def _queue(slot: Slot, event: on.Submitted, now: float) -> After:
    assert slot.call is None, f"{slot} holds a call"
    return slot._replace(call=event.call), ()


def _give(slot: Slot, event: on.Submitted, now: float) -> After:
    return _run(slot, event.call)


def _welcome(slot: Slot, event: on.Hello, now: float) -> After:
    return (Slot(IDLE, slot.process, 0), ()) if slot.call is None else _run(slot, slot.call)


def _run(slot: Slot, call: LocalCall) -> After:
    return Slot(BUSY, slot.process, 0, call, is_sent=True), (on.Send(call),)


def _unqueue(slot: Slot, event: on.Stopped, now: float) -> After:
    assert slot.call is not None
    return slot._replace(call=None, is_sent=False), (on.Cancel(slot.call),)


def _stop(slot: Slot, event: on.Stopped, now: float) -> After:
    assert slot.call is not None
    cancel = (on.Cancel(slot.call),) if slot.state is BUSY else ()
    if event.how == Stop.KILL:
        return Slot(KILLED, slot.process, slot.tries), (on.Kill(), *cancel)
    after = slot._replace(state=STOPPING)
    if (deadline := now + event.seconds) < slot.deadline:
        after = after._replace(deadline=deadline, loading_until=now + event.loading_seconds, is_asked=False)
    return after, (on.Interrupt(), *cancel) if event.how == Stop.INTERRUPT else cancel


def _settle(slot: Slot, event: on.Replied, now: float) -> After:
    assert slot.call is not None
    settle = (on.Settle(slot.call, event.outcome),) if slot.state is BUSY else ()
    return Slot(IDLE, slot.process, slot.tries), (on.Finish(slot.call), *settle)


def _answer(slot: Slot, event: on.Loads, now: float) -> After:
    if not slot.is_asked:
        return slot, ()
    return slot._replace(is_asked=not event.loads, deadline=now + (AGAIN_SECONDS if event.loads else 0.0)), ()


def _end_grace(slot: Slot, event: on.GraceOver, now: float) -> After:
    if slot.is_asked or now >= slot.loading_until:
        return _kill(slot, event, now)
    return slot._replace(is_asked=True, deadline=now + SILENT_SECONDS), (on.Ask(),)


def _kill(slot: Slot, event: on.SlotEvent, now: float) -> After:
    call = _wanted_call(slot)
    return Slot(KILLED, slot.process, slot.tries, call, slot.is_sent and call is not None), (on.Kill(),)


def _replace(slot: Slot, event: on.Exited, now: float) -> After:
    call = _wanted_call(slot)
    if slot.tries >= TRIES:
        return _end(slot, event, now)
    if not slot.is_sent:
        return Slot(STARTING, slot.process + 1, slot.tries + 1, call), (on.Spawn(),)
    fail = () if call is None else (on.Fail(call, event.error),)
    return Slot(STARTING, slot.process + 1, slot.tries + 1), (on.Spawn(), *fail)


def _end(slot: Slot, event: on.Exited | on.Ended, now: float) -> After:
    call = _wanted_call(slot)
    return Slot(DEAD, slot.process, slot.tries), () if call is None else (on.Fail(call, event.error),)


def _stay(slot: Slot, event: on.SlotEvent, now: float) -> After:
    return slot, ()


def _wanted_call(slot: Slot) -> LocalCall | None:
    """The call of a slot, unless it was stopped and has been cancelled."""
    return None if slot.state is STOPPING else slot.call


_TABLE: list[tuple[type[on.SlotEvent], Follow, tuple[SlotState, ...]]] = [
    (on.Submitted, _queue, (STARTING, KILLED)),
    (on.Submitted, _give, (IDLE,)),
    (on.Hello, _welcome, (STARTING,)),
    (on.Stopped, _unqueue, (STARTING, KILLED)),
    (on.Stopped, _stop, (BUSY, STOPPING)),
    (on.Replied, _settle, (BUSY, STOPPING)),
    (on.Loads, _answer, (BUSY, STOPPING)),
    (on.GraceOver, _end_grace, (STOPPING,)),
    (on.Unreachable, _kill, (STARTING, IDLE, BUSY, STOPPING)),
    (on.Exited, _replace, (STARTING, IDLE, BUSY, STOPPING, KILLED)),
    (on.Ended, _end, (STARTING, IDLE, BUSY, STOPPING, KILLED)),
    # What was on its way already:
    *((kind, _stay, (KILLED,)) for kind in (on.Replied, on.Loads, on.Unreachable)),
    *((kind, _stay, (DEAD,)) for kind in (on.Hello, on.Unreachable, on.Exited, on.Ended)),
]
"""What happens, what follows, and in which states."""

_FOLLOWS = {(state, kind): follow for kind, follow, states in _TABLE for state in states}
