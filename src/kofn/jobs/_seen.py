"""What a scheduler, which may be a user's own, is shown of a run: it can be read, and nothing in it can be changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any, TypeVar, final

from ..codes._linear import LinearCode
from ._view import RunView
from .scheduling import InFlight

T = TypeVar("T")


class _ReadOnly(Collection[T]):
    """A collection as it is at any time, which only its owner can change."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:
        self._of = of

    def __len__(self) -> int:
        return len(self._of)

    def __iter__(self) -> Iterator[T]:
        return iter(self._of)

    def __contains__(self, item: object) -> bool:
        return item in self._of

    def __repr__(self) -> str:
        return repr(self._of)


@final
class ReadOnlySequence(_ReadOnly[T], Sequence[T]):
    """A list or a queue that cannot be changed.

    Examples
    --------
    >>> seen = ReadOnlySequence(rows := [3, 4])
    >>> rows.append(5)
    >>> seen[-1], len(seen), seen == [3, 4, 5], hasattr(seen, "append")
    (5, 3, True, False)
    """

    def __getitem__(self, index: Any) -> Any:
        return tuple(self._of)[index] if isinstance(index, slice) else self._of[index]

    def __reversed__(self) -> Iterator[T]:
        yield from reversed(self._of)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        raise TypeError("what changes cannot be hashed")


@final
class ReadOnlySet(_ReadOnly[T], Set[T]):
    """A set that cannot be changed; what is made of it is a set of one's own.

    Examples
    --------
    >>> seen = ReadOnlySet({1, 2})
    >>> seen - {1}, seen == {1, 2}, hasattr(seen, "add")
    ({2}, True, False)
    """

    _from_iterable = set


@final
class Lanes(Mapping[int, Sequence[int]]):
    """Rows that wait, by worker.

    Examples
    --------
    >>> lanes = Lanes({2: [5, 6]})
    >>> list(lanes), lanes[2][0], lanes.get(0, ())
    ([2], 5, ())
    """

    __slots__ = ("_of",)

    def __init__(self, of: Mapping[int, Sequence[int]]) -> None:
        self._of = of

    def __getitem__(self, worker: int) -> Sequence[int]:
        return ReadOnlySequence(self._of[worker])

    def __iter__(self) -> Iterator[int]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def __repr__(self) -> str:
        return repr({worker: list(lane) for worker, lane in self._of.items()})


@final
class Seen:
    """The `View` of a run, for schedulers.

    Parameters
    ----------
    view : RunView
        As it is at any time.

    Examples
    --------
    >>> import numpy as np
    >>> view = RunView(LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1]), 2, lambda worker, row: 0)
    >>> view.set_state(1, "idle")
    >>> seen = Seen(view)
    >>> seen.idle, seen.waiting, seen.copies(0)
    ({1}, {0: [0], 1: [1]}, 0)
    """

    def __init__(self, view: RunView) -> None:
        self._view = view
        self.groups: Sequence[int] = ReadOnlySequence(view.groups)
        self.states: Sequence[str] = ReadOnlySequence(view.states)
        self.waiting: Mapping[int, Sequence[int]] = Lanes(view.waiting)
        self.in_flight: Mapping[int, InFlight] = MappingProxyType(view.in_flight)
        self.idle: Set[int] = ReadOnlySet(view.idle)
        self.received: Set[int] = ReadOnlySet(view.received)
        self.missing: Set[int] = ReadOnlySet(view.missing)
        self.room, self.copies, self.is_news, self.restarts = view.room, view.copies, view.is_news, view.restarts
        self.holds, self.moving_seconds = view.holds, view.moving_seconds

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or hasattr(type(self), name):
            raise AttributeError(f"view.{name} is to be read only.")
        super().__setattr__(name, value)

    @property
    def code(self) -> LinearCode:
        """The code, with the fresh rows that were made so far."""
        return self._view.code

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._view.now

    @property
    def silent(self) -> Set[int] | None:
        """Workers that do not answer; None where nobody can ask them."""
        return None if self._view.silent is None else ReadOnlySet(self._view.silent)

    @property
    def makes_rows(self) -> bool:
        """Whether a worker can be given a fresh row."""
        return self._view.makes_rows

    @property
    def needed(self) -> int:
        """How many results are still needed."""
        return self._view.needed

    @property
    def pace(self) -> float:
        """Seconds that a row of load 1 takes, in the median."""
        return self._view.pace

    @property
    def paces(self) -> Sequence[float]:
        """Those of each message that came back, shortest first."""
        return ReadOnlySequence(self._view.paces)
