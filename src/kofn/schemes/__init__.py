"""Builders of schemes, one file an idea. `PRODUCTS` is the visible table of those for matrix products.

`SUMS` is that of codes for sums: ``SUMS[name](m, workers=…, rng=…)`` gives a `kofn.LinearCode` over m terms, from
which `kofn.sum` makes a scheme.

`FUNCTIONS` is that of codes for function values: ``FUNCTIONS[name](f, inputs, workers=…, rng=…)`` gives the
`Evaluations` from which `kofn.map` makes a scheme.
"""

from __future__ import annotations

from collections.abc import Callable

from .._base._extras import loader
from .functions import _copies as function_copies
from .functions._berrut import berrut
from .functions._kriging import kriging
from .functions._lagrange import lagrange
from .functions._letcc import letcc
from .functions._masks import leakage_bits
from .functions._parity import parity
from .functions._scheme import Evaluations
from .products._classes import Classes
from .products._kronecker import kronecker
from .products._matdot import matdot
from .products._mds import mds, mds_chebyshev
from .products._polynomial import polynomial
from .products._repetition import repetition
from .products._uep import ew_uep, now_uep
from .products._uncoded import uncoded
from .sums import _baselines as sum_baselines
from .sums._baselines import bcc, one, rep
from .sums._cyclic import cyclic, hint, ring
from .sums._gradient import gradient
from .sums._lt import lt
from .sums._sum_recovery import sr

PRODUCTS = {
    "uncoded": uncoded,
    "repetition": repetition,
    "mds": mds,
    "mds-chebyshev": mds_chebyshev,
    "polynomial": polynomial,
    "matdot": matdot,
    "kronecker": kronecker,
    "now-uep": now_uep,
    "ew-uep": ew_uep,
}

SUMS = {
    "one": one,
    "uncoded": sum_baselines.uncoded,
    "rep": rep,
    "bcc": bcc,
    "gradient": gradient,
    "lt": lt,
    "sum-recovery": sr,
    "cyclic": cyclic,
    "ring": ring,
    "hint": hint,
}

FUNCTIONS: dict[str, Callable[..., Evaluations]] = {
    "uncoded": function_copies.uncoded,
    "repetition": function_copies.repetition,
    "lagrange": lagrange,
    "berrut": berrut,
    "letcc": letcc,
    "kriging": kriging,
    "parity": parity,
}

__all__ = [
    "FUNCTIONS",
    "PRODUCTS",
    "SUMS",
    "Classes",
    "Evaluations",
    "bcc",
    "berrut",
    "cyclic",
    "ew_uep",
    "gradient",
    "hint",
    "kriging",
    "kronecker",
    "lagrange",
    "leakage_bits",
    "letcc",
    "lt",
    "matdot",
    "mds",
    "mds_chebyshev",
    "now_uep",
    "one",
    "parity",
    "polynomial",
    "rep",
    "repetition",
    "ring",
    "sr",
    "uncoded",
]

__getattr__ = loader(__name__, {"families": ".products.families"})
