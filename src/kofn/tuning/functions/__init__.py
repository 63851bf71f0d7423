"""`kofn.fit`: which code suits a function and its inputs, with its measured error, or none.

Reading order: `fit` → `families` → `trials` → `best_linear`.
"""

from __future__ import annotations

from ._fit import fit
from ._fitted import Fitted
from ._report import FitReport, Trial

__all__ = ["FitReport", "Fitted", "Trial", "fit"]
