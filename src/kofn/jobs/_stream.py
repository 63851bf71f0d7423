"""Tasks that do not fit into memory together: a few at a time, as they are asked for."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from typing import overload
from weakref import WeakValueDictionary

from .._base._numbers import Array
from ..schemes._encoding import Encoding, Key
from ..schemes._task import Allocate, Task


class TaskStream(Sequence[Task]):
    """Tasks that are encoded when they are asked for, as many ahead as a limit has room for.

    Every time something is encoded, the sources that it is made of are read once. A block stays in memory as long
    as a task that was given out is held by whoever asked for it, and after that until the room is needed; of
    those that can go, the one goes that is needed last.

    Parameters
    ----------
    encoding : Encoding
    allocate : callable
    limit_bytes : int
        Largest size of all blocks in memory. More is taken only if the tasks that are held leave no choice.
    """

    def __init__(self, encoding: Encoding, allocate: Allocate, limit_bytes: int) -> None:
        encoding.require_unchanged()
        self._encoding = encoding
        self._allocate = allocate
        self._limit = limit_bytes
        self._ahead: dict[Key, Array] = {}
        self._alive: WeakValueDictionary[Key, Array] = WeakValueDictionary()
        self._asked: set[int] = set()

    def __len__(self) -> int:
        return len(self._encoding.needs)

    @overload
    def __getitem__(self, row: int) -> Task: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Task]: ...
    def __getitem__(self, row: int | slice) -> Task | Sequence[Task]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        self._asked.add(row)
        keys = self._encoding.needs[row]
        held = {key: self._alive[key] for key in keys if key in self._alive}
        if len(held) < len(keys):
            held |= self._encoded(row)
        return self._encoding.kernel([row], [[held[key] for key in keys]])[0]

    def _encoded(self, row: int) -> dict[Key, Array]:
        """Encode what a task lacks, and with it what others will lack."""
        lacking = [key for key in self._encoding.needs[row] if key not in self._alive]
        self._make_room(self._size(lacking), set(self._encoding.needs[row]))
        room = self._limit - self._size(self._alive) - self._size(lacking)
        for keys in self._to_come():
            more = [key for key in keys if key not in self._alive and key not in lacking]
            room -= self._size(more)
            if room < 0:
                break
            lacking += more
        for number, factor in enumerate(self._encoding.factors):
            numbers = [key[1] for key in lacking if key[0] == number]
            for i, block in zip(numbers, factor.some(numbers, self._allocate) if numbers else [], strict=True):
                self._ahead[number, i] = self._alive[number, i] = block
        return {key: self._alive[key] for key in self._encoding.needs[row]}

    def _make_room(self, wanted: int, kept: set[Key]) -> None:
        """Let go of what no task to come needs, then of what is needed last, until there is room for so many bytes."""
        needed: dict[Key, int] = {}
        for when, keys in enumerate(self._to_come()):
            for key in keys:
                needed.setdefault(key, when)
        for key in sorted(self._ahead.keys() - kept, key=lambda key: -needed.get(key, len(self))):
            if key in needed and self._size(self._alive) + wanted <= self._limit:
                return
            del self._ahead[key]
        if self._size(self._alive) + wanted > self._limit:
            gc.collect()  # an engine may hold what has ended in a cycle

    def _to_come(self) -> Iterable[Sequence[Key]]:
        return (keys for row, keys in enumerate(self._encoding.needs) if row not in self._asked)

    def _size(self, keys: Iterable[Key]) -> int:
        return sum(self._encoding.factors[key[0]].block_bytes for key in keys)
