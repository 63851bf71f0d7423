"""What is known of a block, as long as somebody holds it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Known = TypeVar("Known")


class Kept(Generic[Known]):
    """One value for each block and question, forgotten with the block.

    Examples
    --------
    >>> import numpy as np
    >>> kept, block = Kept(), np.ones(3)
    >>> kept.of(block, "sum", block.sum), kept.of(block, "sum", lambda: 0.0), len(kept)
    (np.float64(3.0), np.float64(3.0), 1)
    >>> del block
    >>> len(kept)
    0
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, Hashable], tuple[weakref.ref[Any], Known]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, block: Any, question: Hashable, answer: Callable[[], Known]) -> Known:
        """What is known of a block, found out when it is first asked for."""
        key, known = (id(block), question), self._known
        if key in known and known[key][0]() is block:
            return known[key][1]
        made = answer()
        known[key] = weakref.ref(block, lambda _: known.pop(key, None)), made
        return made
