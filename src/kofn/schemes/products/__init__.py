"""Codes for matrix products, one idea a file."""

from __future__ import annotations

from ._classes import GAMMA
from ._matdot import coefficients_of_pairs
from ._row_column import from_coefficients

__all__ = ["GAMMA", "coefficients_of_pairs", "from_coefficients"]
