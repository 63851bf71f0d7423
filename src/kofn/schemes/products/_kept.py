"""What is known of a block, as long as somebody holds it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Known = TypeVar("Known")


class Kept(Generic[Known]):
    """One value for each block, or each pair of blocks, and question; forgotten with the block, or either of the two.

    Examples
    --------
    >>> import numpy as np
    >>> kept, block = Kept(), np.ones(3)
    >>> kept.of("sum", block.sum, block), kept.of("sum", lambda: 0.0, block), len(kept)
    (np.float64(3.0), np.float64(3.0), 1)
    >>> kept.of("dot", lambda: block @ block[:3], block, other := np.ones(3)), len(kept)
    (np.float64(3.0), 2)
    >>> del block
    >>> len(kept)
    0
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, ...], tuple[tuple[weakref.ref[Any], ...], Known]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, question: Hashable, answer: Callable[[], Known], *blocks: Any) -> Known:
        """What is known of blocks, found out when it is first asked for."""
        key, known = (question, *map(id, blocks)), self._known
        found = known.get(key)
        if found is not None and all(ref() is block for ref, block in zip(found[0], blocks, strict=True)):
            return found[1]
        made = answer()
        known[key] = tuple(weakref.ref(block, lambda _: known.pop(key, None)) for block in blocks), made
        return made
