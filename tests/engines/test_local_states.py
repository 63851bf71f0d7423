"""The slots of a local pool: the table of what follows from what, and that no call is lost or ended twice."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kofn.engines import Stop, WorkerState
from kofn.engines.local import _events as on
from kofn.engines.local._states import AGAIN_SECONDS, SILENT_SECONDS, TRIES, Slot, SlotState, step

NOW = 100.0


@dataclass(frozen=True)
class FakeCall:
    number: int


CALL, NEXT = FakeCall(7), FakeCall(8)
ERROR = RuntimeError("gone")

STARTING = Slot(SlotState.STARTING, process=5, tries=2)
IDLE = Slot(SlotState.IDLE, process=5, tries=0)
BUSY = Slot(SlotState.BUSY, process=5, tries=0, call=CALL, is_sent=True)
STOPPING = BUSY._replace(state=SlotState.STOPPING, deadline=110.0, loading_until=160.0)
KILLED = Slot(SlotState.KILLED, process=5, tries=0)
DEAD = Slot(SlotState.DEAD, process=5, tries=TRIES)

WITH_QUEUED = STARTING._replace(call=CALL)
KILLED_WITH_QUEUED = KILLED._replace(call=CALL)
KILLED_WITH_SENT = KILLED._replace(call=CALL, is_sent=True)
LAST_TRY = STARTING._replace(tries=TRIES)
ASKED = STOPPING._replace(is_asked=True)
LOADED_ENOUGH = STOPPING._replace(loading_until=NOW)
REPLACED = Slot(SlotState.STARTING, process=6, tries=1)

OUTCOME = (True, [b""], {})
HELLO, LOST, EXITED, ENDED = on.Hello(), on.Unreachable(), on.Exited(5, ERROR), on.Ended(ERROR)
SUBMITTED, REPLIED, OVER = on.Submitted(CALL), on.Replied(7, OUTCOME), on.GraceOver()
LOADS, QUIET = on.Loads(7, True), on.Loads(7, False)
ABANDON, INTERRUPT = on.Stopped(7, Stop.ABANDON, 2.0, 60.0), on.Stopped(7, Stop.INTERRUPT, 0.05)
KILL = on.Stopped(7, Stop.KILL)

ABANDONED = BUSY._replace(state=SlotState.STOPPING, deadline=102.0, loading_until=160.0)
INTERRUPTED = BUSY._replace(state=SlotState.STOPPING, deadline=100.05, loading_until=100.0)

TABLE = [
    # what it is, what happens, what it is then, what is to be done
    (STARTING, SUBMITTED, WITH_QUEUED, []),
    (STARTING, HELLO, IDLE, []),
    (WITH_QUEUED, HELLO, BUSY, [on.Send(CALL)]),
    (WITH_QUEUED, ABANDON, STARTING, [on.Cancel(CALL)]),
    (WITH_QUEUED, INTERRUPT, STARTING, [on.Cancel(CALL)]),
    (WITH_QUEUED, KILL, STARTING, [on.Cancel(CALL)]),
    (STARTING, LOST, KILLED._replace(tries=2), [on.Kill()]),
    (WITH_QUEUED, LOST, KILLED_WITH_QUEUED._replace(tries=2), [on.Kill()]),
    (STARTING, EXITED, REPLACED._replace(tries=3), [on.Spawn()]),
    (WITH_QUEUED, EXITED, REPLACED._replace(tries=3, call=CALL), [on.Spawn()]),
    (LAST_TRY, EXITED, DEAD, []),
    (LAST_TRY._replace(call=CALL), EXITED, DEAD, [on.Fail(CALL, ERROR)]),
    (WITH_QUEUED, ENDED, DEAD._replace(tries=2), [on.Fail(CALL, ERROR)]),
    (IDLE, SUBMITTED, BUSY, [on.Send(CALL)]),
    (IDLE, LOST, KILLED, [on.Kill()]),
    (IDLE, EXITED, REPLACED, [on.Spawn()]),
    (IDLE, ENDED, DEAD._replace(tries=0), []),
    (BUSY, REPLIED, IDLE, [on.Finish(CALL), on.Settle(CALL, OUTCOME)]),
    (BUSY, ABANDON, ABANDONED, [on.Cancel(CALL)]),
    (BUSY, INTERRUPT, INTERRUPTED, [on.Interrupt(), on.Cancel(CALL)]),
    (BUSY, KILL, KILLED, [on.Kill(), on.Cancel(CALL)]),
    (BUSY, LOADS, BUSY, []),
    (BUSY, LOST, KILLED_WITH_SENT, [on.Kill()]),
    (BUSY, EXITED, REPLACED, [on.Spawn(), on.Fail(CALL, ERROR)]),
    (BUSY, ENDED, DEAD._replace(tries=0), [on.Fail(CALL, ERROR)]),
    (STOPPING, REPLIED, IDLE, [on.Finish(CALL)]),
    (STOPPING, ABANDON, STOPPING._replace(deadline=102.0), []),  # a grace only gets shorter
    (ABANDONED, replace(ABANDON, seconds=9.0), ABANDONED, []),
    (STOPPING, INTERRUPT, INTERRUPTED, [on.Interrupt()]),
    (STOPPING, KILL, KILLED, [on.Kill()]),
    (STOPPING, LOADS, STOPPING, []),  # nobody asked
    (ASKED, LOADS, STOPPING._replace(deadline=NOW + AGAIN_SECONDS), []),
    (ASKED, QUIET, ASKED._replace(deadline=NOW), []),
    (STOPPING, OVER, ASKED._replace(deadline=NOW + SILENT_SECONDS), [on.Ask()]),
    (ASKED, OVER, KILLED, [on.Kill()]),
    (LOADED_ENOUGH, OVER, KILLED, [on.Kill()]),
    (STOPPING, LOST, KILLED, [on.Kill()]),
    (STOPPING, EXITED, REPLACED, [on.Spawn()]),
    (STOPPING, ENDED, DEAD._replace(tries=0), []),
    (KILLED, SUBMITTED, KILLED_WITH_QUEUED, []),
    (KILLED_WITH_QUEUED, ABANDON, KILLED, [on.Cancel(CALL)]),
    (KILLED_WITH_SENT, KILL, KILLED, [on.Cancel(CALL)]),
    (KILLED_WITH_SENT, REPLIED, KILLED_WITH_SENT, []),
    (KILLED_WITH_SENT, LOADS, KILLED_WITH_SENT, []),
    (KILLED_WITH_SENT, LOST, KILLED_WITH_SENT, []),
    (KILLED, EXITED, REPLACED, [on.Spawn()]),
    (KILLED_WITH_QUEUED, EXITED, REPLACED._replace(call=CALL), [on.Spawn()]),
    (KILLED_WITH_SENT, EXITED, REPLACED, [on.Spawn(), on.Fail(CALL, ERROR)]),
    (KILLED._replace(tries=TRIES), EXITED, DEAD, []),
    (KILLED_WITH_QUEUED, ENDED, DEAD._replace(tries=0), [on.Fail(CALL, ERROR)]),
    (DEAD, HELLO, DEAD, []),
    (DEAD, LOST, DEAD, []),
    (DEAD, EXITED, DEAD, []),
    (DEAD, ENDED, DEAD, []),
]

SLOTS = [STARTING, WITH_QUEUED, IDLE, BUSY, STOPPING, KILLED, KILLED_WITH_QUEUED, KILLED_WITH_SENT, DEAD]
EVENTS = [SUBMITTED, ABANDON, HELLO, REPLIED, LOADS, LOST, OVER, EXITED, ENDED]


@pytest.mark.parametrize(("slot", "event", "then", "actions"), TABLE)
def test_what_follows(slot, event, then, actions):
    assert step(slot, event, NOW) == (then, tuple(actions))


PAST = [replace(event, number=6) for event in (ABANDON, KILL, REPLIED, LOADS)] + [on.Exited(4, ERROR)]


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("event", PAST)
def test_what_is_past_changes_nothing(slot, event):
    assert step(slot, event, NOW) == (slot, ())


def is_past(slot, event):
    return isinstance(event, on.Stopped | on.Replied | on.Loads) and slot.call is None


@pytest.mark.parametrize("state", SlotState)
@pytest.mark.parametrize("event", EVENTS)
def test_what_the_table_lacks_cannot_happen(state, event):
    known = any(slot.state is state and type(other) is type(event) for slot, other, _, _ in TABLE)
    for slot in SLOTS:
        if slot.state is state and not known and not is_past(slot, event):
            with pytest.raises(AssertionError, match="cannot happen"):
                step(slot, event, NOW)


@pytest.mark.parametrize("slot", [WITH_QUEUED, BUSY, STOPPING, KILLED_WITH_QUEUED, KILLED_WITH_SENT, DEAD])
def test_a_slot_that_holds_a_call_and_one_that_is_dead_take_none(slot):
    with pytest.raises(AssertionError):
        step(slot, on.Submitted(NEXT), NOW)


def test_from_outside():
    seen = [slot.seen for slot in SLOTS]
    assert seen == ["starting", "busy", "idle", "busy", "busy", "starting", "busy", "busy", "dead"]
    assert all(isinstance(state, WorkerState) for state in seen)


# -- any history --------------------------------------------------------------------------------------


class World:
    """One slot, and all that its process and its users may do; it holds what must hold in any order of events."""

    def __init__(self):
        self.slot, self.now, self.numbers = Slot(), 0.0, 0
        self.ready = self.running = self.killed = None
        self.spawned, self.sent, self.ends = [1], [0], Counter()

    def possible(self, draw):
        """The events that may come next; some are about calls and processes of the past."""
        slot, numbers = self.slot, list(range(1, self.numbers + 1)) or [0]
        yield on.Stopped(
            draw(st.sampled_from(numbers)), draw(st.sampled_from(list(Stop)[:3])), draw(times), draw(times)
        )
        yield on.Loads(draw(st.sampled_from(self.sent)), draw(st.booleans()))
        yield on.Exited(draw(st.sampled_from(self.spawned)), ERROR)
        yield on.Unreachable()
        if slot.call is None and slot.state is not SlotState.DEAD:
            yield on.Submitted(FakeCall(self.numbers + 1))
        if slot.state is SlotState.STARTING:
            yield on.Hello()
        if self.ready == slot.process and self.running:
            yield on.Replied(self.running, OUTCOME)
        if slot.deadline < math.inf:
            yield on.GraceOver()

    def tell(self, event):
        self.numbers += isinstance(event, on.Submitted)
        if isinstance(event, on.Hello):
            self.ready = self.slot.process
        if isinstance(event, on.GraceOver):
            self.now = self.slot.deadline
        if isinstance(event, on.Replied):
            self.running = None
        before = self.slot
        self.slot, actions = step(before, event, self.now)
        for action in actions:
            self.do(before, event, action)
        waiting = [number for number in range(1, self.numbers + 1) if not self.ends[number]]
        assert all(count == 1 for count in self.ends.values())
        held = self.slot.call.number if self.slot.call and self.slot.state is not SlotState.STOPPING else None
        assert waiting == ([] if held is None else [held])  # none is lost, and none waits beside it

    def do(self, before, event, action):
        match action:
            case on.Settle(call) | on.Cancel(call) | on.Fail(call):
                self.ends[call.number] += 1
            case on.Send(call):
                assert self.ready == self.slot.process and not self.running
                self.running = call.number
                self.sent.append(call.number)
            case on.Spawn():
                assert isinstance(event, on.Exited) and event.process == before.process == self.spawned[-1]
                self.spawned.append(self.slot.process)
                self.running = None
            case on.Kill():
                assert self.killed != self.slot.process
                self.killed = self.slot.process
            case on.Interrupt() | on.Ask():
                assert self.running == before.call.number


times = st.floats(0.0, 100.0)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_every_call_ends_once_and_every_process_is_replaced_once(data):
    world = World()
    for _ in range(data.draw(st.integers(0, 40))):
        world.now += data.draw(times)
        world.tell(data.draw(st.sampled_from(list(world.possible(data.draw)))))
    world.tell(on.Ended(ERROR))
    assert world.slot.state is SlotState.DEAD
    assert sum(world.ends.values()) == world.numbers
    assert world.spawned == sorted(set(world.spawned))
