"""`kofn.fit`: which code suits a function and its inputs, with its measured error, or none.

Reading order: `fit` → `families` → `trials` → `best_linear`.
"""

from __future__ import annotations

from .fit import fit
from .fitted import Fitted
from .report import FitReport, Trial

__all__ = ["FitReport", "Fitted", "Trial", "fit"]
