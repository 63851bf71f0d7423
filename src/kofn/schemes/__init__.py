"""Schemes: builders, one file an idea, and the kinds of which they are. Here stand the tables of the builders by name.

`PRODUCTS` has the builders for matrix products: ``PRODUCTS[name](A, B, workers=…, rng=…)`` gives a scheme.

`SUMS` has those for sums: ``SUMS[name](m, workers=…, rng=…)`` gives a `kofn.LinearCode` over m terms, from which
`kofn.sum` makes a scheme.

`FUNCTIONS` has those for function values: ``FUNCTIONS[name](f, inputs, workers=…, rng=…)`` gives a scheme.
"""

from __future__ import annotations

from collections.abc import Callable

from .._base._extras import loader
from ._custom import CustomScheme
from ._layout import Layout
from ._scheme import Scheme
from ._task import Task
from .functions import _copies as function_copies
from .functions._berrut import berrut
from .functions._calls import Arguments
from .functions._code import Mixture
from .functions._hedged import HedgedScheme
from .functions._kriging import kriging
from .functions._lagrange import lagrange
from .functions._letcc import letcc
from .functions._masks import leakage_bits
from .functions._model import KnownPrior, PriorModel
from .functions._parity import parity
from .functions._scheme import CallScheme, FunctionScheme
from .products._classes import Classes
from .products._kronecker import kronecker
from .products._matdot import matdot
from .products._mds import mds, mds_chebyshev, mds_dense
from .products._polynomial import polynomial
from .products._repetition import repetition
from .products._scheme import ProductScheme
from .products._uep import ew_uep, now_uep
from .products._uncoded import uncoded
from .products._windows import WindowScheme
from .sums import _baselines as sum_baselines
from .sums._baselines import bcc, one, rep
from .sums._cyclic import cyclic, hint, ring
from .sums._gradient import gradient
from .sums._lt import lt
from .sums._scheme import SumScheme, Terms
from .sums._sum_recovery import sr

__all__ = [
    "FUNCTIONS",
    "PRODUCTS",
    "SUMS",
    "Arguments",
    "CallScheme",
    "Classes",
    "CustomScheme",
    "FunctionScheme",
    "HedgedScheme",
    "KnownPrior",
    "Layout",
    "Mixture",
    "PriorModel",
    "ProductScheme",
    "Scheme",
    "SumScheme",
    "Task",
    "Terms",
    "WindowScheme",
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
    "mds_dense",
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

PRODUCTS = {
    "uncoded": uncoded,
    "repetition": repetition,
    "mds": mds,
    "mds-dense": mds_dense,
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

FUNCTIONS: dict[str, Callable[..., CallScheme]] = {
    "uncoded": function_copies.uncoded,
    "repetition": function_copies.repetition,
    "lagrange": lagrange,
    "berrut": berrut,
    "letcc": letcc,
    "kriging": kriging,
    "parity": parity,
}

MOVED = {
    "Evaluations": "kofn.schemes.FunctionScheme",
    "plain_codes": "kofn.schemes.families",
    "uep_code": "kofn.schemes.families.Windows",
}
"""Where names went that were public once."""

__getattr__ = loader(__name__, {"families": ".products.families"}, MOVED)
