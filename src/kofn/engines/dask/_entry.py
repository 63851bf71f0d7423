"""What ``workers=`` means where it is of Dask: a client, or ``"dask:tcp://host:8786"``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...checks import refusal
from ...errors import require_installed
from .._entry import EngineEntry
from ._output import is_client
from ._pool import DaskPool

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10
"""Seconds to wait for a scheduler, and then for its first worker."""


class ConnectedPool(DaskPool):
    """The workers of a scheduler at an address, with a client that ends with the pool.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        super().__init__(client)

    def close(self) -> None:
        """Let the workers go, still running, and close the client."""
        super().close()
        if self._home.is_here:
            self._client.close()


def connect(call: str, address: str) -> Client:
    """Connect to a scheduler, as the user's Dask configuration says where it comes to TLS, and wait for a worker.

    Parameters
    ----------
    call : str
        The public function that asks, for sentences that refuse.
    address : str
    """
    from distributed import Client
    from distributed.comm.addressing import get_address_host_port

    must, remedy = "name a Dask scheduler", "write dask:tcp://host:8786 and look whether it runs"
    try:
        get_address_host_port(address)  # a client that never connected would complain at the end of the program
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refusal(call, "workers", must, f"{address!r} ({reason})", remedy) from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except Exception as error:
        client.close()
        remedy = "start some with `dask worker ADDRESS`"
        raise refusal(call, "workers", "name a Dask scheduler with a worker", "one without", remedy) from error
    return client


def _make(workers: Any, call: str) -> DaskPool:
    require_installed(f"{call}: workers={workers!r}" if isinstance(workers, str) else f"{call}: Dask", "distributed")
    if is_client(workers):
        return DaskPool(workers)
    if not isinstance(workers, str):
        must, got = "be a distributed.Client, where it is of Dask", f"a {type(workers).__name__}"
        raise refusal(call, "workers", must, got, "make one of it: distributed.Client(cluster)")
    client = connect(call, workers.partition(":")[2])
    try:
        return ConnectedPool(client)
    except BaseException:
        client.close()
        raise


ENTRY = EngineEntry(
    _make,
    "the workers of a Dask scheduler",
    "dask:tcp://host:8786, or a Client",
    DaskPool.capabilities,
    "distributed",
)
