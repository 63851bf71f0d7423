"""The master's side of local processes: one thread that hears the nursery and the workers, and one lock.

`LocalPool` holds a `Crew`; the thread never holds the pool, so a forgotten pool is closed by the garbage
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

from ..._base._closeable import disown_in_forks
from ...errors import PoolClosed, WorkerLost
from .._engine import CLOSED
from .._protocol import Stop, Stopped
from ._connection import bell
from ._familiar import FIRST_RUN_SECONDS, LOADING_SECONDS
from ._forkserver_client import CLOSING, PATIENCE, Link
from ._shared_memory import Store
from ._slot import Lane, Task, received

TRIES = 3
"""Deaths in a row before a worker was ready, after which its place in the pool is given up."""


class Crew:
    """Worker processes, their nursery, and the books on them."""

    def __init__(self, n: int, threads: int, grace: float) -> None:
        self.threads = threads
        self.grace = grace
        self.owner = os.getpid()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = self.released = False
        self.bytes_sent = {"pipe": 0, "shared": 0, "returned": 0}
        self.lanes = [Lane(index) for index in range(n)]
        self.processes: dict[int, Lane] = {}
        self.last_process = self.nursery_failures = 0
        self.modules: frozenset[str] = frozenset()
        self.commands = deque[Callable[[], None]]()
        self.woken, self.waker = bell()
        self.store = Store(self.wake)
        self.selector = selectors.PollSelector()
        self.selector.register(self.woken, selectors.EVENT_READ, self.on_wake)
        self.thread = threading.Thread(target=self.listen, name="kofn-local-pool", daemon=True)
        self.start_nursery()
        disown_in_forks(self)
        try:
            self.thread.start()
        except RuntimeError:  # a system that gives no more threads, or a program that ends
            self.nursery.close()
            self.release()
            raise

    # Starting and ending processes

    def start_nursery(self) -> None:
        """Start the nursery and ask it for every worker; it reads that when it has loaded."""
        self.nursery = Link(self.threads)
        self.selector.register(self.nursery.channel, selectors.EVENT_READ, self.on_nursery)
        for lane in self.lanes:
            if lane.state != "dead":
                self.spawn(lane)

    def spawn(self, lane: Lane) -> None:
        """Ask the nursery for a new process in ``lane``."""
        self.last_process += 1
        lane.begin(self.last_process)
        lane.state = "starting"
        lane.channel = self.nursery.spawn(lane.process)
        self.processes[lane.process] = lane
        self.selector.register(lane.channel, selectors.EVENT_READ, lambda: self.on_worker(lane))

    def kill(self, lane: Lane) -> None:
        """Have the nursery kill the process of ``lane``; `on_exit` starts the next one."""
        lane.deadline = None
        lane.doomed = True
        if lane.task is not None and lane.task.claimed:
            lane.take_task()
        if lane.task is None and lane.state != "dead":
            lane.state = "starting"
        self.nursery.kill(lane.process)

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
        deadlines = [lane.deadline for lane in self.lanes if lane.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def enforce(self) -> None:
        """Kill the workers whose stopped task outlived its grace, and do not load anything."""
        with self.lock:
            for lane in self.lanes:
                if lane.deadline is not None and time.monotonic() >= lane.deadline and not lane.ask():
                    self.kill(lane)

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
                for lane in self.lanes:
                    lane.segment_gone(gone)
            for lane in self.lanes:
                if lane.behind and lane.state == "idle":
                    self.tell(lane)

    def on_nursery(self) -> None:
        """Take the deaths of workers, or of the nursery itself."""
        try:
            messages = self.nursery.channel.poll()
        except EOFError:
            self.on_nursery_lost()
            return
        for message, _ in messages:
            if message[0] == "ready":
                self.modules = message[1]
            elif message[1] in self.processes:
                self.on_exit(self.processes[message[1]], message[2])

    def on_nursery_lost(self) -> None:
        """Start another nursery; its workers died with it."""
        if self.closed:
            return
        self.selector.unregister(self.nursery.channel)
        code = self.nursery.bury()
        self.nursery_failures += 1
        if self.nursery_failures >= TRIES:
            self.give_up(f"could not be started: the process that forks workers ended with status {code}")
            return
        for lane in list(self.processes.values()):
            if lane.pid is not None:
                with contextlib.suppress(OSError):
                    os.killpg(lane.pid, signal.SIGKILL)
            self.on_exit(lane, "was lost with the process that forked it", again=False)
        with self.lock:
            self.start_nursery()

    def on_exit(self, lane: Lane, how: str, again: bool = True) -> None:
        """Take the death of a worker: fail its task, and start another process unless that is hopeless."""
        while self.on_worker(lane):  # what it sent before it died still counts
            pass
        with self.lock:
            if self.closed:
                return
            del self.processes[lane.process]
            self.leave(lane)
            lane.failures = 0 if lane.started else lane.failures + 1
            lane.state = "dead" if lane.failures >= TRIES else "starting"
            task = lane.take_task() if lane.sent or lane.state == "dead" else None
            pid = lane.pid
            if again and lane.state != "dead":
                self.spawn(lane)
            self.changed.notify_all()
        if task is not None:
            task.fail(WorkerLost(f"worker {lane.index} (process {pid}) {how}", lane.index))

    def leave(self, lane: Lane) -> None:
        """Hang up on the process of ``lane``."""
        if lane.channel is not None:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(lane.channel)
            lane.channel.close()
            lane.channel = None

    def on_worker(self, lane: Lane) -> bool:
        """Take what a worker sent; tell whether there was anything."""
        if lane.channel is None:
            return False
        try:
            messages = lane.channel.poll()
        except EOFError:
            with self.lock:
                self.leave(lane)
                self.kill(lane)
            return False
        for message, fds in messages:
            if message[0] == "hello":
                self.on_hello(lane, message[1])
            elif message[0] == "loads":
                with self.lock:
                    lane.answered(*message[1:])
            else:
                self.on_reply(lane, message, fds)
        return bool(messages)

    def on_hello(self, lane: Lane, pid: int) -> None:
        """Note that a worker is ready, and give it the task that waited for it."""
        with self.lock:
            lane.started, lane.pid = True, pid
            self.nursery_failures = 0
            if not lane.doomed:
                lane.state = "idle"
                if lane.task is not None:
                    self.give(lane)
            self.changed.notify_all()

    def on_reply(self, lane: Lane, message: tuple[Any, ...], fds: list[int]) -> None:
        """Take a result; the worker is idle before anybody hears of it."""
        _, number, ok, frames, arriving = message
        mapped = received(arriving, fds)
        with self.lock:
            self.bytes_sent["returned"] += sum(size for _, size in arriving)
            if lane.task is None or lane.task.number != number or lane.doomed:
                return
            lane.familiar.add(lane.task.code)
            task = lane.take_task()
            lane.state = "idle"
            if lane.behind:
                self.tell(lane)
            self.changed.notify_all()
        if task is not None and task.claim():
            task.end(ok, frames, mapped)

    # What any thread may ask

    def give(self, lane: Lane) -> None:
        """Send ``lane`` its task; a send that fails half-way leaves a process nobody can talk to."""
        lane.state = "busy"
        lane.sent = True
        if self.tell(lane) and lane.task is not None:
            # The process has its own descriptors now.
            lane.task.parcel.segments, lane.task.parcel.fresh = [], None

    def tell(self, lane: Lane) -> bool:
        """Send ``lane`` what it must know; return whether that worked."""
        try:
            self.bytes_sent["pipe"] += lane.tell(PATIENCE)
        except OSError:
            self.kill(lane)
            return False
        except BaseException:
            self.kill(lane)
            raise
        return True

    def wake(self) -> None:
        """Make the thread look at its books."""
        with contextlib.suppress(OSError):
            self.waker.send(b"!")

    def stop(self, lane: Lane, how: Stop) -> Stopped:
        """Stop the task of ``lane``; a kill is left to the thread, where no Ctrl-C can cut it in half."""
        if (task := lane.task) is None:
            return "nothing"
        if how != "kill" or threading.current_thread() is self.thread:
            return self.stop_task(lane, task, how)
        answer = queue.SimpleQueue[Stopped]()
        self.post(lambda: answer.put(self.stop_task(lane, task, how)))
        try:
            return answer.get(timeout=PATIENCE)
        except queue.Empty:
            return "nothing"  # the pool was closed meanwhile

    def stop_task(self, lane: Lane, task: Task, how: Stop) -> Stopped:
        """Stop ``task`` unless it has ended meanwhile."""
        with self.lock:
            if lane.task is not task:
                return "nothing"
            done: Stopped = how
            if not lane.sent:
                lane.take_task()
                done = "abandon"
            elif how == "kill":
                lane.take_task()
                self.kill(lane)
            else:
                done = self.interrupt(lane) if how == "interrupt" else "abandon"
                self.set_grace(lane, patient=done == "abandon")
        task.cancel()
        return done

    def interrupt(self, lane: Lane) -> Stopped:
        """Raise KeyboardInterrupt in the task; it ends when its Python code runs next, or with the grace."""
        if lane.pid is None or lane.doomed:
            return "abandon"
        with contextlib.suppress(ProcessLookupError):
            os.kill(lane.pid, signal.SIGINT)
        return "interrupt"

    def condemn(self, lane: Lane, task: Task) -> None:
        """Undo a submit that was interrupted half-way."""

        def undo() -> None:
            with self.lock:
                if lane.task is task:
                    lane.take_task()
                    self.kill(lane)

        self.post(undo)

    def post(self, command: Callable[[], None]) -> None:
        """Have the thread do something."""
        self.commands.append(command)
        self.wake()

    def set_grace(self, lane: Lane, patient: bool = True) -> None:
        """Let the task of ``lane`` run until the end of the grace, or of an earlier one."""
        new = patient and lane.task is not None and not lane.familiar.covers(lane.task.code, self.modules)
        if lane.set_deadline(max(self.grace, FIRST_RUN_SECONDS * new), LOADING_SECONDS * new):
            self.wake()

    def on_cancelled(self, lane: Lane, task: Task) -> None:
        """Abandon a task whose future was cancelled by the user."""
        with self.lock:
            if lane.task is not task:
                return
            if lane.sent:
                self.set_grace(lane)
            else:
                lane.take_task()

    def await_start(self, seconds: float) -> bool:
        """Wait until every worker is ready or given up; tell whether one is ready."""
        with self.changed:
            self.changed.wait_for(lambda: all(lane.state != "starting" for lane in self.lanes), seconds)
            return any(lane.state == "idle" for lane in self.lanes)

    # The end

    def give_up(self, why: str) -> None:
        """Make every worker dead for good."""
        with self.lock:
            tasks = [(lane, lane.take_task()) for lane in self.lanes]
            for lane in self.lanes:
                lane.state = "dead"
                self.leave(lane)
            self.processes.clear()
            self.changed.notify_all()
        for lane, task in tasks:
            if task is not None:
                task.fail(WorkerLost(f"worker {lane.index} {why}", lane.index))

    def close(self) -> None:
        """End every process, the thread and the descriptors; an interrupted close can be repeated."""
        with self.lock:
            if self.released or os.getpid() != self.owner:
                return
            self.closed = True
            tasks = [task for lane in self.lanes if (task := lane.take_task()) is not None]
            for lane in self.lanes:
                lane.state = "dead"
            self.changed.notify_all()
        for task in tasks:
            task.fail(PoolClosed(CLOSED))
        self.wake()
        if threading.current_thread() is not self.thread:
            self.thread.join(CLOSING)
        self.nursery.close()
        self.release()
        self.released = True

    def release(self) -> None:
        """Close every descriptor of this process and forget all data."""
        for lane in self.lanes:
            if lane.channel is not None:
                lane.channel.close()
            lane.residents.clear()
        self.selector.close()
        self.woken.close()
        self.waker.close()

    def disown(self) -> None:
        """Be without the pool in a forked child; the processes belong to the parent."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = self.released = True
        self.nursery.disown()
        for lane in self.lanes:
            lane.state = "dead"
            if (task := lane.take_task()) is not None:
                task.orphan()  # nobody else may hold it any longer
        self.release()
