"""From the rows that arrived to the targets: one call, several estimators."""

from __future__ import annotations

from ..._base._extras import loader
from ._assess import Decoding
from ._decode import decodable, decode
from ._estimators import ESTIMATORS, Estimator
from ._learning import TermLearner
from ._peeling import solve_by_peeling
from ._syndromes import Location, locate

__all__ = [
    "ESTIMATORS",
    "Decoding",
    "Estimator",
    "Location",
    "TermLearner",
    "decodable",
    "decode",
    "locate",
    "scaled_conjugate_gradients",
    "solve_by_peeling",
]

__getattr__ = loader(__name__, {"scaled_conjugate_gradients": "._sparse:scaled_conjugate_gradients"})
