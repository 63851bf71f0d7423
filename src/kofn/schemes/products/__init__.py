"""Codes for matrix products, one idea a file."""

from __future__ import annotations

from ._classes import GAMMA
from ._matdot import coefficients_of_pairs

__all__ = ["GAMMA", "coefficients_of_pairs"]
