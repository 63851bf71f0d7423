"""What the runs of a plan leave at the workers, where each run may bring values of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..schemes._task import Allocate, Task
from ._lease import PoolLease
from ._memory import Encode


class Residents:
    """Resident values of runs under way, and of the newest what the next may use; all others leave the workers.

    Parameters
    ----------
    lease : PoolLease

    Examples
    --------
    >>> import kofn, numpy as np
    >>> with kofn.ThreadPool(1) as pool, PoolLease(pool, "f") as lease:
    ...     residents, task = Residents(lease), Task(abs, (), {"x": np.ones(2)})
    ...     placed = lease.placement.ensure(0, residents.note("run", lambda allocate: [task])(None)[0])
    ...     residents.end("run", lambda key: False)
    ...     placed, lease.placement.missing(0, task)
    (16, 16)
    """

    def __init__(self, lease: PoolLease) -> None:
        self._lease = lease
        self._values: dict[Hashable, Any] = {}  # held, so that the id of one, which may be its key, is its own
        self._runs: dict[Hashable, set[Hashable]] = {}
        self._lock = threading.Lock()

    def note(self, run: Hashable, encode: Encode) -> Encode:
        """The same way to make tasks, which tells what of these a run needs."""

        def noted(allocate: Allocate) -> Sequence[Task]:
            tasks = encode(allocate)
            values = {key: value for task in tasks for key, value in task.resident.items()}
            with self._lock:
                self._runs[run] = set(values)
                self._keep(set())
                self._values |= values
            return tasks

        return noted

    def end(self, run: Hashable, keeps: Callable[[Hashable], bool]) -> None:
        """Take note that a run is over, and whether the next one may use what it leaves."""
        with self._lock:
            self._keep(set(filter(keeps, self._runs.pop(run, ()))))

    def _keep(self, keys: set[Hashable]) -> None:
        """Drop what is neither among these nor needed by a run."""
        for key in self._values.keys() - keys.union(*self._runs.values()):
            self._lease.drop(key)
            del self._values[key]
