"""Schemes: builders, one file an idea, and the kinds of which they are. Here stand the tables of the builders by name.

`PRODUCTS` has the builders for matrix products: ``PRODUCTS[name](A, B, workers=…, rng=…)`` gives a scheme.

`SUMS` has those for sums: ``SUMS[name](m, workers=…, rng=…)`` gives a `kofn.LinearCode` over m terms, from which
`kofn.sum` makes a scheme.

`FUNCTIONS` has those for function values: ``FUNCTIONS[name](f, inputs, workers=…, rng=…)`` gives a scheme.
"""

from __future__ import annotations

from collections.abc import Callable

from .._base._extras import loader
from ._custom import CustomScheme as CustomScheme
from ._layout import Layout as Layout
from ._scheme import Scheme as Scheme
from ._task import Task as Task
from .functions import _copies as function_copies
from .functions._berrut import berrut as berrut
from .functions._calls import Arguments as Arguments
from .functions._code import Mixture as Mixture
from .functions._hedged import HedgedScheme as HedgedScheme
from .functions._kriging import kriging as kriging
from .functions._lagrange import lagrange as lagrange
from .functions._letcc import letcc as letcc
from .functions._masks import leakage_bits as leakage_bits
from .functions._model import KnownPrior as KnownPrior
from .functions._model import PriorModel as PriorModel
from .functions._parity import parity as parity
from .functions._scheme import CallScheme as CallScheme
from .functions._scheme import FunctionScheme as FunctionScheme
from .products._classes import Classes as Classes
from .products._entangled import entangled as entangled
from .products._kronecker import kronecker as kronecker
from .products._low_weight import low_weight as low_weight
from .products._matdot import matdot as matdot
from .products._matdot_approximate import matdot_approximate as matdot_approximate
from .products._mds import mds as mds
from .products._mds import mds_chebyshev as mds_chebyshev
from .products._mds import mds_dense as mds_dense
from .products._polynomial import polynomial as polynomial
from .products._repetition import repetition as repetition
from .products._scheme import ProductScheme as ProductScheme
from .products._uep import ew_uep as ew_uep
from .products._uep import now_uep as now_uep
from .products._uncoded import uncoded as uncoded
from .products._windows import WindowScheme as WindowScheme
from .sums import _baselines as sum_baselines
from .sums._baselines import bcc as bcc
from .sums._baselines import one as one
from .sums._baselines import rep as rep
from .sums._cyclic import cyclic as cyclic
from .sums._cyclic import hint as hint
from .sums._cyclic import ring as ring
from .sums._gradient import gradient as gradient
from .sums._lt import lt as lt
from .sums._scheme import SumScheme as SumScheme
from .sums._sum_recovery import sr as sr
from .sums._terms import Terms as Terms

PRODUCTS = {
    "uncoded": uncoded,
    "repetition": repetition,
    "mds": mds,
    "mds-dense": mds_dense,
    "mds-chebyshev": mds_chebyshev,
    "mds-low-weight": low_weight,
    "polynomial": polynomial,
    "entangled-polynomial": entangled,
    "matdot": matdot,
    "matdot-approximate": matdot_approximate,
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
