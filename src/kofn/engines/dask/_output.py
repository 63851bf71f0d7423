"""An answer that goes to a Dask cluster as it is decoded, chunk by chunk, and stays there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..._base._numbers import Array
from ..._base._travel import Staying
from ...checks import integer, refusal

if TYPE_CHECKING:
    from distributed import Client

CALL = "kofn.ClusterArray"

CHUNK_BYTES = 1 << 26
"""Size of a chunk, unless it is chosen."""


class ClusterArray(Staying):
    """A matrix on a Dask cluster that is written once, in any order: ``out=`` of `kofn.matmul`.

    A chunk of rows goes to a worker as soon as all of it is written; what is not complete yet is in memory here. With
    codes that sort rows by importance (`kronecker`, `now-uep`, `ew-uep`) chunks are completed late, at worst all at
    the end; with the others a few pieces are open at a time.

    Parameters
    ----------
    client : distributed.Client
    shape : (m, n)
    dtype : dtype
    chunk_rows : int, optional
        Rows of a chunk; 64 MiB by default.

    Examples
    --------
    >>> import kofn
    >>> from distributed import Client
    >>> with Client(processes=False, n_workers=2, dashboard_address=":0") as client:
    ...     C = ClusterArray(client, (4, 3), chunk_rows=2)
    ...     answer = kofn.matmul(np.ones((4, 2)), np.ones((2, 3)), workers=client, code="mds", blocks=(1, 1), out=C)
    ...     C.to_dask().numblocks, round(float(C.to_dask().sum().compute()), 9)
    ((2, 1), 24.0)
    """

    def __init__(
        self, client: Client, shape: tuple[int, int], dtype: DTypeLike = np.float64, *, chunk_rows: int | None = None
    ) -> None:
        if not is_client(client):
            must = "be a connected distributed.Client"
            raise refusal(CALL, "client", must, f"a {type(client).__name__}", "make one with Client(address)")
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise refusal(CALL, "shape", "be a pair (m, n)", repr(shape), "a product has two dimensions")
        rows, columns = (integer(CALL, "shape", size, 0, "give (m, n)") for size in shape)
        self.shape = (rows, columns)
        self.dtype = np.dtype(dtype)
        usual = max(1, CHUNK_BYTES // max(1, self.shape[1] * self.dtype.itemsize))
        self.chunk_rows = usual if chunk_rows is None else integer(CALL, "chunk_rows", chunk_rows, 1, "say 1000")
        self._client = client
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Array, Array]] = {}
        self._chunks: dict[int, Any] = {}

    def __setitem__(self, key: Any, values: Any) -> None:
        """Write a part; ``key`` is rows, or rows and columns, each a slice or an int array."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        rows, columns = np.arange(self.shape[0])[rows].ravel(), np.arange(self.shape[1])[columns].ravel()
        values = np.broadcast_to(values, (rows.size, columns.size))
        owner = rows // self.chunk_rows
        for number in np.unique(owner).tolist():
            mine = owner == number
            self._write(number, rows[mine] - number * self.chunk_rows, columns, values[mine])

    def _write(self, number: int, rows: Array, columns: Array, values: Array) -> None:
        with self._lock:
            if number not in self._open:
                self._chunks.pop(number, None)  # an answer that is looked at again is written again, all of it
                size = min(self.chunk_rows, self.shape[0] - number * self.chunk_rows)
                whole = (size, self.shape[1])
                self._open[number] = (np.empty(whole, self.dtype), np.zeros(whole, dtype=bool))
            chunk, written = self._open[number]
        chunk[np.ix_(rows, columns)] = values
        written[np.ix_(rows, columns)] = True
        with self._lock:
            if number not in self._open or not written.all():
                return
            del self._open[number]
        self._chunks[number] = self._client.scatter(chunk, broadcast=False, hash=False)

    def to_dask(self) -> Any:
        """The matrix as a `dask.array.Array` of chunks that lie at workers, (m, n)."""
        import dask.array

        count = -(-self.shape[0] // self.chunk_rows)
        if self._open or len(self._chunks) < count * (self.shape[1] > 0):
            must, given = "be written whole first", f"{len(self._chunks)} of {count} chunks"
            raise refusal(CALL, "to_dask", must, given, "pass it as out= of kofn.matmul")
        sizes = np.diff([*range(0, self.shape[0], self.chunk_rows), self.shape[0]]).tolist()
        parts = [
            dask.array.from_delayed(self._chunks[number], (size, self.shape[1]), self.dtype)
            for number, size in enumerate(sizes)
            if self.shape[1]
        ]
        return dask.array.concatenate(parts) if parts else dask.array.empty(self.shape, self.dtype)


def is_client(workers: object) -> bool:
    """Tell whether ``workers`` is a `distributed.Client`, without importing it.

    Examples
    --------
    >>> is_client(4)
    False
    """
    kinds = type(workers).__mro__
    return any(kind.__name__ == "Client" and kind.__module__.startswith("distributed.") for kind in kinds)
