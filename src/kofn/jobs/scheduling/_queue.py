"""The rota: which rows an idle worker is given next. Plain bookkeeping, asked and told by the runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from ...codes._linear import LinearCode

Free = Callable[[int, int], bool]
"""``free(owner, row)``: whether the row may be taken from its owner's lane."""


class Rota:
    """The rows of a code that are still to be given out, a lane for each worker in the order of the code.

    Equal rows say the same. A code that is folded onto fewer workers keeps them apart (`LinearCode.on_workers`), no
    message has two of them, and what idle workers take over or repeat is first of all what has no equal that arrived.

    Parameters
    ----------
    code : LinearCode
    workers : int
        Lanes; worker ``w`` of the code has lane ``w % workers``, but for what is kept apart there.
    adaptive : bool
        Whether a worker passes over rows whose equal has arrived or is under way elsewhere, and repeats one of the
        latter once nothing else is left. It loses nothing; `simulate` knows nothing of it.

    Examples
    --------
    >>> import numpy as np
    >>> code = LinearCode("pair", [[1, 0], [0, 1], [0, 1], [1, 0]], np.ones((1, 2)), worker=[0, 0, 1, 1])
    >>> rota = Rota(code, 2)
    >>> rota.next(0, room=2), rota.next(1, room=1)
    ([0, 1], [2])
    """

    def __init__(self, code: LinearCode, workers: int, adaptive: bool = False) -> None:
        self._lanes: list[deque[int]] = [deque() for _ in range(workers)]
        self._owner: list[int] = code.on_workers(workers).worker.tolist()
        for row, worker in enumerate(self._owner):
            self._lanes[worker].append(row)
        self._group: list[int] = code.groups.tolist()
        self._adaptive = adaptive
        self._under_way = [0] * code.rows
        self._arrived: set[int] = set()

    @property
    def waiting(self) -> bool:
        """Whether there are rows left to give out."""
        return any(self._lanes)

    def next(self, worker: int, room: int) -> list[int]:
        """The next rows of a worker's own lane, at most ``room`` and no two of them equal."""
        lane = self._lanes[worker]
        rows: list[int] = []
        passed: list[int] = []
        taken: set[int] = set()
        while lane and len(rows) < room:
            row = lane.popleft()
            group = self._group[row]
            if group in taken or (self._adaptive and self._under_way[group]):
                passed.append(row)
            elif not (self._adaptive and group in self._arrived):
                rows.append(row)
                taken.add(group)
        lane.extendleft(reversed(passed))
        return rows

    def from_lanes(self, owners: Iterable[int], free: Free) -> list[int]:
        """A row from the first of the owners' lanes for which ``free`` holds, best one that says something new."""
        stale = None
        for owner in owners:
            row = self._fresh(owner)
            if row is not None and free(owner, row):
                return self._taken(owner, row)
            lane = self._lanes[owner]
            if stale is None and row is None and not self._adaptive and lane and free(owner, lane[0]):
                stale = owner, lane[0]
        return [] if stale is None else self._taken(*stale)

    def repeated(self, owners: Iterable[int], free: Free) -> list[int]:
        """Adaptive: a row of these lanes whose equal is under way, the one that is so least."""
        best: tuple[int, int, int] | None = None
        for owner in owners if self._adaptive else ():
            self._drop_arrived(owner)
            for row in self._lanes[owner]:
                times = self._under_way[self._group[row]]
                if (best is None or times < best[0]) and free(owner, row):
                    best = times, owner, row
        return [] if best is None else self._taken(*best[1:])

    def backup(self, under_way: Iterable[int]) -> list[int]:
        """The first of the rows under way whose result is nowhere else and of which nothing equal has arrived."""
        for row in under_way:
            if self._under_way[self._group[row]] == 1 and self._group[row] not in self._arrived:
                return [row]
        return []

    def _fresh(self, owner: int) -> int | None:
        """The first row of a lane of which nothing equal has arrived; adaptive, nor is under way."""
        for row in self._lanes[owner]:
            group = self._group[row]
            if group not in self._arrived and not (self._adaptive and self._under_way[group]):
                return row
        if self._adaptive:
            self._drop_arrived(owner)
        return None

    def _drop_arrived(self, owner: int) -> None:
        lane = self._lanes[owner]
        if any(self._group[row] in self._arrived for row in lane):
            self._lanes[owner] = deque(row for row in lane if self._group[row] not in self._arrived)

    def _taken(self, owner: int, row: int) -> list[int]:
        self._lanes[owner].remove(row)
        return [row]

    def sent(self, rows: Sequence[int]) -> None:
        """Take note that rows are under way."""
        for row in rows:
            self._under_way[self._group[row]] += 1

    def came_back(self, rows: Sequence[int], arrived: bool) -> None:
        """Take note that rows are no longer under way."""
        for row in rows:
            self._under_way[self._group[row]] -= 1
            if arrived:
                self._arrived.add(self._group[row])

    def returned(self, row: int) -> None:
        """Put a row back to the head of its lane."""
        self._lanes[self._owner[row]].appendleft(row)
