"""Decoding probabilities and expected losses of codes with unequal error protection (Tegin et al. 2022, Sec. V).

L classes of k_1, …, k_L products, the most important first; every result belongs to window l with probability
Γ_l. Coefficients are generic (real and continuous, or from a large field), so that what is decodable depends
only on how many results n_l each window has.

NOW: a result of window l combines the products of class l, so class l is decoded iff n_l ≥ k_l.

EW: a result of window l combines classes 1 … l. A system of generic rows has full column rank iff its columns
can be matched to rows (Hall). Columns of class i are met by windows i and above, so windows 1 … j give
classes 1 … j iff n_i + … + n_j ≥ k_i + … + k_j for every i ≤ j. With the deficit
d_j = max(0, d_{j−1} + k_j − n_j) that is d_j = 0. Rows of wider windows are of no use before the classes that
they add are decoded too, so class l is decoded iff d_j = 0 for some j ≥ l. This is what the paper's reference
[16], eqs. (6)–(9), enumerates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtrc
from scipy.stats import binom

from ..._base._numbers import Floats
from ...checks import choice, integer, probabilities, refusal

KINDS = ("now", "ew")
CALL = "kofn.simulation.theory.decoding_probabilities"


def decoding_probabilities(kind: str, sizes: ArrayLike, gamma: ArrayLike, results: int) -> Floats:
    """P_{d,l}(w), the probability that class l is decoded from w results, eqs. (14) and (15).

    Parameters
    ----------
    kind : {"now", "ew"}
        Non-overlapping or expanding windows.
    sizes : (L,) ints
        Products in each class, k_l.
    gamma : (L,) floats
        Window selection probabilities Γ_l.
    results : int
        Largest number of results W.

    Returns
    -------
    (results + 1, L) array
        Row ``w``: after ``w`` results. Cost O(L²·W·(W + K²)) for EW with K = Σ k_l.

    Examples
    --------
    >>> decoding_probabilities("now", [1, 1], [0.75, 0.25], 2)
    array([[0.    , 0.    ],
           [0.75  , 0.25  ],
           [0.9375, 0.4375]])
    >>> decoding_probabilities("ew", [1, 1], [0.75, 0.25], 2)
    array([[0.    , 0.    ],
           [0.75  , 0.    ],
           [1.    , 0.4375]])
    """
    choice(CALL, "kind", kind, KINDS, "NOW: non-overlapping windows, EW: expanding windows")
    counts, chances = _check(sizes, gamma)
    most = integer(CALL, "results", results, 0, "give the number of workers")
    if kind == "now":
        w = np.arange(most + 1)[:, None]
        # P(Binomial(w, Γ) ≥ k): the multinomial sum of eq. (14) has binomial margins.
        enough = bdtrc(np.minimum(counts - 1, w), w, chances[None, :])
        return np.where(counts == 0, 1.0, np.where(w >= counts, enough, 0.0))
    return _decode_expanding(counts, chances, most)


def _check(sizes: ArrayLike, gamma: ArrayLike) -> tuple[Any, Floats]:
    counts, chances = np.asarray(sizes), probabilities(CALL, "gamma", gamma)
    if counts.ndim != 1 or counts.size == 0 or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise refusal(CALL, "sizes", "hold an int >= 0 for each class", repr(sizes), "write (3, 3, 3), for example")
    if chances.shape != counts.shape:
        must = f"hold one probability for each of the {len(counts)} classes"
        raise refusal(CALL, "gamma", must, repr(gamma), "write (0.40, 0.35, 0.25), for example")
    return counts, chances


def _decode_expanding(sizes: Any, gamma: Floats, results: int) -> Floats:
    """Backward recursion over windows: values[r, d] with r results left for this window and wider ones.

    At window i, ``solved`` is the chance that d_j = 0 for some j ≥ i, given r and the deficit d before i.
    The classes before l only move the deficit, so P_{d,l} is ``solved`` at l pulled back through them.
    """
    deficits = np.concatenate([[0], np.cumsum(sizes)])
    rest = np.cumsum(gamma[::-1])[::-1]
    shares = np.clip(np.divide(gamma, rest, out=np.zeros_like(gamma), where=rest > 0), 0.0, 1.0)
    shares[-1] = 1.0  # every result that is left belongs to the widest window
    n = np.arange(results + 1)
    chance = [binom.pmf(n[None, :], n[:, None], share) for share in shares]
    probabilities = np.zeros((results + 1, len(sizes)))
    solved = np.zeros((results + 1, deficits[-1] + 1))
    for last in reversed(range(len(sizes))):
        solved = _pull_back(chance[last], np.ones(results + 1), solved, sizes[last], deficits[last])
        value = solved
        for window in reversed(range(last)):
            value = _pull_back(chance[window], value[:, 0], value, sizes[window], deficits[window])
        probabilities[:, last] = value[:, 0]
    return np.clip(probabilities, 0.0, 1.0)


def _pull_back(chance: Floats, done: Floats, value: Floats, size: int, most: int) -> Floats:
    """Expected value before a window: ``done[r − n]`` if n ≥ size + d, else ``value[r − n, size + d − n]``.

    Parameters
    ----------
    chance : (R + 1, R + 1) array
        P(this window has n of the r results that are left), by r and n.
    done : (R + 1,) array
    value : (R + 1, > most + size) array
    most : int
        Largest deficit that can come in.

    Returns
    -------
    (R + 1, most + 1) array
    """
    r = np.arange(len(chance))
    left = np.maximum(r[:, None] - r[None, :], 0)
    enough = np.cumsum((chance * done[left])[:, ::-1], axis=1)[:, ::-1]  # Σ over n ≥ column
    enough = np.concatenate([enough, np.zeros((len(r), 1))], axis=1)
    before = enough[:, np.minimum(size + np.arange(most + 1), len(r))]
    for n in range(min(size + most, len(r))):
        d = np.arange(max(0, n + 1 - size), most + 1)
        before[n:, d] += chance[n:, n, None] * value[: len(r) - n, size + d - n]
    return before
