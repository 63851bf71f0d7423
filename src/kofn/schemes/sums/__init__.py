"""Codes for sums, one idea a file."""

from __future__ import annotations

from ._code import spans
from ._cyclic import starts_of, usual_blocks

__all__ = ["spans", "starts_of", "usual_blocks"]
