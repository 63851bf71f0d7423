"""The rows that nobody has yet. Plain bookkeeping, told by a run and read by its scheduler."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from ...codes._linear import LinearCode
from ...errors import KofnError


class RowQueue:
    """The rows of a code that wait, a lane for each worker in the order of the code.

    Equal rows say the same; a code that is folded onto fewer workers keeps them apart (`LinearCode.on_workers`).

    Parameters
    ----------
    code : LinearCode
    workers : int
        Worker ``w`` of the code has lane ``w % workers``, but for what is kept apart there.
    skips_equal : bool
        Whether rows are dropped as soon as an equal one arrives.

    Attributes
    ----------
    groups : list of int
        Number of each row among the distinct ones.

    Examples
    --------
    >>> import numpy as np
    >>> code = LinearCode("pair", [[1, 0], [0, 1], [0, 1], [1, 0]], np.ones((1, 2)), worker=[0, 0, 1, 1])
    >>> queue = RowQueue(code, 2, skips_equal=True)
    >>> queue.take([0])
    >>> {worker: list(lane) for worker, lane in queue.lanes.items()}, queue.copies(3)
    ({0: [1], 1: [2, 3]}, 1)
    >>> queue.mark_back([0], arrived=True)
    >>> {worker: list(lane) for worker, lane in queue.lanes.items()}, queue.is_news(3)
    ({0: [1], 1: [2]}, False)
    """

    def __init__(self, code: LinearCode, workers: int, skips_equal: bool = False) -> None:
        self.groups: list[int] = code.groups.tolist()
        self._owner: list[int] = code.on_workers(workers).worker.tolist()
        self._lanes: dict[int, deque[int]] = {}
        for row, worker in enumerate(self._owner):
            self._lanes.setdefault(worker, deque()).append(row)
        self._waiting = set(range(code.rows))
        self.skips_equal = skips_equal
        self._members: dict[int, list[int]] = {}
        for row, group in enumerate(self.groups if skips_equal else ()):
            self._members.setdefault(group, []).append(row)
        self._copies = [0] * code.rows
        self._arrived: set[int] = set()

    @property
    def lanes(self) -> Mapping[int, Sequence[int]]:
        """The rows that wait, by worker; workers that have none are not there."""
        return self._lanes

    def is_waiting(self, row: int) -> bool:
        """Whether nobody has a row and none of its worth arrived."""
        return row in self._waiting

    def copies(self, row: int) -> int:
        """How many workers have a row or an equal one."""
        return self._copies[self.groups[row]]

    def is_news(self, row: int) -> bool:
        """Whether nothing equal to a row has arrived."""
        return self.groups[row] not in self._arrived

    def take(self, rows: Sequence[int]) -> None:
        """Give rows that wait to a worker."""
        for row in rows:
            self._remove(row)
        self.mark_sent(rows)

    def mark_sent(self, rows: Sequence[int]) -> None:
        """Take note that one more worker has these rows."""
        for row in rows:
            self._copies[self.groups[row]] += 1

    def mark_back(self, rows: Sequence[int], arrived: bool) -> None:
        """Take note that one worker less has these rows."""
        for row in rows:
            group = self.groups[row]
            self._copies[group] -= 1
            if arrived and group not in self._arrived:
                self._arrived.add(group)
                for equal in self._members.get(group, ()):
                    if equal in self._waiting:
                        self._remove(equal)

    def forget(self, row: int) -> list[int]:
        """Take note that nothing equal to a row has arrived after all; returns its equals, which may wait again."""
        group = self.groups[row]
        if group not in self._arrived:
            return []
        self._arrived.remove(group)
        return [equal for equal in self._members.get(group, ()) if equal not in self._waiting]

    def mark_found(self, row: int) -> None:
        """Take note that the result of a row is there again."""
        self._arrived.add(self.groups[row])
        if row in self._waiting:
            self._remove(row)

    def append(self, worker: int) -> None:
        """Let a row more wait for this worker, unlike all others, the last of its lane."""
        row = len(self._owner)
        self.groups.append(max(self.groups, default=-1) + 1)
        self._owner.append(worker)
        self._copies.append(0)
        self._waiting.add(row)
        self._lanes.setdefault(worker, deque()).append(row)

    def put_back(self, row: int, worker: int | None = None) -> None:
        """Let a row wait again, at the head of its lane, or of that of another worker, unless it is of no worth now."""
        if row in self._waiting:
            raise KofnError(f"row {row} waits already.")
        if self.skips_equal and not self.is_news(row):
            return
        if worker is not None:
            self._owner[row] = worker
        self._waiting.add(row)
        self._lanes.setdefault(self._owner[row], deque()).appendleft(row)

    def _remove(self, row: int) -> None:
        if row not in self._waiting:
            raise KofnError(f"row {row} does not wait.")
        self._waiting.remove(row)
        lane = self._lanes[self._owner[row]]
        if lane[0] == row:
            lane.popleft()
        else:
            lane.remove(row)
        if not lane:
            del self._lanes[self._owner[row]]
