"""The rota: which rows an idle worker is given next. Plain bookkeeping, asked and told by the runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .code import LinearCode


class Rota:
    """The rows of a code that are still to be given out, a lane for each worker in the order of the code.

    Parameters
    ----------
    code : LinearCode
    workers : int
        Lanes; worker ``w`` of the code has lane ``w % workers``.
    adaptive : bool
        Whether a worker passes over rows whose equal has arrived or is under way elsewhere, and repeats one of the
        latter once nothing else is left. It loses nothing, because equal rows say the same; `simulate` knows
        nothing of it.

    Examples
    --------
    >>> code = LinearCode("pair", [[1, 0], [0, 1], [0, 1], [1, 0]], np.ones((1, 2)), worker=[0, 0, 1, 1])
    >>> rota = Rota(code, 2)
    >>> rota.next(0, room=2), rota.next(1, room=1)
    ([0, 1], [2])
    """

    def __init__(self, code: LinearCode, workers: int, adaptive: bool = False) -> None:
        self._lanes: list[deque[int]] = [deque() for _ in range(workers)]
        self._owner: list[int] = (code.worker % workers).tolist()
        for row, worker in enumerate(self._owner):
            self._lanes[worker].append(row)
        groups = code.blocks.block if adaptive and code.blocks is not None else np.arange(code.rows)
        self._group: list[int] = groups.tolist()
        self._adaptive = adaptive
        self._under_way = [0] * code.rows
        self._arrived: set[int] = set()

    @property
    def waiting(self) -> bool:
        """Whether there are rows left to give out."""
        return any(self._lanes)

    def next(self, worker: int, room: int) -> list[int]:
        """The next rows of a worker's own lane, at most ``room``."""
        lane = self._lanes[worker]
        rows: list[int] = []
        while len(rows) < room and (row := self._pick(lane, repeat=not rows)) is not None:
            rows.append(row)
        return rows

    def _pick(self, lane: deque[int], repeat: bool) -> int | None:
        """Take the row of a lane whose turn it is."""
        row = self._turn(lane, repeat)
        if row is not None:
            lane.remove(row)
        return row

    def _turn(self, lane: deque[int], repeat: bool) -> int | None:
        """The first row of a lane; adaptive, whose equals are neither in nor under way, or the one least so."""
        if not self._adaptive:
            return lane[0] if lane else None
        passed: list[int] = []
        chosen = None
        while lane and chosen is None:
            row = lane.popleft()
            if self._under_way[self._group[row]]:
                passed.append(row)
            elif self._group[row] not in self._arrived:
                chosen = row
        passed = [row for row in passed if self._group[row] not in self._arrived]
        if chosen is not None:
            lane.appendleft(chosen)
        elif repeat and passed:
            chosen = min(passed, key=lambda row: self._under_way[self._group[row]])
        lane.extendleft(reversed(passed))
        return chosen

    def from_lanes(self, owners: Iterable[int], free: Callable[[int, int], bool]) -> list[int]:
        """A row from the first of the owners' lanes for which ``free(owner, row whose turn it is)`` holds."""
        for owner in owners:
            lane = self._lanes[owner]
            row = self._turn(lane, repeat=True)
            if row is not None and free(owner, row):
                lane.remove(row)
                return [row]
        return []

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
