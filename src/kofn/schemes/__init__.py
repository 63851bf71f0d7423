"""Builders of schemes, one file an idea. `PRODUCTS` is the visible table of those for matrix products.

`SUMS` is that of codes for sums: ``SUMS[name](m, workers=…, rng=…)`` gives a `kofn.LinearCode` over m terms, from
which `kofn.sum` makes a scheme.

`FUNCTIONS` is that of codes for function values: ``FUNCTIONS[name](f, inputs, workers=…, rng=…)`` gives the
`Evaluations` from which `kofn.map` makes a scheme.
"""

from __future__ import annotations

from collections.abc import Callable

from .._base._extras import loader
from . import function_copies, sum_baselines
from .berrut import berrut
from .classes import Classes
from .cyclic import cyclic, hint, ring
from .function_scheme import Evaluations
from .gradient import gradient
from .kriging import kriging
from .kronecker import kronecker
from .lagrange import lagrange
from .letcc import letcc
from .luby import lt
from .masks import leakage_bits
from .matdot import matdot
from .mds import mds, mds_chebyshev
from .parity import parity
from .polynomial import polynomial
from .repetition import repetition
from .sum_baselines import bcc, one, rep
from .sum_recovery import sr
from .uep import ew_uep, now_uep
from .uep_code import uep_code
from .uncoded import uncoded

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
    "uep_code",
    "uncoded",
]

__getattr__ = loader(__name__, ("plain_codes",))
