"""One Dask worker as a slot: the task in flight, what is resident there, what becomes of both.

Everything runs on the client's event loop but what other slots have too: `state`, `put`, `start` and `stop`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import pickle
from collections.abc import Coroutine, Hashable
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._base._envelope import error_line
from ...arrays._spec import ArraySpec
from ...errors import PoolClosed, ReferenceLost, WorkerLost
from .._future import Promise
from .._pickling import BufferedPickle
from .._protocol import Stop, WorkerState
from .._references import Ref
from .._slots import PoolSlot
from .._validation import pack_argument
from ._call import Call, DaskCall, DaskPlacedValue
from ._cluster import Cluster, Member, unreachable
from ._hold import Hold
from ._nanny import REVIVAL, Return
from ._travel import Travel
from ._worker import end_process, refuse

if TYPE_CHECKING:
    from distributed import Client

DYING = "dying"
"""Stands among the tasks of a process that is to end."""

LOSSES = ("KilledWorker", "NoValidWorkerError")
"""What Dask calls a task whose worker is gone; by name, as not every version has both."""

SETTLING = 0.2
"""Seconds after which a broken connection shows whose fault it was: the worker's or the scheduler's."""


class DaskSlot(PoolSlot):
    """A place in the pool, held by a worker name and served by whichever process bears it."""

    task: DaskCall | None

    def __init__(self, index: int, member: Member, cluster: Cluster, travel: Travel) -> None:
        super().__init__(index)
        self.cluster = cluster
        self.travel = travel
        self.client = travel.client
        self.loop = self.client.loop.asyncio_loop
        self._running: asyncio.Task[tuple[str, Any]] | None = None
        self._watch: asyncio.Task[Any] | None = None
        self.telling: concurrent.futures.Future[None] | None = None
        self.take(member)

    def take(self, member: Member) -> None:
        """Be served by ``member`` from now on."""
        self.name = member.name
        self.nanny = member.nanny
        self._return: Return | None = None
        self._end_watch()
        self.address: str | None = member.address
        self.travel.index[member.address] = self.index

    def lose(self) -> float:
        """Lose the process and its task; return the seconds until the slot may be given to another name."""
        self.address = None
        self._return = Return(self.nanny)
        self._end_watch()
        if self._running is not None:
            self._running.cancel()
        if self.nanny is None:
            return 0.0
        self._watch = self.travel.start(partial(self._return.watch, self.client))
        self._watch.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else looks
        return REVIVAL

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    @property
    def is_free(self) -> bool:
        """Whether a worker of another name may serve it."""
        return self._return is not None and self._return.is_late

    def give_back(self) -> None:
        """Give up the task while its process is there still, but will end soon."""
        if self._running is not None:
            self._running.cancel()

    @property
    def state(self) -> WorkerState:
        """What the worker does, as far as kofn is concerned."""
        address = self.address
        if not self.cluster.is_reachable:
            return WorkerState.DEAD
        if address is None:
            expected = self._return is not None and self._return.is_expected
            return WorkerState.STARTING if expected else WorkerState.DEAD
        if address in self.cluster.leaving:
            return WorkerState.DEAD
        return WorkerState.BUSY if self.cluster.running.get(address) else super().state

    def put(self, key: Hashable, value: object) -> None:
        """Make ``value`` resident."""
        self.residents[key] = DaskPlacedValue(pack_argument("put", "value", value, BufferedPickle.of))

    def start(self, call: Call, values: list[DaskPlacedValue]) -> DaskCall:
        """Reserve the slot for a task, and begin it."""
        task = self.task = DaskCall(call, values, self.travel)
        try:
            self.loop.call_soon_threadsafe(self.begin, task)
        except RuntimeError as error:  # the client was closed, and its loop with it
            raise PoolClosed(f"submit: {unreachable(self.cluster)}") from error
        return task

    def stop(self, task: DaskCall, how: Stop = Stop.ABANDON) -> Stop:
        """Have a task taken back that has not begun, or end its process where a nanny starts another."""
        address = self.address if how is Stop.KILL and self.nanny is not None else None
        if address is None:
            self.telling = start(self.loop, self.abandon(task))
            return Stop.ABANDON
        self.cluster.running[address].add(DYING)  # it takes no task any more
        self.telling = start(self.loop, self.kill(address))
        return Stop.KILL

    # -- a task ---------------------------------------------------------------------------------------

    def begin(self, task: DaskCall) -> None:
        """Run a task that the slot has already been reserved for."""
        address = self.address or ""  # it may have left meanwhile
        self.cluster.running[address].add(task.key)
        self._running = asyncio.ensure_future(self._attempt(task, address))
        self._running.add_done_callback(lambda done: self._end(task, address, done))

    def _end(self, task: DaskCall, address: str, done: asyncio.Task[tuple[str, Any]]) -> None:
        # Cancelled: the worker has gone, or never began a task that nobody wants any more.
        try:
            failed: Any = self._lost() if done.cancelled() else done.exception()
            kind, answer = done.result() if failed is None else ("error", failed)
        except Exception as error:  # what came is no outcome
            kind, answer = "error", self._lost(error_line(error))
        self.cluster.running.get(address, set()).discard(task.key)
        self.task = self._running = None
        if kind == "refused":
            task.cancel()
        elif kind == "error":
            task.fail(answer)
        elif kind == "kept":
            task.settle(self.refer(*answer))
        else:
            ok = kind == "value"
            task.take(ok, lambda: BufferedPickle(*answer).open() if ok else pickle.loads(answer))

    async def _attempt(self, task: DaskCall, address: str) -> tuple[str, Any]:
        if not address:
            return "error", self._lost()
        try:
            outcome: tuple[str, Any] = await self.travel.watched(lambda: task.outcome(address))
            return outcome
        except Exception as error:
            return "error", await self._explain(error)

    def refer(self, hold: Hold, spec: ArraySpec | None, size: int) -> Ref:
        """A reference to a value at this worker."""
        return Ref(hold.key, self.index, spec, hold, spec.nbytes if spec else size)

    # -- the end of one -------------------------------------------------------------------------------

    async def abandon(self, task: Promise) -> None:
        """Keep a queued task from running; one that has begun keeps its slot busy until it ends."""
        address, mine = self.address, self.task
        if address is None or mine is None or mine is not task:
            return
        with contextlib.suppress(Exception):
            refused = await self.client.run(refuse, mine.key, workers=[address])
            if refused.get(address) and self.task is task and self._running is not None:
                self._running.cancel()

    async def kill(self, address: str) -> None:
        """End the process at ``address``; its nanny starts another."""
        with contextlib.suppress(Exception):
            await self.client.run(end_process, workers=[address])
        still = self.cluster.running[address]  # of a process that could not be reached
        self.loop.call_later(REVIVAL, still.discard, DYING)

    def _lost(self, why: str = "") -> Exception:
        if not self.cluster.is_reachable:
            return PoolClosed(unreachable(self.cluster))
        why = why or f"it {'is about to leave' if self.address in self.cluster.leaving else 'left'} the cluster"
        return WorkerLost(f"worker {self.index} (Dask worker {self.name!r}) is lost: {why}", self.index)

    async def _explain(self, error: Exception) -> Exception:
        """Tell what went wrong with Dask in kofn's terms."""
        await asyncio.sleep(SETTLING if isinstance(error, OSError) else 0.0)
        if isinstance(error, (ReferenceLost, PoolClosed)):
            return error
        if isinstance(error, (OSError, CancelledError, KeyError)) or type(error).__name__ in LOSSES:
            return self._lost("Dask cancelled its task" if isinstance(error, CancelledError) else str(error))
        if not self.cluster.is_reachable:
            return self._lost()
        error.add_note(
            "kofn and what the task needs must be installed, in one version, on client, scheduler and workers"
        )
        return error


class DaskSlots:
    """The slots of one pool: as many as there were workers, whoever serves them later."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.cluster = cluster
        self.travel = Travel(client, cluster)
        members = sorted(cluster.members.values(), key=lambda m: (isinstance(m.name, str), m.name))
        self.all = [DaskSlot(index, member, cluster, self.travel) for index, member in enumerate(members)]
        cluster.listeners.add(self)

    def on_join(self) -> None:
        """Give slots without a process to their own name, and those whose worker is late to any other."""
        serving = {slot.address for slot in self.all}
        free = {member.name: member for member in self.cluster.members.values() if member.address not in serving}
        empty = [slot for slot in self.all if slot.address is None]
        for slot in empty:
            if slot.name in free:
                slot.take(free.pop(slot.name))
        for slot in empty:
            if free and slot.address is None and slot.is_free:
                slot.take(free.pop(next(iter(free))))

    def on_notice(self, address: str) -> None:
        """A process is about to leave; its task is given to others while that is done."""
        for slot in self.all:
            if slot.address == address:
                slot.give_back()

    def on_leave(self, address: str) -> None:
        """A process has gone; once its name cannot be expected back, a spare worker takes over."""
        for slot in self.all:
            if slot.address == address:
                asyncio.get_running_loop().call_later(slot.lose() + 0.01, self.on_join)


_started: set[concurrent.futures.Future[None]] = set()
"""A loop holds its tasks only weakly."""


def start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
    """Start a coroutine on the client's loop, from any thread, unless the loop has ended."""
    try:
        ended = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        ended = concurrent.futures.Future()
        ended.set_result(None)
    _started.add(ended)
    ended.add_done_callback(_started.discard)
    return ended
