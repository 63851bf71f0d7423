"""Who is there: the workers of a Dask cluster as one client hears of them, and what kofn left running there."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._outcomes import Outcomes

if TYPE_CHECKING:
    from distributed import Client

LOOKING = 0.5
"""Seconds between looks at who is there. A scheduler would tell of who joins among all else (the topic "all"), but when
somebody has a value broadcast it tells what no client can read, and loses each client that listens."""

LEAVING = ("closing", "closing_gracefully")
"""What a scheduler calls a worker that takes no task any more: it retires, or was sent SIGTERM."""

SENDING = 0.002
"""Seconds between two messages of a client while it has a pool. By itself it gathers what it sends for 10 ms, so that
of the tasks of one product the first leaves at once and the others are that much later."""

_lock = threading.Lock()
_clusters: weakref.WeakKeyDictionary[Client, Cluster] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Member:
    """A worker process: its name outlives it, its address does not."""

    name: str | int
    address: str
    nanny: str | None


class Cluster:
    """The workers behind one client. One per client, so that pools made one after the other know of what is
    still running; useless once the client has lost its scheduler.
    """

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(client)
        self._connection = client.scheduler_comm
        self._refreshing = asyncio.Lock()
        self._left: set[str] = set()
        self._watched: set[str] = set()
        self._looking: asyncio.Task[None] | None = None
        self.scheduler: str = client.scheduler.address
        self.members: dict[str, Member] = {}
        self.running: dict[str, set[str]] = defaultdict(set)  # tasks of any pool, wanted or not, by address
        self.asked: set[str] = set()  # addresses of those whose version is known
        self.leaving: set[str] = set()  # addresses of who is there still, and has been told to go
        self.listeners: weakref.WeakSet[Any] = weakref.WeakSet()  # told on the client's event loop of each on_…
        self._pools = 0
        self.outcomes = Outcomes()
        self._theirs: Any = _ignore
        self._on_outcome: Any = None
        self._usual: float | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether the connection to the scheduler has held since the beginning."""
        client = self._client()
        return client is not None and client.status == "running" and client.scheduler_comm is self._connection

    async def start(self, client: Client) -> None:
        """Have one more pool; for the first one listen, and look who is there again and again."""
        self._pools += 1
        if self._pools == 1:
            self._listen(client)
            self._usual = getattr(self._connection, "interval", None)
            if self._usual is not None:
                self._connection.interval = min(SENDING, self._usual)
            self._looking = asyncio.ensure_future(self._look())
        try:
            await self.refresh()  # each pool has all who are there when it is made
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Have one pool less; with the last one stop listening.

        A scheduler that tells a client of its own end would complain that it has gone.
        """
        self._pools -= 1
        client = self._client()
        if self._pools:
            return
        if self._looking is not None:
            self._looking.cancel()
        if client is None or not self.is_reachable:
            return
        handlers = _handlers(client)
        if handlers.get(client.id) is self._on_outcome:
            if self._theirs is _ignore:
                client.unsubscribe_topic(client.id)
            handlers[client.id] = self._theirs  # without one, it complains of what is still under way
        if self._usual is not None:
            self._connection.interval = self._usual

    def _listen(self, client: Client) -> None:
        """Hear of outcomes, as well as whoever listens already."""
        theirs = self._theirs = _handlers(client).get(client.id, _ignore)

        def on_outcome(event: tuple[float, Any]) -> Any:
            self.outcomes.on_event(event[1])
            return theirs(event)

        self._on_outcome = on_outcome
        client.subscribe_topic(client.id, on_outcome)

    async def _look(self) -> None:
        """Look who is there, as long as anybody can tell."""
        await asyncio.sleep(LOOKING)
        while self.is_reachable:
            with contextlib.suppress(OSError):  # a lost scheduler is seen by whoever waits for a result
                if await self._addresses() != self.members.keys():
                    await self.refresh()
            await asyncio.sleep(LOOKING)

    async def _addresses(self) -> Collection[str]:
        client = self._client()
        return self.members.keys() if client is None else (await client.scheduler.ncores()).keys()

    async def refresh(self) -> None:
        """Ask the scheduler who is there, and what they are called."""
        async with self._refreshing:
            client = self._client()
            if client is None:
                return
            self._left.clear()
            workers = (await client.scheduler.identity())["workers"]
            for address, about in workers.items():
                if address not in self._left:
                    self.members[address] = Member(about["name"], address, about["nanny"])
                    self._watch(client, address, about.get("status", ""))
            for address in self.members.keys() - workers.keys():
                self._leave(address)
            for listener in list(self.listeners):
                listener.on_join()

    def _watch(self, client: Client, address: str, status: str) -> None:
        """Hear of a worker that is told to go, and that has gone; a scheduler tells that under its address."""
        if address not in self._watched:
            self._watched.add(address)
            client.subscribe_topic(address, lambda event: self._on_status(address, event[1]))
            self._become(address, status)

    def _on_status(self, address: str, event: Any) -> None:
        action = event.get("action") if isinstance(event, dict) else None
        if action == "worker-status-change":
            self._become(address, event["status"])
        elif action == "remove-worker":
            self._leave(address)

    def _become(self, address: str, status: str) -> None:
        if status not in LEAVING:
            self.leaving.discard(address)
        elif address in self.members and address not in self.leaving:
            self.leaving.add(address)
            for listener in list(self.listeners):
                listener.on_notice(address)

    def _leave(self, address: str) -> None:
        self._left.add(address)
        self.leaving.discard(address)
        client = self._client()
        if address in self._watched and client is not None and self.is_reachable:
            self._watched.discard(address)
            client.unsubscribe_topic(address)
            _handlers(client)[address] = _ignore
        self.members.pop(address, None)
        self.running.pop(address, None)
        for listener in list(self.listeners):
            listener.on_leave(address)


def cluster_of(client: Client) -> Cluster:
    """Return the cluster behind ``client`` for one more pool; called outside the client's event loop."""
    with _lock:
        cluster = _clusters.get(client)
        if cluster is None or not cluster.is_reachable:
            cluster = _clusters[client] = Cluster(client)
        client.sync(cluster.start, client)
        return cluster


def unreachable(cluster: Cluster) -> str:
    """Say that the scheduler is gone."""
    return f"the Dask scheduler at {cluster.scheduler} cannot be reached any more"


def _ignore(event: Any) -> None:
    """Take what nobody listens for any more."""


def _handlers(client: Client) -> dict[str, Any]:
    handlers: dict[str, Any] = getattr(client, "_event_handlers", {})
    return handlers
