"""A worker that is sent SIGTERM hands over what it holds before it ends.

    dask worker tcp://first.example:8786 --preload-nanny kofn.engines.dask.handover

Dask by itself lets a worker that is told to go take its data with it. With this its nanny has it retired first: it is
given no task any more, kofn gives its row to others at once, and what only it holds is copied to others. A worker
without a nanny ends as soon as it is told to, and hands nothing over.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Nanny

NOTICE = 20.0
"""Seconds that handing over takes at most; systems that preempt with notice give thirty or more."""


async def dask_teardown(nanny: Nanny) -> None:
    """Have the scheduler retire the worker of a nanny that ends; Dask calls this.

    Parameters
    ----------
    nanny : Nanny
    """
    address = nanny.worker_address
    retire = nanny.scheduler.retire_workers(workers=[address], close_workers=False, remove=False)
    try:
        await asyncio.wait_for(retire, NOTICE)
    except (OSError, TimeoutError) as error:
        logging.getLogger("kofn").warning("worker %s ends without having handed over all it holds: %r", address, error)
