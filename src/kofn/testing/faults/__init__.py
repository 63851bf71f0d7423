"""Workers that are wrong, to test with: each fault is data, and `Corrupting` makes a pool of them."""

from __future__ import annotations

from ._corrupting import Corrupting
from ._faults import BitFlip, Colluding, Constant, Fault, NotANumber, Scaled, Stale, Swapped, Tile, Truncated

__all__ = [
    "BitFlip",
    "Colluding",
    "Constant",
    "Corrupting",
    "Fault",
    "NotANumber",
    "Scaled",
    "Stale",
    "Swapped",
    "Tile",
    "Truncated",
]
