"""The client's side of local processes: one thread that hears the fork server and the workers, and one lock.

What follows from what is heard is decided by `step`; the supervisor tells it, and carries out what it answers.
`LocalPool` holds a `Supervisor`; the thread never holds the pool, so a forgotten pool is closed by the garbage
collector. Only that thread receives and changes the selector; any thread sends, under the lock.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..._base._closeable import detach_in_forks
from ...errors import PoolClosed, WorkerLost
from .._engine import CLOSED
from .._protocol import Stop, WorkerState
from . import _events as on
from ._call import LocalCall
from ._connection import bell
from ._forkserver_client import CLOSING, PATIENCE, ForkServerClient
from ._shared_memory import SegmentStore
from ._slot import WorkerSlot
from ._states import TRIES, SlotState, step
from ._worker import QUESTION

# The first task that needs a module imports it, and that would be lost with the process. So a process that is late with
# code that is new to it is asked what it does, and is not ended while it loads; one that runs on without loading
# anything is stuck, as far as anybody can tell, and has kept others waiting for long enough.

FIRST_RUN_SECONDS = 2.0
"""How long a task that nobody waits for may run on at a worker that is new to its code."""

LOADING_SECONDS = 60.0
"""How long it may run on where the worker says, whenever it is asked, that it imports or unpickles something."""

TIDY_SECONDS = 0.01
"""How long an idle process may hold what it should forget; most of it goes with the next call."""


class Supervisor:
    """Worker processes, their fork server, and the books on them."""

    def __init__(self, n: int, threads: int, grace: float) -> None:
        self.threads = threads
        self.grace = grace
        self.owner = os.getpid()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = self.released = False
        self.tidy_at = math.inf
        self.bytes_sent = {"pipe": 0, "shared": 0, "returned": 0}
        self.store = SegmentStore(self.tidy_soon)
        self.slots = [WorkerSlot(index, self.lock, self.submit, self.stop_call, self.store) for index in range(n)]
        self.server_failures = 0
        self.modules: frozenset[str] = frozenset()
        self.commands = deque[Callable[[], object]]()
        self.woken, self.waker = bell()
        self.selector = selectors.PollSelector()
        self.selector.register(self.woken, selectors.EVENT_READ, self.on_wake)
        self.thread = threading.Thread(target=self.listen, name="kofn-local-pool", daemon=True)
        self.start_server()
        for slot in self.slots:
            self.spawn(slot)
        detach_in_forks(self)
        try:
            self.thread.start()
        except RuntimeError:  # a system that gives no more threads, or a program that ends
            self.server.close()
            self.release()
            raise

    # What happens to a slot, and what is done about it

    def handle(self, slot: WorkerSlot, event: on.SlotEvent) -> tuple[on.SlotAction, ...]:
        """Take an event: act on it under the lock, and end calls, which others wait for, without."""
        actions: tuple[on.SlotAction, ...] = ()
        try:
            with self.lock:
                deadline = slot.now.deadline
                slot.now, actions = step(slot.now, event, time.monotonic())
                for action in actions:
                    if (act := ACTS.get(type(action))) is not None:
                        act(self, slot, action)
                if slot.now.deadline < deadline:
                    self.wake()
                if isinstance(event, (on.Hello, on.Exited, on.Ended)):
                    self.changed.notify_all()
        finally:  # a Ctrl-C in between leaves nobody waiting
            for action in actions:
                if (end := ENDS.get(type(action))) is not None:
                    end(action)
        return actions

    def send(self, slot: WorkerSlot, call: LocalCall) -> None:
        """Send the process of ``slot`` a call; it has descriptors of its own then.

        What is shared is not used for anything else until the process has come through.
        """
        if self.flush(slot, call):
            payloads = [call.payload, *(resident.payload for resident in call.residents)]
            shared = {segment.id: segment for payload in payloads for segment in payload.segments}
            slot.in_use = [segment for segment in shared.values() if segment is not call.payload.fresh]
            call.payload.segments, call.payload.fresh = [], None

    def finish(self, slot: WorkerSlot, call: LocalCall) -> None:
        """Note that the process of ``slot`` has come through a call."""
        slot.code |= call.code
        slot.in_use = []
        if slot.must_forget:
            self.tidy_soon()

    def flush(self, slot: WorkerSlot, call: LocalCall | None) -> bool:
        """Send the process of ``slot`` what it must know; a send that fails half-way leaves one nobody can talk to."""
        try:
            self.bytes_sent["pipe"] += slot.flush(call, PATIENCE)
        except BaseException as error:
            self.handle(slot, on.Unreachable())
            if isinstance(error, OSError):
                return False
            raise
        return True

    def start_server(self) -> None:
        """Start the fork server; it reads what it is asked for when it has loaded."""
        self.server = ForkServerClient(self.threads)
        self.selector.register(self.server.connection, selectors.EVENT_READ, self.on_server)

    def spawn(self, slot: WorkerSlot) -> None:
        """Ask the fork server for a new process in ``slot``."""
        self.hang_up(slot)
        slot.begin()
        slot.connection = self.server.spawn(slot.index, slot.now.process)
        self.selector.register(slot.connection, selectors.EVENT_READ, lambda: self.on_worker(slot))

    def hang_up(self, slot: WorkerSlot) -> None:
        """Hang up on the process of ``slot``."""
        if slot.connection is not None:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(slot.connection)
            slot.connection.close()
            slot.connection = None

    # What the thread hears

    def listen(self) -> None:
        """Hear everything until the pool is closed; nothing may end this thread silently."""
        try:
            while not self.closed:
                deadline = min(self.tidy_at, *(slot.now.deadline for slot in self.slots))
                wait = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
                for key, _ in self.selector.select(wait):
                    key.data()
                if time.monotonic() >= deadline:
                    self.look_at_time()
        except BaseException as error:
            if not self.closed:
                self.give_up(f"is out of reach, because kofn's own thread failed: {error!r}")
                raise
        finally:
            self.on_wake()  # whoever posted something waits for it

    def look_at_time(self) -> None:
        """Tell of every grace that is over, and idle processes what they should forget."""
        with self.lock:
            if time.monotonic() >= self.tidy_at:
                self.tidy()
            for slot in self.slots:
                if time.monotonic() >= slot.now.deadline:
                    self.handle(slot, on.GraceOver())

    def on_wake(self) -> None:
        """Do what was posted."""
        with contextlib.suppress(OSError):  # there is nothing to read, or the pool is released
            while self.woken.recv(4096):
                pass
        while self.commands:
            self.commands.popleft()()

    def tidy(self) -> None:
        """Tell idle processes what they should forget; others hear of it with their next call."""
        self.tidy_at = math.inf
        while self.store.freed:
            gone = self.store.freed.popleft()
            for slot in self.slots:
                slot.segment_gone(gone)
        for slot in self.slots:
            if slot.must_forget and slot.now.state is SlotState.IDLE:
                self.flush(slot, None)

    def on_server(self) -> None:
        """Take the deaths of workers, or of the fork server itself."""
        try:
            messages = self.server.connection.poll()
        except EOFError:
            self.on_server_lost()
            return
        for message, _ in messages:
            if message[0] == "ready":
                self.modules = message[1]
            else:
                _, (index, process), how = message
                self.on_exit(self.slots[index], process, how)

    def on_server_lost(self) -> None:
        """Start another fork server; its workers died with it."""
        if self.closed:
            return
        self.selector.unregister(self.server.connection)
        code = self.server.reap()
        self.server_failures += 1
        if self.server_failures >= TRIES:
            self.give_up(f"could not be started: the process that forks workers ended with status {code}")
            return
        for slot in self.slots:
            if slot.pid is not None and slot.now.state is not SlotState.DEAD:
                with contextlib.suppress(OSError):
                    os.killpg(slot.pid, signal.SIGKILL)
        with self.lock:
            self.start_server()
        for slot in self.slots:
            self.on_exit(slot, slot.now.process, "was lost with the process that forked it")

    def on_exit(self, slot: WorkerSlot, process: int, how: str) -> None:
        """Take the death of a worker."""
        while self.on_worker(slot):  # what it sent before it died still counts
            pass
        lost = WorkerLost(f"worker {slot.index} (process {slot.pid}) {how}", slot.index)
        self.handle(slot, on.Exited(process, lost))

    def on_worker(self, slot: WorkerSlot) -> bool:
        """Take what a worker sent; tell whether there was anything."""
        if slot.connection is None:
            return False
        try:
            messages = slot.connection.poll()
        except EOFError:
            with self.lock:
                self.hang_up(slot)
                self.handle(slot, on.Unreachable())
            return False
        for message, fds in messages:
            self.handle(slot, self.event_of(slot, message, fds))
        return bool(messages)

    def event_of(self, slot: WorkerSlot, message: tuple[Any, ...], fds: list[int]) -> on.SlotEvent:
        """Read what a worker says, and keep books on it."""
        kind, *rest = message
        if kind == "hello":
            (slot.pid,), self.server_failures = rest, 0
            return on.Hello()
        if kind == "loads":
            return on.Loads(*rest)
        number, ok, frames, arriving, gone = rest
        self.bytes_sent["returned"] += sum(frame[2] for frame in frames if isinstance(frame, tuple))
        return on.Replied(number, (ok, frames, slot.results.map(frames, arriving, fds, gone)))

    # What any thread may ask

    def submit(self, slot: WorkerSlot, call: LocalCall) -> None:
        """Have ``slot`` run a call, now or when its process is ready."""
        try:
            self.handle(slot, on.Submitted(call))
        except BaseException:  # Ctrl-C: nobody will have its future
            self.post(lambda: self.handle(slot, on.Stopped(call.number, Stop.KILL)))
            raise

    def stop(self, slot: WorkerSlot, how: Stop) -> Stop:
        """Stop what ``slot`` runs; a kill is left to the thread, where no Ctrl-C can cut it in half."""
        if (call := slot.now.call) is None:
            return Stop.NOTHING
        if how != Stop.KILL or threading.current_thread() is self.thread:
            return self.stop_call(slot, call, how)
        answer = queue.SimpleQueue[Stop]()
        with self.lock:
            if self.closed:  # what is posted before is done
                return Stop.NOTHING
            self.post(lambda: answer.put(self.stop_call(slot, call, how)))
        try:
            return answer.get(timeout=PATIENCE)
        except queue.Empty:
            return Stop.NOTHING

    def stop_call(self, slot: WorkerSlot, call: LocalCall, how: Stop) -> Stop:
        """Stop a call unless it has ended meanwhile; tell what happened."""
        actions = self.handle(slot, self.stop_event(slot, call, how))
        if on.Kill() in actions:
            return Stop.KILL
        if on.Interrupt() in actions:
            return Stop.INTERRUPT
        return Stop.ABANDON if call.future.cancelled() else Stop.NOTHING

    def stop_event(self, slot: WorkerSlot, call: LocalCall, how: Stop) -> on.Stopped:
        """Say that nobody waits for a call; one whose code is new to its process may run on for longer."""
        new = how == Stop.ABANDON and not slot.knows(call.code, self.modules)
        return on.Stopped(call.number, how, max(self.grace, FIRST_RUN_SECONDS * new), LOADING_SECONDS * new)

    def post(self, command: Callable[[], object]) -> None:
        """Have the thread do something."""
        self.commands.append(command)
        self.wake()

    def wake(self) -> None:
        """Make the thread look at its books."""
        with contextlib.suppress(OSError):
            self.waker.send(b"!")

    def tidy_soon(self) -> None:
        """Have the thread `tidy`, once for all that comes within a moment: a small job lets go of many values."""
        if self.tidy_at == math.inf:
            self.tidy_at = time.monotonic() + TIDY_SECONDS
            self.wake()  # where a Ctrl-C comes first, whatever wakes the thread next has it look at the time

    def await_start(self, seconds: float) -> bool:
        """Wait until every worker is ready or given up; tell whether one is ready."""
        with self.changed:
            self.changed.wait_for(lambda: WorkerState.STARTING not in self.states(), seconds)
            return WorkerState.IDLE in self.states()

    def states(self) -> list[WorkerState]:
        """What every worker is doing."""
        return [slot.now.seen for slot in self.slots]

    # The end

    def give_up(self, why: str) -> None:
        """Make every worker dead for good."""
        with self.lock:
            for slot in self.slots:
                self.hang_up(slot)
        for slot in self.slots:
            self.handle(slot, on.Ended(WorkerLost(f"worker {slot.index} {why}", slot.index)))

    def close(self) -> None:
        """End every process, the thread and the descriptors; an interrupted close can be repeated."""
        with self.lock:
            if self.released or os.getpid() != self.owner:
                return
            self.closed = True
        for slot in self.slots:
            self.handle(slot, on.Ended(PoolClosed(CLOSED)))
        self.wake()
        if threading.current_thread() is not self.thread:
            self.thread.join(CLOSING)
        self.server.close()
        self.release()
        self.released = True

    def release(self) -> None:
        """Close every descriptor of this process and forget all data."""
        for slot in self.slots:
            if slot.connection is not None:
                slot.connection.close()
            slot.residents.clear()
            slot.results.close()
            slot.in_use = []
        self.store.close()
        self.selector.close()
        self.woken.close()
        self.waker.close()

    def detach_after_fork(self) -> None:
        """Be without the pool in a forked child; the processes belong to the parent."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = self.released = True
        self.server.detach_after_fork()
        for slot in self.slots:
            call = slot.now.call
            slot.now, _ = step(slot.now, on.Ended(PoolClosed(CLOSED)), 0.0)
            if call is not None:
                call.orphan()  # nobody else may hold it any longer
        self.release()


ACTS: dict[type[on.SlotAction], Callable[[Supervisor, WorkerSlot, Any], object]] = {
    on.Send: lambda self, slot, action: self.send(slot, action.call),
    on.Finish: lambda self, slot, action: self.finish(slot, action.call),
    on.Spawn: lambda self, slot, _: self.spawn(slot),
    on.Kill: lambda self, slot, _: self.server.kill(slot.index, slot.now.process),
    on.Interrupt: lambda _, slot, __: slot.signal(signal.SIGINT),
    on.Ask: lambda _, slot, __: slot.signal(QUESTION),
}
"""What is done about a process, under the lock."""

ENDS: dict[type[on.SlotAction], Callable[[Any], object]] = {
    on.Settle: lambda action: action.call.end(action.outcome),
    on.Cancel: lambda action: action.call.cancel(),
    on.Fail: lambda action: action.call.fail(action.error),
}
"""What ends a call, without the lock: others wait for it, and may do anything then."""
