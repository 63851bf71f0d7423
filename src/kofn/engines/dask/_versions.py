"""One version of kofn on client, scheduler and workers: what travels between them is Python."""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ...checks import refusal
from ._cluster import Cluster

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 1.0
"""Seconds that a worker has to say its version; of one that has stopped it is believed to be the right one."""


def require_one_version(call: str, client: Client, cluster: Cluster) -> None:
    """Refuse a client some of whose workers have another kofn, or none; each process is asked once."""
    new = [address for address in cluster.members if address not in cluster.asked]
    if not new:
        return
    cluster.asked.update(new)
    mine = version("kofn")
    answers = client.sync(_asked, client, new)
    others = {address: found for address, found in answers.items() if found != mine}
    cluster.asked.difference_update(others)  # they are asked again, once they are mended
    for address, found in others.items():
        name = cluster.members[address].name if address in cluster.members else address
        given = f"worker {name!r} with {f'kofn {found}' if found else 'none'}"
        must, remedy = f"have workers with kofn {mine}, as this process", "install it on the scheduler and all workers"
        raise refusal(call, "client", must, given, remedy)


async def _asked(client: Client, addresses: list[str]) -> dict[str, str | None]:
    """What each worker says that answers in time; None where kofn is not installed."""
    asking = {address: asyncio.ensure_future(_version_at(client, address)) for address in addresses}
    await asyncio.wait(asking.values(), timeout=PATIENCE)
    found = {}
    for address, task in asking.items():
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            with contextlib.suppress(OSError):  # it has gone
                found[address] = task.result()
    return found


async def _version_at(client: Client, address: str) -> str | None:
    answers: dict[str, Any] = await client.run(version, "kofn", workers=[address], on_error="return")
    answer = answers.get(address)
    if isinstance(answer, OSError):
        raise answer
    return answer if isinstance(answer, str) else None
