"""The mathematics: (G, T), priors, decoding. Nothing here knows a task."""

from ._bases import chebyshev_nodes, chebyshev_rows, gaussian_frame, row_kronecker
from ._certify import Certificate, certify
from ._linear import LinearCode
from ._prior import Prior
from ._rows import FixedRows, RatelessRows, RowSource
from .decoding import Decoding, Location, decodable, decode, locate

__all__ = [
    "Certificate",
    "Decoding",
    "FixedRows",
    "LinearCode",
    "Location",
    "Prior",
    "RatelessRows",
    "RowSource",
    "certify",
    "chebyshev_nodes",
    "chebyshev_rows",
    "decodable",
    "decode",
    "gaussian_frame",
    "locate",
    "row_kronecker",
]
