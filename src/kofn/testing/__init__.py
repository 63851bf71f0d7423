"""Batteries of checks for codes and engines of one's own."""

from __future__ import annotations

from ._engines import ENGINE_CHECKS, check_engine
from ._reference_checks import REFERENCE_CHECKS
from ._references import check_references
from ._schemes import check_scheme, decode_rows, results_of, unknowns_of

__all__ = [
    "ENGINE_CHECKS", "REFERENCE_CHECKS", "check_engine", "check_references", "check_scheme", "decode_rows",
    "results_of", "unknowns_of",
]  # fmt: skip
