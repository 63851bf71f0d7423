"""Batteries of checks for codes and engines of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._base._extras import loader
from ._engines import ENGINE_CHECKS, check_engine
from ._reference_checks import REFERENCE_CHECKS
from ._references import check_references
from ._schemes import check_scheme, decode_rows, results_of, unknowns_of

if TYPE_CHECKING:
    from ._stateful import EngineMachine

__all__ = [
    "ENGINE_CHECKS",
    "REFERENCE_CHECKS",
    "EngineMachine",
    "check_engine",
    "check_references",
    "check_scheme",
    "decode_rows",
    "results_of",
    "unknowns_of",
]  # fmt: skip

__getattr__ = loader(__name__, {"EngineMachine": "._stateful:EngineMachine"})
"""What needs Hypothesis is loaded when it is first used."""
