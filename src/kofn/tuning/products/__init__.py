"""Designing codes: which coefficients are best for given data, workers and deadline."""

from __future__ import annotations

from ._amplification import Amplification
from ._design import Design, design, design_for
from ._objective import Objective
from ._windows import Windows, best_windows

__all__ = ["Amplification", "Design", "Objective", "Windows", "best_windows", "design", "design_for"]
