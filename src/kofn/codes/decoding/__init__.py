"""From the rows that arrived to the targets: one call, several estimators."""

from ._assess import Decoding
from ._decode import decodable, decode
from ._estimators import ESTIMATORS, Estimator
from ._learning import TermLearner

__all__ = ["ESTIMATORS", "Decoding", "Estimator", "TermLearner", "decodable", "decode"]
