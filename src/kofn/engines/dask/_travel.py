"""Values on their way: from worker to worker of a Dask cluster, and to this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import ref

from ...errors import PoolClosed, WorkerLost
from ._cluster import Cluster, unreachable
from ._hold import Hold, Spent, known, lost
from ._keeping import call_off, pull, share

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between tries to reach a worker that the scheduler believes to be there; the last one again and again."""

LOOKING = 0.5
"""Seconds between looks at the scheduler's connection."""

POLL = 0.05
"""Seconds between looks at a value that Dask is making again."""


class Travel:
    """Where values of one pool lie, and how they get elsewhere. All of it runs on the client's event loop.

    Parameters
    ----------
    client : Client
    cluster : Cluster

    Attributes
    ----------
    spent : Spent
        What is to be released soon.
    index : dict of address to int
        The worker that each process serves, or served.
    moved : counter of pairs of addresses
        Bytes from worker to worker.
    unanswered : set of str
        Workers that were asked whether they are there, and have not said so.
    """

    def __init__(self, client: Client, cluster: Cluster) -> None:
        self.client = client
        self.cluster = cluster
        self.spent = Spent(client.loop.asyncio_loop)
        self.index: dict[str, int] = {}
        self.moved: Counter[tuple[str, str]] = Counter()
        self.unanswered: set[str] = set()
        self._journeys: set[asyncio.Task[Any]] = set()

    async def bring(self, hold: Hold, address: str) -> Hold:
        """The value at the worker at ``address``: itself if it lies there, or a copy."""
        mine = self._nearest(hold)
        if mine.address not in self.cluster.members:
            await self._locate(hold, mine, address)
        return mine if mine.address == address else await self.copy(hold, address)

    async def pin(self, hold: Hold, address: str) -> None:
        """Have the value at the worker at ``address`` until it is released; where it lies there, no byte moves."""
        pin = await self.copy(hold, address)
        if hold.future is not None:
            hold.address, hold.pin = address, pin

    def pin_soon(self, holds: Sequence[Hold]) -> None:
        """Pin values where they lie, and wait for nothing: a worker may have stopped. From any thread."""
        at: dict[str, list[Hold]] = defaultdict(list)
        for hold in holds:
            at[hold.address].append(hold)
        for address, there in at.items():
            self.client.loop.asyncio_loop.call_soon_threadsafe(self._begin_pins, there, address)

    async def copy(self, hold: Hold, address: str) -> Hold:
        """A copy with a key of its own; a worker that is out of reach is tried until the scheduler drops it.

        To cancel this has the worker call off what it fetches; what arrives nevertheless is let go, once it is known.
        """
        key = f"kofn-copy-{uuid4().hex}"
        copying = _start(self._copy(hold, key, address))
        try:
            held: Hold = await asyncio.shield(copying)
        except asyncio.CancelledError:
            if not copying.done():
                _start(self._call_off(key, address))
            raise
        finally:
            del copying  # with what it failed with it would be a circle, and keep the value until somebody looks
        return held

    async def fetch(self, hold: Hold) -> Any:
        """The value itself; a worker that is out of reach is tried until the scheduler drops it."""
        mine, tries = self._nearest(hold), iter(PATIENCE)
        while True:
            if mine.address not in self.cluster.members:
                await self._locate(hold, mine)
            with contextlib.suppress(OSError, KeyError):
                return await get(self.client, mine.key, mine.address)
            mine = hold.taken()
            mine.address = ""
            await asyncio.sleep(next(tries, PATIENCE[-1]))

    async def ping(self, address: str) -> None:
        """Come back once the worker at ``address`` has answered; `WorkerLost` if it is not there any more."""
        self.unanswered.add(address)
        answers = await self.client.scheduler.broadcast(msg={"op": "ping"}, workers=[address], on_error="ignore")
        self.unanswered.discard(address)
        if address not in answers:
            worker = self.index.get(address, -1)
            raise WorkerLost(f"worker {worker} is not there any more", worker)

    async def locate(self, holds: Sequence[Hold]) -> dict[Any, list[str]]:
        """Where each of some values lies, by its key: who has it, of those whose place is not known, or is no more."""
        sure = self.cluster.members.keys() - self.cluster.leaving
        unsure = [hold for hold in holds if hold.address not in sure]
        asked = await self.client.scheduler.who_has(keys=[hold.key for hold in unsure]) if unsure else {}
        places = {hold.key: [hold.address] for hold in holds}
        for hold in unsure:
            there = [address for address in asked.get(hold.key, ()) if address in self.cluster.members]
            places[hold.key] = sorted(there, key=self.cluster.leaving.__contains__)
            hold.address = next(iter(places[hold.key]), "")
        return places

    def start(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Do something until it has ended, or the pool is closed."""
        task = _start(self.watched(begin))
        self._journeys.add(task)
        task.add_done_callback(self._journeys.discard)
        return task

    def close(self) -> None:
        """Give up whatever is under way."""
        for task in list(self._journeys):
            task.cancel()

    # -- a copy ---------------------------------------------------------------------------------------

    async def watched(self, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What ``begin`` ends with, as long as the scheduler is there: a call to one that is gone tries for long."""
        task = asyncio.ensure_future(begin())
        try:
            while not task.done():
                await asyncio.wait([task], timeout=LOOKING)
                if not self.cluster.is_reachable:
                    raise PoolClosed(unreachable(self.cluster))
            return task.result()
        finally:
            task.cancel()
            del task  # as in `copy`

    async def _copy(self, hold: Hold, key: str, address: str) -> Hold:
        mine, tries = self._nearest(hold), iter(PATIENCE)
        while True:
            if mine.address not in self.cluster.members:
                await self._locate(hold, mine, address)
            answer, about = await self._pull(mine, key, address)
            if answer == "held":
                return await self._take_note(mine, key, address, about)
            if answer == "off":
                raise asyncio.CancelledError
            mine = hold.taken()
            mine.address = ""
            await asyncio.sleep(next(tries, PATIENCE[-1]))

    def _nearest(self, hold: Hold) -> Hold:
        """A hold for one's own: of the pin while its worker is there and stays, or of the value itself."""
        sure = self.cluster.members.keys() - self.cluster.leaving
        return (hold if hold.pin is None or hold.pin.address not in sure else hold.pin).taken()

    def _begin_pins(self, holds: Sequence[Hold], address: str) -> None:
        _start(self._pin_there({f"kofn-copy-{uuid4().hex}": (hold.key, ref(hold)) for hold in holds}, address))

    async def _pin_there(self, wanted: Mapping[str, tuple[str, ref[Hold]]], address: str) -> None:
        """Pin what a worker has, all in one; what it has not is pinned once it is missed.

        A worker that has stopped never answers, and that keeps no value anywhere.
        """
        sizes = await self._have_done(address, share, {key: source for key, (source, _) in wanted.items()})
        who_has = {key: [address] for key in sizes}
        await self.client.scheduler.update_data(who_has=who_has, nbytes=sizes, client=self.client.id)
        for key in sizes:
            pin, hold = Hold(key, known(self.client, key), address, self.spent), wanted[key][1]()
            if hold is not None and hold.future is not None:
                hold.pin = pin

    async def _call_off(self, key: str, address: str) -> None:
        await self.client.run(call_off, key, workers=[address])

    async def _pull(self, hold: Hold, key: str, address: str) -> tuple[str, Any]:
        answer: tuple[str, Any] = await self._have_done(address, pull, hold.key, key, hold.address)
        return answer

    async def _have_done(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have a worker do something, while it is there: Dask tries for half a minute to reach one that is gone."""
        asked = asyncio.ensure_future(self.client.run(function, *arguments, workers=[address]))
        try:
            while not asked.done():
                await asyncio.wait([asked], timeout=LOOKING)
                if not asked.done() and address not in self.cluster.members:
                    raise OSError(f"{address} has left the cluster")
            return asked.result()[address]
        finally:
            asked.cancel()
            del asked

    async def _take_note(self, hold: Hold, key: str, address: str, size: int) -> Hold:
        """Have the scheduler know of a copy, on our behalf."""
        await self.client.scheduler.update_data(who_has={key: [address]}, nbytes={key: size}, client=self.client.id)
        copy = Hold(key, known(self.client, key), address, self.spent)
        if hold.address != address:
            self.moved[hold.address, address] += size
        return copy

    async def _locate(self, hold: Hold, mine: Hold, near: str = "") -> None:
        """Find out where a value lies, and wait for what Dask makes again."""
        while True:
            holders = await self.client.scheduler.who_has(keys=[mine.key])
            if found := [address for address in holders.get(mine.key, ()) if address in self.cluster.members]:
                hold.address = mine.address = near if near in found else found[0]
                return
            if mine.is_lost or not self.cluster.is_reachable:
                raise lost(mine.key, self.index.get(hold.address, -1))
            await asyncio.sleep(POLL)


_started: set[asyncio.Task[Any]] = set()
"""A loop holds its tasks only weakly."""


def _start(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Have something done that comes to its end whoever waits for it."""
    task = asyncio.ensure_future(work)
    _started.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _started.discard(task)
    if not task.cancelled():
        task.exception()  # nobody may be there any more to be told


async def get(client: Client, key: str, address: str) -> Any:
    """Fetch a value by itself; `Client.gather` would make it wait for those on slower links."""
    from distributed.worker import get_data_from_worker

    if client.direct_to_workers:
        response = await get_data_from_worker(client.rpc, [key], address)
    else:
        response = await client.scheduler.gather(keys=[key])
    if response["status"] != "OK":
        raise OSError("it went with its worker")
    return response["data"][key]
