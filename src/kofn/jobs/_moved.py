"""What travels between the workers of a pool while a job runs."""

from __future__ import annotations

from collections.abc import Mapping

from ..engines._protocol import Pool, capabilities_of


class Moved:
    """Counts from when it is made.

    Parameters
    ----------
    pool : Pool
        One that keeps no references moves nothing.

    Examples
    --------
    >>> import kofn
    >>> with kofn.ThreadPool(2) as pool:
    ...     Moved(pool).nbytes
    {}
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._before = self._now()

    @property
    def nbytes(self) -> Mapping[tuple[int, int], int]:
        """Bytes by pairs of workers."""
        moved = {pair: count - self._before.get(pair, 0) for pair, count in self._now().items()}
        return {pair: count for pair, count in moved.items() if count}

    def _now(self) -> dict[tuple[int, int], int]:
        has_references = capabilities_of(self._pool).references
        return dict(self._pool.moved()) if has_references else {}  # type: ignore[attr-defined]
