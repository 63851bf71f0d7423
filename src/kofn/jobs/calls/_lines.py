"""Calls that wait: for any worker, or for the one where what they need lies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...arrays._remote import refs_in


class Place(NamedTuple):
    """Where most of what a call needs lies, and bytes that would have to move if another worker made it."""

    worker: int
    nbytes: int


def place_of(arguments: tuple[Any, ...]) -> Place | None:
    """Where the arguments of a call lie; None where they are sent with it.

    Examples
    --------
    >>> from kofn.engines import Ref
    >>> place_of((1, "a")), place_of((Ref("a", 0, size=5), 2, Ref("b", 3, size=7)))
    (None, Place(worker=3, nbytes=7))
    """
    refs = list(refs_in(arguments))
    if not refs:
        return None
    sizes: dict[int, int] = {}
    for ref in refs:
        sizes[ref.worker] = sizes.get(ref.worker, 0) + ref.size
    worker = max(sizes, key=sizes.__getitem__)
    return Place(worker, sizes[worker])


class Lines:
    """Calls that wait, in their order; those whose inputs lie at a worker stand in a line of its own.

    Examples
    --------
    >>> lines = Lines()
    >>> lines.add([0, 1, 2], {1: Place(3, 8)})
    >>> list(lines.anywhere), list(lines.of(3)), list(lines.of(0))
    ([0, 2], [1], [])
    """

    def __init__(self) -> None:
        self.anywhere: deque[int] = deque()
        self._at: dict[int, deque[int]] = {}
        self._places: dict[int, Place] = {}

    def __bool__(self) -> bool:
        return bool(self.anywhere) or any(self._at.values())

    def __iter__(self) -> Any:
        yield from self.anywhere
        for line in self._at.values():
            yield from line

    def of(self, worker: int) -> deque[int]:
        """Those that wait for a worker."""
        return self._at.get(worker, deque())

    @property
    def homes(self) -> list[int]:
        """Workers for whom some wait, the longest line first."""
        return sorted((home for home, line in self._at.items() if line), key=lambda home: -len(self._at[home]))

    def add(self, numbers: Iterable[int], places: Mapping[int, Place]) -> None:
        """Have more at the ends of their lines."""
        self._places.update(places)
        for number in numbers:
            self._line(number).append(number)

    def put_back(self, numbers: Iterable[int]) -> None:
        """Have some at the beginning of their lines."""
        for number in reversed(list(numbers)):
            self._line(number).appendleft(number)

    def forget(self, number: int) -> None:
        """It is done."""
        self._places.pop(number, None)

    def nbytes(self, number: int) -> int:
        """How much has to move for a call that another worker makes."""
        place = self._places.get(number)
        return 0 if place is None else place.nbytes

    def _line(self, number: int) -> deque[int]:
        place = self._places.get(number)
        return self.anywhere if place is None else self._at.setdefault(place.worker, deque())
