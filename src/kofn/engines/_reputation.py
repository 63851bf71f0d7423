"""Which workers of a pool were wrong in earlier jobs, and are given nothing more."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import LeftOut

JOBS = 3
"""In so many jobs a worker must have been wrong."""


class Reputation:
    """How many jobs each worker of a pool has been wrong in.

    Examples
    --------
    >>> import warnings
    >>> reputation = Reputation()
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     for job in range(4):
    ...         reputation.note({2})
    >>> sorted(reputation.left_out), str(told[0].message), len(told)
    ([2], 'worker 2 returned wrong results in 3 jobs and is left out of this pool from now on; make another pool to try it again.', 1)
    """  # noqa: E501

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: Counter[int] = Counter()

    @property
    def left_out(self) -> frozenset[int]:
        """Workers that are given nothing more."""
        with self._lock:
            return frozenset(worker for worker, jobs in self._jobs.items() if jobs >= JOBS)

    def note(self, wrong: Collection[int]) -> None:
        """Take note of the workers that were wrong in a job, and warn of those that are left out from now on."""
        with self._lock:
            self._jobs.update(wrong)
            new = [worker for worker in sorted(wrong) if self._jobs[worker] == JOBS]
        for worker in new:
            text = f"worker {worker} returned wrong results in {JOBS} jobs and is left out of this pool from now on"
            logging.getLogger("kofn").warning(text)
            warnings.warn(f"{text}; make another pool to try it again.", LeftOut, stacklevel=2)


_known: WeakKeyDictionary[Any, Reputation] = WeakKeyDictionary()


def reputation_of(pool: Any) -> Reputation:
    """That of a pool, kept as long as it is there."""
    try:
        return _known.setdefault(pool, Reputation())
    except TypeError:  # it cannot be held weakly
        return Reputation()
