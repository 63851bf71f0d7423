"""One call at one worker of a local pool, and the values placed there that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from ..._base._pickles import Code
from ..._base._place import Place
from .._future import Promise
from ._results import Arrived
from ._shared_memory import Frame, SharedPickle, unpack

Outcome: TypeAlias = tuple[bool, list[Frame], Arrived | OSError]
"""What a worker sent: whether it is a result, its pickle, and the memory that this refers to."""

_numbers: Iterator[int] = count(1)


@dataclass
class PlacedValue:
    """A value placed at a worker, kept for replay."""

    payload: SharedPickle
    id: int = field(default_factory=lambda: next(_numbers))


class LocalCall(Promise):
    """One call at one worker."""

    def __init__(self, payload: SharedPickle, residents: list[PlacedValue]) -> None:
        super().__init__()
        self.payload = payload
        self.residents = residents
        self.place = Place.here()
        self.number = next(_numbers)

    @property
    def code(self) -> Code:
        """Functions and classes that it takes."""
        return self.payload.code.union(*(resident.payload.code for resident in self.residents))

    def end(self, outcome: Outcome) -> None:
        """End the future with what the worker sent."""
        ok, frames, mapped = outcome

        def load() -> Any:
            if isinstance(mapped, OSError):
                raise mapped
            return unpack(frames, mapped.blocks)

        self.take(ok, load)
