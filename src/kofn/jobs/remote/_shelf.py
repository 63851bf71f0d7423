"""Where values lie, and what is on its way: bookkeeping without a pool."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from ...arrays._remote import Ref

NOBODY = -1
"""Where a value comes from that is lost, if the engine makes it again, as Dask does with what users persisted."""

OVERDUE_SECONDS = 0.25
"""What travels for longer than this, and twice as long as the slowest, makes one ask who is there."""

MOVE_SECONDS = 2.0
"""What travels for no longer is not overdue."""

SLOWEST = 2e7
"""Bytes a second that a move may take at the least, beside that."""


class Shelf:
    """Where each value lies. A value is known by the key of its first reference; copies may have keys of their own.

    Parameters
    ----------
    refs : iterable of Ref
        What lies where to begin with.
    outlast : bool
        As of `kofn.engines.Capabilities`: whoever may have stopped, or is gone, what lies there can be had.

    Attributes
    ----------
    avoided : collection of int
        Workers that may have stopped, or are gone: nothing is fetched from there, nor sent there.
    last : float
        Seconds that the last value took to travel.

    Examples
    --------
    >>> shelf = Shelf([Ref("a", 0, size=8)])
    >>> shelf.lies_at("a", 0), shelf.lies_at("a", 1), shelf.source("a", 1)
    (True, False, 0)
    >>> shelf.expect("a", 1, source=0)
    >>> shelf.is_coming("a", 1), shelf.source("a", 1)
    (True, 0)
    >>> shelf.arrived("a", Ref("copy", 1, size=8)); shelf.avoided = [0]
    >>> shelf.nearest("a", 2).key
    'copy'
    >>> beside = Shelf([Ref("a", 0, size=8)], outlast=True)
    >>> beside.avoided = [0]; beside.forget(0)
    >>> beside.source("a", 1), Shelf([]).source("a", 1) == NOBODY
    (0, True)
    """

    def __init__(self, refs: Iterable[Ref], outlast: bool = False) -> None:
        self._outlast = outlast
        self._copies: dict[str, dict[int, Ref]] = {}
        self._coming: dict[tuple[str, int], int] = {}
        self._since: dict[tuple[str, int], float] = {}
        self._longest = self.last = 0.0
        self._sizes: dict[str, int] = {}
        self._first: dict[str, Ref] = {}
        self.avoided: Collection[int] = ()
        for ref in refs:
            self.add(ref.key, ref)

    @property
    def _mute(self) -> Collection[int]:
        """Workers from whom nothing can be had."""
        return () if self._outlast else self.avoided

    def add(self, key: str, ref: Ref) -> None:
        """Take note of a value, or of one more copy."""
        self._copies.setdefault(key, {})[ref.worker] = ref
        self._first.setdefault(key, ref)
        self._sizes[key] = max(ref.size, self._sizes.get(key, 0))

    def size(self, key: str) -> int:
        """Bytes of a value, at least 1."""
        return max(1, self._sizes.get(key, 0))

    def lies_at(self, key: str, worker: int) -> bool:
        """Whether a worker has a value."""
        return worker in self._copies.get(key, ())

    def source(self, key: str, worker: int) -> int | None:
        """From whom a worker can get a value: who sends least just now.

        `NOBODY` where it is lost, and would have to be made again; None where who has it may have stopped.
        """
        if not self._copies.get(key):
            return NOBODY
        holders = [holder for holder in self._copies.get(key, ()) if holder != worker and holder not in self._mute]
        busy = list(self._coming.values())
        return min(holders, key=lambda holder: (busy.count(holder), holder), default=None)

    def nearest(self, key: str, worker: int) -> Ref | None:
        """A reference to a value: at the worker, or at one that can send it, or at any, or where it was; or None."""
        copies = self._copies.get(key, {})
        if worker in copies:
            return copies[worker]
        source = self.source(key, worker)
        return copies.get(NOBODY if source is None else source, next(iter(copies.values()), self._first.get(key)))

    def expect(self, key: str, worker: int, source: int, now: float = 0.0) -> None:
        """Take note that a value is on its way."""
        self._coming[key, worker], self._since[key, worker] = source, now

    def silent(self, now: float) -> set[int]:
        """Workers that explain why values are on their way for far longer than those that have arrived: the fewest."""
        patience = MOVE_SECONDS + 5.0 * self._longest
        coming = ((source, move, now - self._since[move]) for move, source in self._coming.items() if source != NOBODY)
        late = [(source, to) for source, (key, to), took in coming if took > patience + self.size(key) / SLOWEST]
        found: set[int] = set()
        while late:
            ends = [end for pair in late for end in pair]  # of two that are in as many the source: another may do
            found.add(max(dict.fromkeys(ends), key=ends.count))
            late = [pair for pair in late if found.isdisjoint(pair)]
        return found

    def next_overdue(self) -> float:
        """When the first value is on its way for longer than usual; inf where none is."""
        usual = max(OVERDUE_SECONDS, 2.0 * self._longest)
        return min((self._since[move] + usual for move in self._coming), default=math.inf)

    def is_coming(self, key: str, worker: int) -> bool:
        """Whether a value is on its way to a worker, from one that seems to be there."""
        return self._coming.get((key, worker), None) not in (None, *self._mute)

    def coming_to(self, worker: int) -> int:
        """How many values are on their way to a worker."""
        return sum(to == worker and source not in self._mute for (_, to), source in self._coming.items())

    def arrived(self, key: str, ref: Ref, now: float = 0.0) -> None:
        """Take note that a value has come to a worker."""
        if self._coming.pop((key, ref.worker), None) is not None:
            self.last = now - self._since[key, ref.worker]
            self._longest = max(self._longest, self.last)
        self.add(key, ref)

    def failed(self, key: str, worker: int, source: int, lost: bool) -> None:
        """Take note that a value has not come, and whether the source has it no more."""
        if self._coming.get((key, worker)) == source:
            del self._coming[key, worker]
        if lost:
            self._copies.get(key, {}).pop(source, None)

    def forget(self, worker: int) -> None:
        """Take note that a worker has nothing any more."""
        for copies in () if self._outlast else self._copies.values():
            copies.pop(worker, None)
        self._coming = {move: source for move, source in self._coming.items() if worker not in (source, move[1])}

    def unreachable(self, keys: Iterable[str]) -> dict[str, int]:
        """Which of these lie only at workers that may have stopped, and at which."""
        only = {key: list(self._copies.get(key, ())) for key in keys}
        return {key: at[0] for key, at in only.items() if at and all(holder in self._mute for holder in at)}
