"""Codes for function values, one idea a file."""

from __future__ import annotations

from ._parity import parity_weights

__all__ = ["parity_weights"]
