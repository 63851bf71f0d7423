"""Workers that came back without any data: whether there is enough left for them to do."""

from __future__ import annotations

from .._view import RunView

JOIN_SECONDS = 1.0
"""A new process takes no longer until it can compute: it imports kofn, and its blocks travel; .4 to .7 measured."""


class Newcomers:
    """Workers that were lost and are there again, until something lies at them.

    Sending them blocks costs the others time. Where those begin the last row before a newcomer could, it is left alone.

    Examples
    --------
    >>> newcomers = Newcomers()
    >>> newcomers.lost(1)
    >>> newcomers.has_data(1)
    >>> newcomers.workers
    set()
    """

    def __init__(self) -> None:
        self.workers: set[int] = set()

    def lost(self, worker: int) -> None:
        """Take note that whoever comes has nothing."""
        self.workers.add(worker)

    def has_data(self, worker: int) -> None:
        """Take note that something lies there."""
        self.workers.discard(worker)

    def too_late(self, view: RunView) -> set[int]:
        """Those for which too little is left."""
        others = view.in_flight.keys() - self.workers - set(view.silent or ())
        if not self.workers or not others:
            return set()
        load = sum(float(view.code.load[row]) for rows in view.waiting.values() for row in rows)
        return set(self.workers) if view.pace * load / len(others) <= JOIN_SECONDS else set()
