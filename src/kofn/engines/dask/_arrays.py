"""A `dask.array` as a matrix of references, and the other way round."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from ...arrays._spec import ArraySpec
from ...checks import refusal
from .._references import Ref, RemoteMatrix
from ._hold import Hold
from ._travel import Travel

if TYPE_CHECKING:
    from distributed import Client, Future


def is_array(value: object) -> bool:
    """Whether ``value`` is a `dask.array.Array`, without importing it.

    Examples
    --------
    >>> is_array(np.ones(3))
    False
    """
    kinds = type(value).__mro__
    return any(kind.__name__ == "Array" and kind.__module__.startswith("dask.array.") for kind in kinds)


def adopted(value: Any, client: Client, travel: Travel) -> RemoteMatrix:
    """The chunks of a `dask.array` where they lie; those that are lazy are computed first, at the workers.

    Its chunks stay whoever's they are: nothing is renamed or moved, and a reference to one keeps it there.
    """
    futures = _futures(_checked(value, client), client)
    for future in futures.ravel():
        if (error := future.exception()) is not None:
            raise error
    holders = client.who_has(list(futures.ravel()))
    heights, widths = value.chunks
    blocks, load = np.empty(futures.shape, object), Counter(dict.fromkeys(travel.index.values(), 0))
    several: list[Hold] = []
    for (i, j), future in np.ndenumerate(futures):
        spec = ArraySpec((heights[i], widths[j]), value.dtype)
        places = {address: travel.index[address] for address in holders[future.key] if address in travel.index}
        worker = min(places.values() or load, key=load.__getitem__)
        address = next((address for address in places if places[address] == worker), "")
        load[worker] += spec.nbytes
        hold = Hold(future.key, future, address, travel.spent, is_ours=False)
        blocks[i, j] = Ref(str(future.key), worker, spec, hold)
        if address and len(holders[future.key]) > 1:
            several.append(hold)
    travel.pin_soon(several)
    return RemoteMatrix(blocks, heights, widths, value.dtype)


def exported(matrix: RemoteMatrix, holds: np.ndarray[Any, Any]) -> Any:
    """A `dask.array` of what is held at workers; its graph holds the futures, and makes zeros where there is none."""
    from dask.array import Array

    name = f"kofn-{uuid4().hex}"
    graph: dict[Any, Any] = {}
    for (i, j), hold in np.ndenumerate(holds):
        zeros = (np.zeros, (matrix.heights[i], matrix.widths[j]), matrix.dtype.str)
        graph[name, i, j] = zeros if hold is None else hold.taken().future
    return Array(graph, name, (matrix.heights, matrix.widths), dtype=matrix.dtype)


def _checked(value: Any, client: Client) -> Any:
    call, name = "adopt", "value"
    if value.ndim != 2:
        must, given = "have two dimensions", f"one of {value.ndim}"
        raise refusal(call, name, must, given, "reshape it, or compute it first")
    if any(math.isnan(size) for sizes in value.chunks for size in sizes):
        must, given = "have chunks of known sizes", f"chunks {value.chunks}"
        raise refusal(call, name, must, given, "call its compute_chunk_sizes() first")
    if any(future.client is not client for future in _all_futures(value, client)):
        must, given = "be an array of the pool's own client", "one that another client has persisted"
        raise refusal(call, name, must, given, "persist it with this client, or pass the other as workers=")
    return value


def _all_futures(value: Any, client: Client) -> list[Future]:
    from distributed import futures_of

    try:
        found: list[Future] = futures_of(value, client)
    except CancelledError as error:
        must, given = "be there", "an array of which some chunks are cancelled or lost"
        raise refusal("adopt", "value", must, given, "persist it again") from error
    return found


def _futures(value: Any, client: Client) -> np.ndarray[Any, Any]:
    """The future of each chunk."""
    from distributed import Future

    graph, keys = dict(value.__dask_graph__()), value.__dask_keys__()
    if not all(isinstance(graph.get(key), Future) for row in keys for key in row):
        graph = dict(client.persist(value).__dask_graph__())
    futures = np.empty(value.numblocks, object)
    for i, row in enumerate(keys):
        for j, key in enumerate(row):
            futures[i, j] = graph[key]
    return futures
