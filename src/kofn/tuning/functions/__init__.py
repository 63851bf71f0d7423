"""`kofn.fit`: which code suits a function and its inputs, with its measured error, or none.

Reading order: `fit` → `families` → `trials` → `best_linear`.
"""

from __future__ import annotations

from ._best_linear import Joint
from ._families import Candidate
from ._fit import fit
from ._fitted import Fitted
from ._parities import learn_parities
from ._report import FamilyTrial, FitReport
from ._samples import Draws
from ._trials import Decoder, FamilyResults, evaluate_rows, identity

__all__ = [
    "Candidate",
    "Decoder",
    "Draws",
    "FamilyResults",
    "FamilyTrial",
    "FitReport",
    "Fitted",
    "Joint",
    "evaluate_rows",
    "fit",
    "identity",
    "learn_parities",
]
