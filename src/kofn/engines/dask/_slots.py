"""The slots of a pool over Dask workers: who serves which, who takes the place of whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .._protocol import WorkerState
from ._cluster import Cluster
from ._slot import DaskSlot

if TYPE_CHECKING:
    from distributed import Client


class DaskSlots:
    """The slots of one pool: as many as there were workers, whoever serves them later."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.cluster = cluster
        members = sorted(cluster.members.values(), key=lambda m: (isinstance(m.name, str), m.name))
        self.all = [DaskSlot(index, member, cluster, client) for index, member in enumerate(members)]
        cluster.listeners.add(self)

    def on_join(self) -> None:
        """Give slots without a process to their own name, and dead ones to any other."""
        serving = {slot.address for slot in self.all}
        free = {member.name: member for member in self.cluster.members.values() if member.address not in serving}
        empty = [slot for slot in self.all if slot.address is None]
        for slot in empty:
            if slot.name in free:
                slot.take(free.pop(slot.name))
        for slot in empty:
            if free and slot.state == WorkerState.DEAD:
                slot.take(free.pop(next(iter(free))))

    def on_leave(self, address: str) -> None:
        """A process has gone; once its name cannot be expected back, a spare worker takes over."""
        for slot in self.all:
            if slot.address == address:
                asyncio.get_running_loop().call_later(slot.lose() + 0.01, self.on_join)
