"""At which workers results lie that stay there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..errors import ReferenceLost
from . import _events as on
from ._collector import Collector
from ._view import RunView
from .scheduling._placed import silent_workers


class Holders:
    """Which results lie where. What lies only at workers that may have stopped is not there.

    Parameters
    ----------
    patience : float or None
        A worker that is so many medians late may have stopped, where nobody can ask it; None where results come to the
        client and stay.
    outlast : bool
        As of `kofn.engines.Capabilities`: what a worker has made is there whatever becomes of him.

    Examples
    --------
    >>> holders = Holders(1.5)
    >>> holders.add(3, worker=0); holders.add(4, worker=1)
    >>> sorted(holders.there([])), sorted(holders.there([1]))
    ([3, 4], [3])
    >>> holders.forget([0])
    >>> sorted(holders.there([]))
    [4]
    >>> beside = Holders(1.5, outlast=True)
    >>> beside.add(3, worker=0); beside.forget([0])
    >>> sorted(beside.there([0]))
    [3]
    """

    def __init__(self, patience: float | None, outlast: bool = False) -> None:
        self._patience, self._outlast = patience, outlast
        self._at: dict[int, set[int]] = {}

    @property
    def stay_apart(self) -> bool:
        """Whether results stay where they were made."""
        return self._patience is not None

    def add(self, row: int, worker: int) -> None:
        """Take note that the result of a row lies at a worker."""
        self._at.setdefault(row, set()).add(worker)

    def forget(self, workers: Collection[int]) -> None:
        """Take note that workers have nothing any more."""
        for holders in () if self._outlast else self._at.values():
            holders.difference_update(workers)

    def look(self, states: Mapping[int, str]) -> None:
        """Forget what lay at workers that have died, or are being replaced."""
        self.forget([worker for worker, state in states.items() if state in ("starting", "dead")])

    def lose(self, event: on.Lost) -> None:
        """Forget what lay at a worker that is lost, if it is: its task may only have lacked what another had."""
        self.forget([] if isinstance(event.error, ReferenceLost) else [event.worker])

    def there(self, silent: Collection[int]) -> set[int]:
        """Rows whose result lies at a worker that is not ``silent``."""
        return {row for row, workers in self._at.items() if self._outlast or not workers.issubset(silent)}

    def count_on(self, view: RunView, collector: Collector) -> bool:
        """Let a run count on what seems to be there and on nothing else; return whether that changed anything."""
        if self._patience is None:
            return False
        there = self.there(silent_workers(view, self._patience))
        gone, found = sorted(view.received - there), sorted(there - view.received)
        for row in gone:
            view.lose(row)
        if gone:
            collector.withdraw(gone)
        for row in found:
            view.find(row)
            collector.add(row, view.now)
        return bool(gone or found)
