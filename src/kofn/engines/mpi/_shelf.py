"""The values that lie at a rank: placed by the client, kept of tasks, and copied from other ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._pickling import Buffer
from ..local._shared_memory import SegmentStore
from ._held import HeldValue
from ._message import Message
from ._post import Post

CLIENT = 0
"""The rank whose program goes on."""


class Shelf:
    """What a rank holds, by numbers that the client gives.

    Parameters
    ----------
    post : Post
    store : SegmentStore
        Where large buffers lie.
    """

    def __init__(self, post: Post, store: SegmentStore) -> None:
        self._post, self._store = post, store
        self.held: dict[int, HeldValue] = {}
        self.awaited: dict[int, int] = {}
        self._orders: dict[str, Callable[..., None]] = {
            "put": self.put, "forget": self.forget, "copy": self._copy, "ship": self._ship, "await": self._await,
            "value": self._arrive, "fetch": self._fetch,
        }  # fmt: skip

    def obey(self, message: Message) -> bool:
        """Do what is said, if it is about values; tell whether it is."""
        kind, *rest = message.head
        order = self._orders.get(kind)
        if order is None:
            return False
        order(*rest, *([message.buffers] if kind in ("put", "value") else []))
        return True

    def put(self, identity: int, stream: bytes, buffers: Sequence[Buffer]) -> None:
        """Hold a value."""
        self.held[identity] = HeldValue(self._store, stream, buffers)

    def forget(self, identities: Sequence[int]) -> None:
        """Hold some values no longer, nor when they come."""
        for identity in identities:
            self.held.pop(identity, None)
            self.awaited.pop(identity, None)

    def lose(self, source: int) -> None:
        """Nothing comes any more from a rank that is gone."""
        for identity, awaited in list(self.awaited.items()):
            if awaited == source:
                self._arrive(identity, None, [])

    # -- from rank to rank ----------------------------------------------------------------------------

    def _await(self, identity: int, source: int) -> None:
        """Be ready for a value from another rank."""
        self.awaited[identity] = source
        self._post.listen(source)
        if source in self._post.lost:
            self.lose(source)

    def _ship(self, identity: int, rank: int, copy: int) -> None:
        """Send a value to another rank, which awaits it as ``copy``."""
        held = self.held.get(identity)
        self._post.send(rank, ("value", copy, held and held.stream), held.buffers if held else [])

    def _arrive(self, identity: int, stream: bytes | None, buffers: Sequence[Buffer]) -> None:
        """Hold what comes from another rank, and tell the client."""
        if identity in self.awaited:
            if stream is not None:
                self.put(identity, stream, buffers)
            del self.awaited[identity]  # from here on, a task takes it
        self._tell_there(identity)

    def _copy(self, identity: int, copy: int) -> None:
        """Hold a value of this rank once more."""
        held = self.held.get(identity)
        if held is not None:
            self.put(copy, held.stream, held.buffers)
        self._tell_there(copy)

    def _tell_there(self, identity: int) -> None:
        held = self.held.get(identity)
        self._post.send(CLIENT, ("answer", identity, held is not None, held.size if held else 0))

    def _fetch(self, identity: int, ticket: int) -> None:
        """Send a value to the client."""
        held = self.held.get(identity)
        self._post.send(
            CLIENT, ("answer", ticket, held is not None, held and held.stream), held.buffers if held else []
        )


def spec_of(value: Any) -> tuple[Any, ...] | None:
    """Shape and type of an array, as they travel; None of anything else.

    Examples
    --------
    >>> spec_of(np.zeros((2, 3))), spec_of(3.0)
    (((2, 3), dtype('float64')), None)
    """
    return (value.shape, value.dtype) if isinstance(value, np.ndarray) else None
