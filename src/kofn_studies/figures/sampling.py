"""Losses of codes that are drawn afresh in every trial, by the decoder that real runs use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from kofn.codes import LinearCode, Prior, decode

from .._types import Floats

STACK_BYTES = 1 << 19
"""Generators are stacked up to about this size."""


@dataclass(frozen=True, eq=False)
class SampledCode:
    """A random code in a figure.

    Parameters
    ----------
    name : str
        Of its series.
    draw : callable
        ``draw(rows, rng)`` draws so many rows; rows are independent, so that one draw serves all trials.
    prior : Prior
        Of the code's unknowns.
    estimator : {"lmmse", "exact"}
    unseen : float
        As for `mean_and_error`.

    Examples
    --------
    >>> from kofn.schemes import Classes, families
    >>> mds = SampledCode("mds", families.Gaussian(Classes.of_sizes(2)).code, Prior.independent([1.0, 1.0]), "exact")
    >>> mds.losses(trials=2, workers=3, seed=0)
    array([[1., 1., 0., 0.],
           [1., 1., 0., 0.]])
    """

    name: str
    draw: Callable[[int, np.random.Generator], LinearCode]
    prior: Prior
    estimator: str = "lmmse"
    unseen: float = 0.0

    def losses(self, trials: int, workers: int, seed: int) -> Floats:
        """Expected normalised loss after each number of results, (trials, workers + 1)."""
        code, rows, _ = self._drawn(trials, workers, seed)
        return prefix_losses(code, rows, self.prior, self.estimator)

    def losses_at(self, times: Floats, trials: int, workers: int, seed: int) -> Floats:
        """Expected normalised loss at each time, (trials, times), if rows take load × exponential time of mean 1."""
        code, rows, rng = self._drawn(trials, workers, seed)
        arrivals = rng.exponential(size=rows.shape) * code.load[rows]
        order = np.argsort(arrivals, axis=1)
        losses = prefix_losses(code, np.take_along_axis(rows, order, axis=1), self.prior, self.estimator)
        counts = np.stack([np.sum(arrivals <= time, axis=1) for time in times], axis=1)
        return np.take_along_axis(losses, counts, axis=1)

    def _drawn(self, trials: int, workers: int, seed: int) -> tuple[LinearCode, NDArray[np.intp], np.random.Generator]:
        rng = np.random.default_rng([seed, crc32(self.name.encode())])  # series do not depend on one another
        code = self.draw(trials * workers, rng)
        return code, np.arange(trials * workers).reshape(trials, workers), rng


def prefix_losses(code: LinearCode, rows: NDArray[np.intp], prior: Prior, estimator: str) -> Floats:
    """Expected normalised loss from the first w rows of every trial, (trials, workers + 1).

    Parameters
    ----------
    code : LinearCode
    rows : (trials, workers) int array
        Rows in the order in which they arrive.
    prior : Prior
    estimator : {"lmmse", "exact"}
    """
    losses = np.zeros((len(rows), rows.shape[1] + 1))
    losses[:, 0] = 1.0
    for count in range(1, losses.shape[1]):
        open_ = np.flatnonzero(losses[:, count - 1])  # more rows never make an exact target inexact
        size = max(1, STACK_BYTES // (8 * count * code.unknowns))
        for start in range(0, len(open_), size):
            mine = open_[start : start + size]
            losses[mine, count] = decode(code, rows[mine, :count], prior, estimator).error ** 2
    return losses


UNSEEN = 5.0
"""Rare events that n trials may well have missed: e^-9 is the chance to miss one of probability 9/n."""


def mean_and_error(samples: Floats, unseen: float = 0.0) -> tuple[Floats, Floats]:
    """Mean over trials and its standard error, for a (trials, …) array.

    Parameters
    ----------
    samples : (trials, …) array
    unseen : float
        For values in [0, 1], the number of events of size 1 that are added to the squared error. A sample without
        a rare large loss has no spread, and yet proves nothing about it: with `UNSEEN` four standard errors
        hold for counts from 0 on.

    Examples
    --------
    >>> mean_and_error(np.array([[1.0], [3.0]]))
    (array([2.]), array([1.]))
    """
    trials = len(samples)
    spread = samples.var(axis=0, ddof=1) if trials > 1 else np.zeros(samples.shape[1:])
    return samples.mean(axis=0), np.sqrt(spread / trials + unseen / trials**2)
