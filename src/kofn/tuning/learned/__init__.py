"""Learned codes for functions of matrices (Agrawal et al. 2022), and the closed forms that a network may start from."""

from __future__ import annotations

from ..._base._extras import loader
from ._code import LearnedCode, Nodes
from ._computation import Computation, Term
from ._encoder import Encoder, Linear, encode, powers
from ._features import width
from ._prior import estimate_prior
from ._saving import encoder_kinds, load_code, save_code
from ._selection import Samples, select
from ._structured import structured_code

__all__ = [
    "Computation",
    "Encoder",
    "LearnedCode",
    "Linear",
    "Nodes",
    "Samples",
    "Term",
    "encode",
    "encoder_kinds",
    "estimate_prior",
    "load_code",
    "powers",
    "save_code",
    "select",
    "structured_code",
    "width",
]

__getattr__ = loader(__name__, {}, {"Costs": "kofn_studies.aicc.costs.Costs"})
