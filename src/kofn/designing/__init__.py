"""Designing codes: which coefficients are best for given data, workers and deadline."""

from __future__ import annotations

from .amplification import Amplification
from .design import Design, design, design_for
from .objective import Objective
from .windows import Windows, best_windows

__all__ = ["Amplification", "Design", "Objective", "Windows", "best_windows", "design", "design_for"]
