"""A Dask cluster behind kofn's seam."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from ..._base._closeable import at_end
from ...checks import refusal
from ...errors import PoolClosed, require
from .._delays import delays_of
from .._protocol import Capabilities
from .._slots import close_slots
from ._cluster import cluster_of
from ._output import is_client
from ._references import DaskReferences
from ._slot import DaskSlots, start
from ._versions import require_one_version

if TYPE_CHECKING:
    from distributed import Client

CALL = "kofn.DaskPool"

FAREWELL = 0.25
"""Seconds that closing takes at most to tell workers what is not wanted any more.

Each call that is given a client waits for that, and a worker that has stopped never hears it."""


class DaskPool(DaskReferences):
    """The workers of a `distributed.Client` as they are when the pool is made, one slot each.

    Resident values are scattered to their worker once, and again to the process that replaces it. Tasks are
    pinned, never stolen, retried or merged with equal ones. kofn must be installed, in one version, on client,
    scheduler and workers.

    *What cannot be stopped.* Dask cannot stop a function that runs. ``stop`` takes back a task that is still
    queued at its worker; otherwise the worker stays busy until the function ends, and kofn gives its rows to
    others. A task can ask `kofn.engines.current_token` and end itself. ``"kill"`` ends the worker process, with
    everything that others run in it, if a nanny will start another; without one, it abandons.

    *What stays at workers* lies there as if it had been scattered: Dask may spill it to disk, and moves it when it
    retires a worker, where references follow; what is lost with a worker is not made again by Dask. ``adopt`` takes a
    `dask.array`, ``export`` gives one of futures, which lives as long as the client. Travelling needs no task.

    *Who comes and goes.* A slot belongs to a worker's name. A worker that leaves fails its task with
    `WorkerLost`; its slot is starting while it has a nanny that answers, a minute at most, then dead, and alive
    again when a worker of that name joins. A worker with a new name takes over a dead slot, or one that has waited
    for its nanny for two seconds; if there is none it is kept for
    the next one, or for the next pool. A pool never grows beyond the workers it was made with. A worker that
    Dask retires, or that is sent SIGTERM, is dead from then on, and its task goes to others while it is still there.

    *The client* gathers what it sends for 2 ms instead of 10 while it has a pool, asks the scheduler twice a second who
    is there, and listens to what that tells under the client's own name.

    *When the scheduler goes*, tasks in flight fail with `PoolClosed`, and the pool stays dead even if the
    client finds its scheduler again: make another.

    Parameters
    ----------
    client : distributed.Client
        Not an asynchronous one. It stays yours: `close` leaves it, and its cluster, running. With
        ``Client(..., direct_to_workers=True)`` arrays bypass the scheduler, which is two to five times faster
        where the client can reach the workers.

    Examples
    --------
    >>> from distributed import Client
    >>> with Client(processes=False, n_workers=2, dashboard_address=":0") as client, DaskPool(client) as pool:
    ...     pool.submit(1, sum, [1, 2, 3]).result()
    6
    """

    capabilities = Capabilities(revives=True, references=True)

    def __init__(self, client: Client) -> None:
        with require(CALL, "distributed"):
            import distributed  # noqa: F401  without it there is no client to give
        if not is_client(client) or client.asynchronous or client.status != "running":
            must, got = "be a connected distributed.Client, and not an asynchronous one", repr(client)
            raise refusal(CALL, "client", must, got, "make one with Client(address)")
        if not _is_served(client.loop.asyncio_loop):
            raise PoolClosed(f"{CALL}: the client belongs to another process; make another in this one")
        cluster = cluster_of(client)
        seats = DaskSlots(cluster, client)
        if not seats.all:
            start(client.loop.asyncio_loop, cluster.stop())
            remedy = "wait for them with client.wait_for_workers(n)"
            raise refusal(CALL, "client", "have at least one worker", "none", remedy)
        try:
            require_one_version(CALL, client, cluster)
        except BaseException:
            start(client.loop.asyncio_loop, cluster.stop())
            raise
        super().__init__(seats)
        self.delays = delays_of(client)  # each call may make a pool of it
        self._finalizer = at_end(self, _end, seats, self._loop)

    def close(self) -> None:
        """Let the workers go, still running; what was placed there is released. Safe to call twice."""
        super().close()
        told: Any = self._finalizer() or []
        if self._home.is_here and not _is_running_here(self._loop):
            # The user may close the client next, and then nobody could tell the workers any more.
            wait(told, timeout=FAREWELL)


def _is_served(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the thread that runs a loop is there: it is not, in a fork of the process that started it."""
    serving = getattr(loop, "_thread_id", None)
    return serving is None or any(thread.ident == serving for thread in threading.enumerate())


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _end(slots: DaskSlots, loop: asyncio.AbstractEventLoop) -> list[Future[None]]:
    """End every task; return what ends once their workers have been told."""
    close_slots(slots.all)
    with contextlib.suppress(RuntimeError):  # the client was closed, and its loop with it
        loop.call_soon_threadsafe(slots.travel.close)
    told = (slot.telling for slot in slots.all if slot.address not in slots.travel.unanswered)
    return [start(loop, slots.cluster.stop()), *filter(None, told)]
