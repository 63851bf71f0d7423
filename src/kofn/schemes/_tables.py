"""The codes by name.

`PRODUCTS` has the builders for matrix products: ``PRODUCTS[name](A, B, workers=…, rng=…)`` gives a scheme.

`SUMS` has those for sums: ``SUMS[name](m, workers=…, rng=…)`` gives a `kofn.LinearCode` over m terms, from which
`kofn.sum` makes a scheme.

`FUNCTIONS` has those for function values: ``FUNCTIONS[name](f, inputs, workers=…, rng=…)`` gives a scheme.
"""

from __future__ import annotations

from collections.abc import Callable

from .functions import _copies as function_copies
from .functions._berrut import berrut
from .functions._kriging import kriging
from .functions._lagrange import lagrange
from .functions._letcc import letcc
from .functions._parity import parity
from .functions._scheme import CallScheme
from .products._kronecker import kronecker
from .products._matdot import matdot
from .products._mds import mds, mds_chebyshev, mds_dense
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
