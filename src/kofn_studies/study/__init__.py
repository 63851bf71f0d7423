"""A study is data: points that are computed by themselves, kept one file each, and put together at the end.

Read in this order: `point`, `store`, `run`.
"""

from __future__ import annotations

from .point import Point, Result, Results
from .run import complete
from .store import Store

__all__ = ["Point", "Result", "Results", "Store", "complete"]
