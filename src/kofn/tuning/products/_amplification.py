"""How much rounding grows: the amplification of sampled sets of as many results as unknowns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ...codes._certify import Certificate, certify
from ...codes._linear import LinearCode

STACK = 1 << 18
"""Generators are stacked up to about this many bytes."""

INVERTED = 1e-6
"""Backward error of an inverse above which there is none."""


@dataclass(frozen=True)
class Amplification:
    """Amplification over sampled sets: quantiles, the largest, and over how many sets.

    Examples
    --------
    >>> Amplification.of(np.array([1.0, 2.0, 9.0])).largest
    9.0
    """

    median: float
    p99: float
    p999: float
    largest: float
    sets: int

    @classmethod
    def of(cls, values: Floats) -> Amplification:
        """Summarise the amplification of each set."""
        median, p99, p999, largest = np.quantile(values, [0.5, 0.99, 0.999, 1.0], method="higher").tolist()
        return cls(median, p99, p999, largest, len(values))

    def __str__(self) -> str:
        figures = f"median {self.median:.3g}, p99 {self.p99:.3g}, p99.9 {self.p999:.3g}, max {self.largest:.3g}"
        return f"{figures} over {self.sets} sampled sets"


def subsets(rows: int, count: int, size: int, seed: int) -> NDArray[np.intp]:
    """Draw ``count`` sets of ``size`` rows, the same for the same seed: (count, size).

    Examples
    --------
    >>> subsets(3, 1, 3, seed=0).tolist()
    [[0, 1, 2]]
    """
    order = np.random.default_rng(seed).random((count, rows)).argsort(axis=1)
    return np.sort(order[:, :size], axis=1)


def amplifications(code: LinearCode, sets: NDArray[np.intp]) -> Floats:
    """Amplification of every set of rows, (sets,), as `decode` counts it; inf where not exact.

    Examples
    --------
    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> amplifications(code, np.array([[0, 1], [0, 2]])).round(3)
    array([1.   , 1.732])
    """
    found = certificates(code.generator, code.targets, sets)
    return np.concatenate([np.where(is_exact(part), part.amplification.max(axis=1), np.inf) for part in found])


def certificates(generator: Floats, targets: Floats, sets: NDArray[np.intp]) -> Iterator[Certificate]:
    """What every set of rows makes of the targets, in stacks that fit the cache."""
    step = max(1, STACK // (8 * sets.shape[1] * generator.shape[1]))
    return (certify(generator[sets[i : i + step]], targets) for i in range(0, len(sets), step))


def is_exact(certificate: Certificate) -> NDArray[np.bool_]:
    """Which sets of a stack have an inverse."""
    return np.asarray(np.all(certificate.backward_error <= INVERTED, axis=1))
