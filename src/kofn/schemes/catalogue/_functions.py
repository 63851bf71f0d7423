"""Codes for values of a function."""

from __future__ import annotations

from .. import FUNCTIONS
from ._entry import Entry, Family

ENTRIES = (
    Entry(
        "uncoded", "every input at one worker, all of them needed",
        "1", "K", "1", "nothing",
    ),
    Entry(
        "repetition", "every input at several workers, the first copy counts",
        "1", "n − copies + 1", "1", "nothing", ("wang2019",),
    ),
    Entry(
        "lagrange", "along the polynomial through the inputs; f a polynomial of degree d",
        "1", "(K − 1)d + 1", "100 at n = R + 4, grows", "2Kn|X| + 2KR|f|", ("yu2019",),
    ),
    Entry(
        "berrut", "along Berrut's curve through the inputs, decoded by his formula; any f",
        "1", "none: an estimate", "below 2 + log R, few missing", "2Kn|X| + 2KR|f|", ("jahani2023",),
    ),
    Entry(
        "letcc", "along a spline through the inputs, decoded by a smoothing spline; any f",
        "1", "none: an estimate", "about 1", "2Kn|X| + 2KR|f|", ("moradi2024",),
    ),
    Entry(
        "kriging", "along Berrut's curve, decoded by what results say of f at known mixtures; any f",
        "1", "none: an estimate", "about 1", "2Kn|X| + 2KR|f|", ("kofn",),
    ),
    Entry(
        "parity", "inputs as they are, and mixtures to functions made for them",
        "1", "none: an estimate", "√(K² + K − 1) for one", "2K(n − K)|X| + 2K|f|", ("kosaian2019",),
    ),
)  # fmt: skip

FAMILY = Family(
    "Function values: kofn.map(f, inputs, code=NAME)",
    "K inputs, n rows, R results; |X|, |f| numbers of an input and of an output. Load: evaluations of f for a row.\n"
    "Learned codes of kofn.tuning.learned are no names here; `kofn cite aicc` says whom to cite for them.",
    FUNCTIONS,
    ENTRIES,
)
