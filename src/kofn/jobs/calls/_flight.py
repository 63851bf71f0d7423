"""Calls that are at a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Flight(NamedTuple):
    """A message that a worker has."""

    worker: int
    numbers: Sequence[int]
    sent: float
