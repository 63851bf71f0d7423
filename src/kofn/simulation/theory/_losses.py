"""Expected losses from decoding probabilities, by count and by time, and bounds that no code gets below.

Losses are normalised: E‖C − Ĉ‖² / E‖C‖², for unknown parts of the product that are uncorrelated (Tegin et al. 2022,
Assumption 1: independent entries of mean zero). ``energies`` are then all that a loss depends on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from ..._base._numbers import Floats
from ...checks import generator, integer, number, refusal
from .._latency import Latency, check_latency

CALL = "kofn.simulation.theory"


def zero_fill_loss(probabilities: Floats, energies: ArrayLike) -> Floats:
    """Theorem 1, eq. (17): what is not decoded is lost.

    It is exact for row × column, and for column × row too, because parts of mean zero that are independent
    add in energy: the tight expression beside `theorem_2_bound`.

    Parameters
    ----------
    probabilities : (…, L) array
        P_{d,l} from `kofn.simulation.theory.decoding_probabilities`.
    energies : (L,) array
        Energy of all products of each class together, UHQ·k_l·σ²_{l,A}·σ²_{l,B}.

    Returns
    -------
    (…) array

    Examples
    --------
    >>> zero_fill_loss(np.array([[0.0, 0.0], [1.0, 0.5]]), [3.0, 1.0])
    array([1.   , 0.125])
    """
    energy = _energies(energies)
    chances = _chances("probabilities", probabilities, "use those of kofn.simulation.theory.decoding_probabilities")
    if chances.shape[-1:] != energy.shape:
        must = f"have one column for each of the {len(energy)} energies"
        raise refusal(CALL, "probabilities", must, f"shape {chances.shape}", "give the energy of each class")
    loss: Floats = (1.0 - chances) @ (energy / energy.sum())
    return loss


def theorem_2_bound(probabilities: Floats, energies: ArrayLike, parts: int) -> Floats:
    """Theorem 2, eq. (19): the bound for column × row, which is M times the exact expected loss.

    Cauchy–Schwarz, eq. (22), costs the factor M whatever arrives, also where nothing is missing; it needs no
    independence, so it also holds for correlated parts.

    Parameters
    ----------
    probabilities, energies
        As for `zero_fill_loss`.
    parts : int
        M, the number of products that are summed.

    Examples
    --------
    >>> theorem_2_bound(np.array([[0.0, 0.0], [1.0, 0.5]]), [3.0, 1.0], parts=9)
    array([9.   , 1.125])
    """
    return integer(CALL, "parts", parts, 1, "say how many are summed") * zero_fill_loss(probabilities, energies)


def oracle_loss(energies: ArrayLike, results: int) -> Floats:
    """Loss when the w largest parts are known: no linear code with one part's worth a result does better.

    Parameters
    ----------
    energies : (parts,) array
        Of each part by itself.
    results : int

    Returns
    -------
    (results + 1,) array

    Examples
    --------
    >>> oracle_loss([1.0, 3.0], 3)
    array([1.  , 0.25, 0.  , 0.  ])
    """
    left = np.sort(_energies(energies))[::-1]
    results = integer(CALL, "results", results, 0, "give the number of workers")
    remaining = np.concatenate([np.cumsum(left[::-1])[::-1], [0.0]]) / left.sum()
    loss: Floats = remaining[np.minimum(np.arange(results + 1), len(left))]
    return loss


def repetition_loss(energies: ArrayLike, copies: ArrayLike) -> Floats:
    """Loss after each number of results when part j is at ``copies[j]`` workers; 1 each is uncoded.

    Parameters
    ----------
    energies : (parts,) array
    copies : (parts,) ints

    Returns
    -------
    (Σ copies + 1,) array

    Examples
    --------
    >>> repetition_loss([3.0, 1.0], [1, 1])
    array([1. , 0.5, 0. ])
    """
    energy = _energies(energies)
    must, remedy = f"hold an int >= 0 for each of the {len(energy)} energies", "1 each is uncoded"
    counts = _numbers("copies", copies, must, remedy)
    if counts.shape != energy.shape or np.any((counts < 0) | (counts % 1 != 0)):
        raise refusal(CALL, "copies", must, repr(copies), remedy)
    counts = counts.astype(np.intp)
    w, rows = np.arange(counts.sum() + 1), counts.sum()
    missing = np.ones((len(w), len(counts)))
    for c in range(int(counts.max())):  # one copy after the other is among the rows that have not come
        missing *= np.where(c < counts, np.maximum(rows - w[:, None] - c, 0) / max(1, rows - c), 1.0)
    loss: Floats = missing @ (energy / energy.sum())
    return loss


def count_probabilities(done: ArrayLike, workers: int) -> Floats:
    """P_{N(t)}(w), eq. (13): how many of W workers have answered.

    Parameters
    ----------
    done : (times,) array
        F(t), the probability that a worker has answered: any latency's cumulative distribution.
    workers : int
        W.

    Returns
    -------
    (times, W + 1) array

    Examples
    --------
    >>> count_probabilities([0.0, 0.5], 2)
    array([[1.  , 0.  , 0.  ],
           [0.25, 0.5 , 0.25]])
    """
    chance = _chances("done", done, "give the values of a distribution function")
    workers = integer(CALL, "workers", workers, 0, "say how many there are")
    probabilities: Floats = binom.pmf(np.arange(workers + 1), workers, chance[..., None])
    return probabilities


def at_times(by_count: Floats, done: ArrayLike) -> Floats:
    """Theorems 1 and 2, eqs. (16) and (18): mix losses by count over the number of answers at each time.

    Parameters
    ----------
    by_count : (W + 1,) array
        Loss after w results.
    done : (times,) array
        F(t).

    Returns
    -------
    (times,) array

    Examples
    --------
    >>> at_times(np.array([1.0, 0.5, 0.0]), [0.0, 0.5, 1.0])
    array([1. , 0.5, 0. ])
    """
    must, remedy = "be a vector of losses", "give those after 0, 1, … results"
    losses = _numbers("by_count", by_count, must, remedy)
    if losses.ndim != 1 or not len(losses):
        raise refusal(CALL, "by_count", must, f"shape {losses.shape}", remedy)
    return count_probabilities(done, len(losses) - 1) @ losses


def load_balancing_times(
    latency: Latency, workers: int, work: float, pieces: int, trials: int = 1000, rng: Any = None
) -> Floats:
    """First times at which all workers together have done ``work``, if any of them could do any piece of it.

    No scheme that needs that much work done is faster, however it spreads it.

    Parameters
    ----------
    latency : Latency
    workers : int
    work : float
        In uncoded tasks.
    pieces : int
        How finely the work is cut: a worker's unfinished piece does not count.
    trials, rng
        As for `kofn.simulate`.

    Returns
    -------
    (trials, pieces) array
        When one piece is done, when two are, …; the last column is the bound.

    Examples
    --------
    >>> from kofn.simulation._latency import Constant
    >>> load_balancing_times(Constant(1.0), workers=2, work=3.0, pieces=3, trials=1)
    array([[1., 1., 2.]])
    """
    workers = integer(CALL, "workers", workers, 1, "say how many there are")
    work = number(CALL, "work", work, "1 is an uncoded task")
    pieces = integer(CALL, "pieces", pieces, 1, "1 is the whole work")
    trials = integer(CALL, "trials", trials, 1, "ask for at least one trial")
    check_latency(CALL, "latency", latency)
    worker = np.repeat(np.arange(workers), pieces)
    done = np.tile(np.arange(1, pieces + 1) * (work / pieces), workers)
    arrivals = latency.arrivals(done, worker, trials, generator(CALL, rng))
    return np.sort(np.partition(arrivals, pieces - 1, axis=1)[:, :pieces], axis=1)


def _energies(values: ArrayLike) -> Floats:
    must, remedy = "be numbers >= 0, not all 0", "give E‖C_j‖² of each part"
    energy = _numbers("energies", values, must, remedy)
    if energy.ndim != 1 or not (np.all(energy >= 0) and 0 < energy.sum() < np.inf):
        raise refusal(CALL, "energies", must, repr(values), remedy)
    return energy


def _chances(argument: str, values: ArrayLike, remedy: str) -> Floats:
    chances = _numbers(argument, values, "hold probabilities", remedy)
    if not np.all((chances >= 0) & (chances <= 1)):
        raise refusal(CALL, argument, "hold probabilities", repr(values), remedy)
    return chances


def _numbers(argument: str, values: ArrayLike, must: str, remedy: str) -> Floats:
    try:
        array = np.asarray(values)
    except ValueError:  # rows of several lengths
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise refusal(CALL, argument, must, repr(values), remedy)
    return array.astype(np.float64)
