"""Codes for matrix products."""

from __future__ import annotations

from .. import PRODUCTS
from ._entry import Entry, Family

ENTRIES = (
    Entry(
        "uncoded", "every block product once, all of them needed",
        "1", "all", "1", "copies A, B",
    ),
    Entry(
        "repetition", "every block product at several workers, the first copy counts",
        "1", "n − (copies − 1)", "1", "copies A, B", ("wang2019",),
    ),
    Entry(
        "mds", "Gaussian combinations of the row blocks of A: any k of n",
        "1", "k", "slow: median < 10", "2n|A| + 2k|C|", ("lee2018",),
    ),
    Entry(
        "mds-chebyshev", "the same with Chebyshev polynomials: deterministic",
        "1", "k", "exponential in a gap", "2n|A| + 2k|C|", ("lee2018", "fahim2021"),
    ),
    Entry(
        "polynomial", "polynomial code on both factors, in a Chebyshev basis: any N·P of n",
        "1", "N·P", "exponential in a gap", "2n(|A| + |B|) + 2NP|C|", ("yu2017", "fahim2021"),
    ),
    Entry(
        "matdot", "cuts the inner dimension: any 2M − 1 of n, results as large as C",
        "1", "2M − 1", "exponential in a gap", "2n(|A| + |B|) + 2(2M−1)|C|", ("dutta2020", "fahim2021"),
    ),
    Entry(
        "kronecker", "Gaussian on both factors, shaped by energy: any N·P of n, best before that",
        "1", "N·P", "about 10, ≤ 32² more", "2n(|A| + |B|) + 2NP|C|", ("kofn", "tegin2022"),
    ),
    Entry(
        "now-uep", "random windows over classes of importance, each class by itself",
        "1; window: its blocks", "none: random", "as mds, by class", "2n(|A| + |B|) + 2NP|C|",
        ("tegin2022", "vukobratovic2012"),
    ),
    Entry(
        "ew-uep", "the same with windows that grow: the most important class is in every row",
        "1; window: its blocks", "none: random", "as mds", "2n(|A| + |B|) + 2NP|C|",
        ("tegin2022", "vukobratovic2012"),
    ),
)  # fmt: skip

FAMILY = Family(
    "Products: kofn.matmul(A, B, code=NAME)",
    "n coded rows; N × P blocks of the product; k, M blocks; |A| elements of A; C = A B. Load: work of a row in\n"
    "uncoded tasks.",
    PRODUCTS,
    ENTRIES,
)
