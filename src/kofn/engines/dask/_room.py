"""How much memory the workers of a Dask cluster have, as its scheduler knows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

TARGET = 0.6
"""The share of its memory that a worker fills with values before it puts some on disk, unless it is told otherwise."""


async def rooms(client: Client, addresses: Sequence[str | None]) -> list[tuple[float, float, float]]:
    """Bytes that each worker takes before it spills, those that it held a moment ago, and what it can have at all.

    The scheduler alone is asked, so that a worker that has stopped holds nobody up. What has no limit is infinite.
    """
    workers = (await client.scheduler.identity())["workers"]
    found = []
    for address in addresses:
        about = workers.get(address, {})
        limit = float(about.get("memory_limit") or math.inf)
        found.append((TARGET * limit, float((about.get("metrics") or {}).get("managed_bytes", 0)), limit))
    return found
