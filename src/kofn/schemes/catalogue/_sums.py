"""Codes for sums of functions."""

from __future__ import annotations

from .. import SUMS
from ._entry import Entry, Family

ENTRIES = (
    Entry(
        "one", "a single worker computes the whole sum",
        "m", "1", "1", "nothing",
    ),
    Entry(
        "uncoded", "every worker its share, all of them needed",
        "m/n", "n", "1", "n|f|",
    ),
    Entry(
        "rep", "fractional repetition: neighbours compute the same share",
        "d·m/n", "none: a copy of each", "1", "(n/d)|f|", ("tandon2017",),
    ),
    Entry(
        "bcc", "batch coupon collector: every worker a share drawn at random",
        "d·m/n", "none: random", "1", "(n/d)|f|", ("li2018",),
    ),
    Entry(
        "gradient", "cyclic gradient code: any n − s workers of n",
        "(s + 1)m/n", "n − s", "10 at s = 2, grows", "2(n − s)|f|", ("tandon2017",),
    ),
    Entry(
        "lt", "LT code with the robust soliton distribution, decoded by peeling",
        "d of the row", "none: about m", "1 (peeling)", "2R|f|", ("luby2002", "mallick2021"),
    ),
    Entry(
        "sum-recovery", "rateless: own source first, then sums of d others",
        "1, then d", "none: about m", "slow", "2R|f|", ("mallick2022",),
    ),
    Entry(
        "cyclic", "rateless blocks from own starts on one ring: nothing is solved",
        "g", "none: cover", "1", "(m/g)|f|", ("kofn",),
    ),
    Entry(
        "ring", "the same with larger blocks: half the messages",
        "g", "none: cover", "1", "(m/g)|f|", ("kofn",),
    ),
    Entry(
        "hint", "the rows of cyclic; in simulations a worker chooses its start when it wakes up",
        "g", "none: cover", "1", "(m/g)|f|", ("kofn",),
    ),
)  # fmt: skip

FAMILY = Family(
    "Sums: kofn.sum(terms, x, code=NAME)",
    "m terms, n workers, d copies or terms of a row, s stragglers, blocks of g terms, R results; |f| numbers of a\n"
    "term. Load: terms evaluated for a row.",
    SUMS,
    ENTRIES,
)
