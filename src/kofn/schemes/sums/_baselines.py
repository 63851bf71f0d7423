"""What sum recovery is compared with (Mallick, Joshi 2022, Sec. II-B): one worker, uncoded, repetition, coupons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base._numbers import Indices
from ...checks import generator, named
from ...codes._linear import LinearCode
from ._code import CALL, bounded_integer, csr, spans, sum_code, team


@named("kofn.schemes.one")
def one(m: int, *, workers: int | None = None, rng: Any = None) -> LinearCode:
    """All-at-One: a single worker computes the whole sum.

    Examples
    --------
    >>> one(4).generator.toarray().tolist(), one(4).load.tolist()
    ([[1.0, 1.0, 1.0, 1.0]], [4.0])
    """
    m, _ = team(m, workers)
    return _parts("one", m, np.zeros(1, np.intp), 1)


@named("kofn.schemes.SUMS['uncoded']")
def uncoded(m: int, *, rows: int | None = None, workers: int | None = None, rng: Any = None) -> LinearCode:
    """Unc: every worker computes its share of the terms, and all of them are needed.

    Parameters
    ----------
    m : int
        Number of terms.
    rows : int, optional
        Shares, dealt round the workers; one a worker by default.
    workers : int, optional
        One per term by default.

    Examples
    --------
    >>> uncoded(4, workers=2).generator.toarray().tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    """
    m, workers = team(m, workers)
    parts = bounded_integer("rows", rows, 1, m, "the number of terms", min(m, workers))
    return _parts("uncoded", m, np.arange(parts), parts, workers, threshold=parts)


@named("kofn.schemes.rep")
def rep(m: int, *, copies: int | None = None, workers: int | None = None, rng: Any = None) -> LinearCode:
    """Rep(d), fractional repetition: ``copies`` neighbouring workers compute the same share of the terms.

    Parameters
    ----------
    m : int
        Number of terms.
    copies : int, optional
        d, two by default; a share is d times as large as without repetition.
    workers : int, optional
        One per term by default.

    References
    ----------
    R. Tandon, Q. Lei, A. G. Dimakis, N. Karampatziakis, "Gradient Coding: Avoiding Stragglers in Distributed
    Learning", ICML 2017; Mallick, Joshi 2022, Sec. II-B 3).

    Examples
    --------
    >>> rep(4, copies=2).generator.toarray().astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    """
    m, workers = team(m, workers)
    copies = bounded_integer("copies", copies, 1, workers, "the number of workers", min(2, workers))
    parts = min(m, workers // copies)
    share = np.arange(workers) // copies % parts
    return _parts("rep", m, share, parts)


@named("kofn.schemes.bcc")
def bcc(m: int, *, copies: int | None = None, workers: int | None = None, rng: Any = None) -> LinearCode:
    """BCC(d), batch coupon collector: each worker computes a share drawn at random among workers/d of them.

    Some share may be drawn by nobody, and then the sum never comes: with 1000 workers and d = 10 in 0.4 % of draws.

    References
    ----------
    S. Li, S. M. Mousavi Kalan, A. S. Avestimehr, M. Soltanolkotabi, "Near-Optimal Straggler Mitigation for
    Distributed Gradient Methods", IPDPSW 2018; Mallick, Joshi 2022, Sec. II-B 4).

    Examples
    --------
    >>> bcc(4, copies=2, rng=0).generator.toarray().astype(int).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]]
    """
    m, workers = team(m, workers)
    copies = bounded_integer("copies", copies, 1, workers, "the number of workers", min(2, workers))
    parts = min(m, workers // copies)
    return _parts("bcc", m, generator(CALL, rng).integers(parts, size=workers), parts)


def _parts(
    name: str, m: int, share: Indices, parts: int, workers: int | None = None, threshold: int | None = None
) -> LinearCode:
    """Rows dealt round the workers, one each by default: the sum of the terms of its share."""
    bounds = spans(m, parts)
    lengths = np.diff(bounds)[share]
    columns = np.concatenate([np.arange(bounds[part], bounds[part + 1]) for part in share])
    return sum_code(
        name, csr(columns, lengths, m), np.arange(len(share)) % (workers or len(share)), m, threshold=threshold
    )
