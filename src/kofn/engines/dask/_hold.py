"""What a reference of a Dask pool has for its handle: a key of Dask's, and where its value was last seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._base._travel import Staying
from ...errors import ReferenceLost

if TYPE_CHECKING:
    from distributed import Client, Future


class Hold(Staying):
    """A value at a worker, which stays there as long as anybody has its future.

    Parameters
    ----------
    key : str
        Dask's.
    future : Future or None
        None once it was released.
    address : str
        Of a worker that had it when this was last known, or nothing.
    is_ours : bool
        Whether kofn put it there; Dask does not know how to make such a value again.
    """

    def __init__(self, key: str, future: Future | None, address: str, is_ours: bool = True) -> None:
        self.key = key
        self.future = future
        self.address = address
        self.is_ours = is_ours

    def taken(self) -> Hold:
        """One of one's own, for a task or a journey: it is there whoever releases the other meanwhile."""
        if self.future is None:
            raise lost(self.key)
        return Hold(self.key, self.future, self.address, self.is_ours)

    def release(self) -> None:
        """Let go."""
        self.future = None

    @property
    def is_lost(self) -> bool:
        """Whether a value that nobody has any more will never be made again."""
        return self.is_ours or self.future is None or self.future.status in ("cancelled", "error")


def known(client: Client, key: str) -> Future:
    """A future of what is in memory somewhere, and wanted by this client."""
    from distributed import Future

    future = Future(key, client)
    client.futures[key].finish()
    return future


def lost(key: str, worker: int = -1) -> ReferenceLost:
    """Build (not raise) the exception for a value that cannot be had."""
    return ReferenceLost(f"the value {key} was released, or is lost with its Dask worker", worker)
