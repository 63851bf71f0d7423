"""The lanes of a pool over Dask workers: who serves which, who takes the place of whom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ._cluster import Cluster
from ._slot import Lane

if TYPE_CHECKING:
    from distributed import Client


class Lanes:
    """The lanes of one pool: as many as there were workers, whoever serves them later."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.cluster = cluster
        members = sorted(cluster.members.values(), key=lambda m: (isinstance(m.name, str), m.name))
        self.all = [Lane(index, member, cluster, client) for index, member in enumerate(members)]
        cluster.listeners.add(self)

    def joined(self) -> None:
        """Give lanes without a process to their own name, and dead ones to any other."""
        serving = {lane.address for lane in self.all}
        free = {member.name: member for member in self.cluster.members.values() if member.address not in serving}
        empty = [lane for lane in self.all if lane.address is None]
        for lane in empty:
            if lane.name in free:
                lane.take(free.pop(lane.name))
        for lane in empty:
            if free and lane.state == "dead":
                lane.take(free.pop(next(iter(free))))

    def left(self, address: str) -> None:
        """A process has gone; once its name cannot be expected back, a spare worker takes over."""
        for lane in self.all:
            if lane.address == address:
                asyncio.get_running_loop().call_later(lane.lose() + 0.01, self.joined)
