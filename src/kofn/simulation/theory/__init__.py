"""Closed forms: what the papers prove, exact and fast, for any sizes. Simulations are tested against them."""

from __future__ import annotations

from ..._base._extras import loader
from ._losses import (
    at_times,
    count_probabilities,
    load_balancing_times,
    oracle_loss,
    repetition_loss,
    theorem_2_bound,
    zero_fill_loss,
)
from ._uep import KINDS, decoding_probabilities

__all__ = [
    "KINDS",
    "at_times",
    "count_probabilities",
    "decoding_probabilities",
    "load_balancing_times",
    "oracle_loss",
    "repetition_loss",
    "theorem_2_bound",
    "zero_fill_loss",
]

__getattr__ = loader(__name__, {}, {"losses": __name__, "uep": __name__})
