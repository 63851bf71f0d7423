"""Whether a worker that is gone is to be expected back: as long as its nanny answers, for a while."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

REVIVAL = 2.0
"""Seconds that a nanny has to bring its worker back before the slot may be given to another one."""

ANSWER_SECONDS = 5.0
"""A nanny that says nothing for so long is taken to be gone, too; how a connection fails tells nothing sooner."""

PATIENCE = 60.0
"""A nanny that has not brought its worker back after so many seconds will not: on a busy machine ten are usual."""


class Return:
    """That of one worker, from the moment when it is gone.

    Parameters
    ----------
    nanny : str or None
        Its address.
    """

    def __init__(self, nanny: str | None) -> None:
        self._nanny, self._since = nanny, time.monotonic()
        self._answers = nanny is not None

    @property
    def is_expected(self) -> bool:
        """Whether the worker will come back by itself."""
        return self._answers and time.monotonic() - self._since < PATIENCE

    @property
    def is_late(self) -> bool:
        """Whether another one may take its place."""
        return self._nanny is None or time.monotonic() - self._since >= REVIVAL

    async def watch(self, client: Client) -> None:
        """Ask the nanny now and then whether it is there; ends when it is not, or with its task."""
        while self.is_expected:
            await asyncio.sleep(REVIVAL / 2)
            self._answers = await answers(client, str(self._nanny))


async def answers(client: Client, address: str) -> bool:
    """Whether there is somebody, asked by the scheduler, as clients need not reach who works for it."""
    scheduler: Any = client.scheduler
    asked = scheduler.broadcast(msg={"op": "identity"}, workers=[address], on_error="ignore")
    try:
        return address in await asyncio.wait_for(asked, ANSWER_SECONDS)
    except (OSError, TimeoutError):
        return False
