"""The client's side of local processes: one thread that hears the fork server and the workers, and one lock.

`LocalPool` holds a `Supervisor`; the thread never holds the pool, so a forgotten pool is closed by the garbage
collector. Only that thread receives and changes the selector; any thread sends, under the lock.
"""

from __future__ import annotations

import contextlib
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
from .._protocol import Stop, Stopped
from ._connection import bell
from ._familiar import FIRST_RUN_SECONDS, LOADING_SECONDS
from ._forkserver_client import CLOSING, PATIENCE, ForkServerClient
from ._shared_memory import SegmentStore
from ._slot import LocalCall, WorkerSlot, map_results

TRIES = 3
"""Deaths in a row before a worker was ready, after which its place in the pool is given up."""


class Supervisor:
    """Worker processes, their fork server, and the books on them."""

    def __init__(self, n: int, threads: int, grace: float) -> None:
        self.threads = threads
        self.grace = grace
        self.owner = os.getpid()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = self.released = False
        self.bytes_sent = {"pipe": 0, "shared": 0, "returned": 0}
        self.slots = [WorkerSlot(index) for index in range(n)]
        self.processes: dict[int, WorkerSlot] = {}
        self.last_process = self.server_failures = 0
        self.modules: frozenset[str] = frozenset()
        self.commands = deque[Callable[[], None]]()
        self.woken, self.waker = bell()
        self.store = SegmentStore(self.wake)
        self.selector = selectors.PollSelector()
        self.selector.register(self.woken, selectors.EVENT_READ, self.on_wake)
        self.thread = threading.Thread(target=self.listen, name="kofn-local-pool", daemon=True)
        self.start_server()
        detach_in_forks(self)
        try:
            self.thread.start()
        except RuntimeError:  # a system that gives no more threads, or a program that ends
            self.server.close()
            self.release()
            raise

    # Starting and ending processes

    def start_server(self) -> None:
        """Start the fork server and ask it for every worker; it reads that when it has loaded."""
        self.server = ForkServerClient(self.threads)
        self.selector.register(self.server.connection, selectors.EVENT_READ, self.on_server)
        for slot in self.slots:
            if slot.state != "dead":
                self.spawn(slot)

    def spawn(self, slot: WorkerSlot) -> None:
        """Ask the fork server for a new process in ``slot``."""
        self.last_process += 1
        slot.begin(self.last_process)
        slot.state = "starting"
        slot.connection = self.server.spawn(slot.process)
        self.processes[slot.process] = slot
        self.selector.register(slot.connection, selectors.EVENT_READ, lambda: self.on_worker(slot))

    def kill(self, slot: WorkerSlot) -> None:
        """Have the fork server kill the process of ``slot``; `on_exit` starts the next one."""
        slot.deadline = None
        slot.doomed = True
        if slot.task is not None and slot.task.is_claimed:
            slot.take_task()
        if slot.task is None and slot.state != "dead":
            slot.state = "starting"
        self.server.kill(slot.process)

    # What the thread hears

    def listen(self) -> None:
        """Hear everything until the pool is closed; nothing may end this thread silently."""
        try:
            while not self.closed:
                for key, _ in self.selector.select(self.until_deadline()):
                    key.data()
                self.enforce()
        except BaseException as error:
            if not self.closed:
                self.give_up(f"is out of reach, because kofn's own thread failed: {error!r}")
                raise

    def until_deadline(self) -> float | None:
        """Return the seconds until the next grace ends."""
        deadlines = [slot.deadline for slot in self.slots if slot.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def enforce(self) -> None:
        """Kill the workers whose stopped task outlived its grace, and do not load anything."""
        with self.lock:
            for slot in self.slots:
                if slot.deadline is not None and time.monotonic() >= slot.deadline and not slot.ask():
                    self.kill(slot)

    def on_wake(self) -> None:
        """Do what was posted, and tell idle workers what they should forget."""
        with contextlib.suppress(BlockingIOError):
            while self.woken.recv(4096):
                pass
        while self.commands:
            self.commands.popleft()()
        with self.lock:
            while self.store.freed:
                gone = self.store.freed.popleft()
                for slot in self.slots:
                    slot.segment_gone(gone)
            for slot in self.slots:
                if slot.has_pending and slot.state == "idle":
                    self.flush(slot)

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
            elif message[1] in self.processes:
                self.on_exit(self.processes[message[1]], message[2])

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
        for slot in list(self.processes.values()):
            if slot.pid is not None:
                with contextlib.suppress(OSError):
                    os.killpg(slot.pid, signal.SIGKILL)
            self.on_exit(slot, "was lost with the process that forked it", again=False)
        with self.lock:
            self.start_server()

    def on_exit(self, slot: WorkerSlot, how: str, again: bool = True) -> None:
        """Take the death of a worker: fail its task, and start another process unless that is hopeless."""
        while self.on_worker(slot):  # what it sent before it died still counts
            pass
        with self.lock:
            if self.closed:
                return
            del self.processes[slot.process]
            self.hang_up(slot)
            slot.failures = 0 if slot.started else slot.failures + 1
            slot.state = "dead" if slot.failures >= TRIES else "starting"
            task = slot.take_task() if slot.sent or slot.state == "dead" else None
            pid = slot.pid
            if again and slot.state != "dead":
                self.spawn(slot)
            self.changed.notify_all()
        if task is not None:
            task.fail(WorkerLost(f"worker {slot.index} (process {pid}) {how}", slot.index))

    def hang_up(self, slot: WorkerSlot) -> None:
        """Hang up on the process of ``slot``."""
        if slot.connection is not None:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(slot.connection)
            slot.connection.close()
            slot.connection = None

    def on_worker(self, slot: WorkerSlot) -> bool:
        """Take what a worker sent; tell whether there was anything."""
        if slot.connection is None:
            return False
        try:
            messages = slot.connection.poll()
        except EOFError:
            with self.lock:
                self.hang_up(slot)
                self.kill(slot)
            return False
        for message, fds in messages:
            if message[0] == "hello":
                self.on_hello(slot, message[1])
            elif message[0] == "loads":
                with self.lock:
                    slot.answered(*message[1:])
            else:
                self.on_reply(slot, message, fds)
        return bool(messages)

    def on_hello(self, slot: WorkerSlot, pid: int) -> None:
        """Note that a worker is ready, and give it the task that waited for it."""
        with self.lock:
            slot.started, slot.pid = True, pid
            self.server_failures = 0
            if not slot.doomed:
                slot.state = "idle"
                if slot.task is not None:
                    self.dispatch(slot)
            self.changed.notify_all()

    def on_reply(self, slot: WorkerSlot, message: tuple[Any, ...], fds: list[int]) -> None:
        """Take a result; the worker is idle before anybody hears of it."""
        _, number, ok, frames, arriving = message
        mapped = map_results(arriving, fds)
        with self.lock:
            self.bytes_sent["returned"] += sum(size for _, size in arriving)
            if slot.task is None or slot.task.number != number or slot.doomed:
                return
            slot.familiar.add(slot.task.code)
            task = slot.take_task()
            slot.state = "idle"
            if slot.has_pending:
                self.flush(slot)
            self.changed.notify_all()
        if task is not None and task.claim():
            task.end(ok, frames, mapped)

    # What any thread may ask

    def dispatch(self, slot: WorkerSlot) -> None:
        """Send ``slot`` its task; a send that fails half-way leaves a process nobody can talk to."""
        slot.state = "busy"
        slot.sent = True
        if self.flush(slot) and slot.task is not None:
            # The process has its own descriptors now.
            slot.task.payload.segments, slot.task.payload.fresh = [], None

    def flush(self, slot: WorkerSlot) -> bool:
        """Send ``slot`` what it must know; return whether that worked."""
        try:
            self.bytes_sent["pipe"] += slot.flush(PATIENCE)
        except OSError:
            self.kill(slot)
            return False
        except BaseException:
            self.kill(slot)
            raise
        return True

    def wake(self) -> None:
        """Make the thread look at its books."""
        with contextlib.suppress(OSError):
            self.waker.send(b"!")

    def stop(self, slot: WorkerSlot, how: Stop) -> Stopped:
        """Stop the task of ``slot``; a kill is left to the thread, where no Ctrl-C can cut it in half."""
        if (task := slot.task) is None:
            return "nothing"
        if how != "kill" or threading.current_thread() is self.thread:
            return self.stop_task(slot, task, how)
        answer = queue.SimpleQueue[Stopped]()
        self.post(lambda: answer.put(self.stop_task(slot, task, how)))
        try:
            return answer.get(timeout=PATIENCE)
        except queue.Empty:
            return "nothing"  # the pool was closed meanwhile

    def stop_task(self, slot: WorkerSlot, task: LocalCall, how: Stop) -> Stopped:
        """Stop ``task`` unless it has ended meanwhile."""
        with self.lock:
            if slot.task is not task:
                return "nothing"
            done: Stopped = how
            if not slot.sent:
                slot.take_task()
                done = "abandon"
            elif how == "kill":
                slot.take_task()
                self.kill(slot)
            else:
                done = self.interrupt(slot) if how == "interrupt" else "abandon"
                self.set_grace(slot, patient=done == "abandon")
        task.cancel()
        return done

    def interrupt(self, slot: WorkerSlot) -> Stopped:
        """Raise KeyboardInterrupt in the task; it ends when its Python code runs next, or with the grace."""
        if slot.pid is None or slot.doomed:
            return "abandon"
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGINT)
        return "interrupt"

    def kill_after_interrupt(self, slot: WorkerSlot, task: LocalCall) -> None:
        """Undo a submit that was interrupted half-way."""

        def undo() -> None:
            with self.lock:
                if slot.task is task:
                    slot.take_task()
                    self.kill(slot)

        self.post(undo)

    def post(self, command: Callable[[], None]) -> None:
        """Have the thread do something."""
        self.commands.append(command)
        self.wake()

    def set_grace(self, slot: WorkerSlot, patient: bool = True) -> None:
        """Let the task of ``slot`` run until the end of the grace, or of an earlier one."""
        new = patient and slot.task is not None and not slot.familiar.covers(slot.task.code, self.modules)
        if slot.set_deadline(max(self.grace, FIRST_RUN_SECONDS * new), LOADING_SECONDS * new):
            self.wake()

    def on_cancelled(self, slot: WorkerSlot, task: LocalCall) -> None:
        """Abandon a task whose future was cancelled by the user."""
        with self.lock:
            if slot.task is not task:
                return
            if slot.sent:
                self.set_grace(slot)
            else:
                slot.take_task()

    def await_start(self, seconds: float) -> bool:
        """Wait until every worker is ready or given up; tell whether one is ready."""
        with self.changed:
            self.changed.wait_for(lambda: all(slot.state != "starting" for slot in self.slots), seconds)
            return any(slot.state == "idle" for slot in self.slots)

    # The end

    def give_up(self, why: str) -> None:
        """Make every worker dead for good."""
        with self.lock:
            tasks = [(slot, slot.take_task()) for slot in self.slots]
            for slot in self.slots:
                slot.state = "dead"
                self.hang_up(slot)
            self.processes.clear()
            self.changed.notify_all()
        for slot, task in tasks:
            if task is not None:
                task.fail(WorkerLost(f"worker {slot.index} {why}", slot.index))

    def close(self) -> None:
        """End every process, the thread and the descriptors; an interrupted close can be repeated."""
        with self.lock:
            if self.released or os.getpid() != self.owner:
                return
            self.closed = True
            tasks = [task for slot in self.slots if (task := slot.take_task()) is not None]
            for slot in self.slots:
                slot.state = "dead"
            self.changed.notify_all()
        for task in tasks:
            task.fail(PoolClosed(CLOSED))
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
            slot.state = "dead"
            if (task := slot.take_task()) is not None:
                task.orphan()  # nobody else may hold it any longer
        self.release()
