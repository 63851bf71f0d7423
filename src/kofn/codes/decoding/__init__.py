"""From the rows that arrived to the targets: one call, several estimators."""

from ._assess import Decoding
from ._decode import decodable, decode
from ._estimators import ESTIMATORS, Estimator

__all__ = ["ESTIMATORS", "Decoding", "Estimator", "decodable", "decode"]
