"""What the results of a sum that have arrived say of its terms: what they have in common, and how they vary.

A model for terms of which nothing else is known: u_j = μ + e_j, with a mean μ that all terms share and deviations
of energies E‖e_j‖² = σ² s_j, where s is given up to a factor (1 by default). Row r is then n_r μ plus a deviation of
energy σ² E_r, E_r = Σ_j G_rj² s_j.

With weights w_r = n_r / (E_r κ), κ = Σ n_r² / E_r, the rows' mean Σ w_r y_r is off from μ by Σ w_r G_r e, of energy
σ² h, h = Σ_j s_j (Σ_r w_r G_rj)², and what they deviate from it by, Σ ‖y_r − n_r mean‖² / E_r, is σ² (rows − κ h) on
average: the fewer, the more rows have in common. Where they have nothing in common, κ h = 1.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import MODERATE, Floats, Indices
from .._linear import LinearCode
from .._prior import Prior

FEWEST = 4
"""Rows with fewer distinct combinations do not tell a spread: what is missing counts in full until then."""

FEWEST_AGAIN = 2
"""The same where an earlier call told a spread: these must bear it out before it counts."""

SKETCH = 256
"""Numbers of a payload that are looked at; larger ones are folded to so many with random signs."""

SMALLEST = 2.0**-1074
"""No positive number is smaller."""


class TermLearner:
    """Learns a `Prior` from payloads, each looked at once.

    Parameters
    ----------
    code : LinearCode
        With a sparse generator.
    relative : (unknowns,) array, optional
        s, energies of the deviations up to a common factor; equal by default.
    earlier : Prior, optional
        What an earlier call learned: with few results, terms are expected to vary as much as they did then, in
        proportion, or as much more as these results do.

    Examples
    --------
    >>> from kofn.schemes import cyclic
    >>> learner = TermLearner(cyclic(8, blocks=8, workers=1))
    >>> prior = learner.prior({row: np.array(10.0 + 2.0 * (-1) ** row) for row in range(8)})
    >>> round(float(prior.common[0]), 1), round(float(prior.factor[0]), 1)
    (10.0, 2.1)
    """

    def __init__(self, code: LinearCode, relative: Floats | None = None, earlier: Prior | None = None) -> None:
        relative = np.ones(code.unknowns) if relative is None else relative
        self._earlier = earlier
        self._relative = relative
        self._count = np.asarray(code.generator.sum(axis=1)).ravel()
        self._energy = np.asarray(code.generator.power(2) @ relative).ravel()
        self._generator = code.generator
        self._group = code.groups
        self._sketches: dict[int, tuple[Callable[[], Any], tuple[Floats, int]]] = {}

    def prior(self, results: Mapping[int, Any]) -> Prior:
        """Learn from the payloads of some rows."""
        rows = np.fromiter(results.keys(), dtype=np.intp, count=len(results))
        rows = rows[np.unique(self._group[rows], return_index=True)[1]]
        rows = rows[self._energy[rows] > 0]
        values = in_one_unit([self._sketch(int(row), results[int(row)]) for row in rows])
        if len(rows) < (FEWEST if self._earlier is None else FEWEST_AGAIN):
            return self._pessimistic(values, rows)
        return self._fitted(values, rows)

    def _sketch(self, row: int, payload: Any) -> tuple[Floats, int]:
        """A payload folded, unless this very one was before: the same row of another run is another payload."""
        known, sketch = self._sketches.get(row, (lambda: None, None))
        if sketch is None or known() is not payload:
            sketch = sketch_of(np.asarray(payload))
            if isinstance(payload, np.ndarray):
                self._sketches[row] = weakref.ref(payload), sketch
        return sketch

    def _pessimistic(self, values: Floats, rows: Indices) -> Prior:
        scale = np.sum(values**2) / np.sum(self._energy[rows]) if len(rows) else 0.0
        return Prior.independent(self._relative * (scale or 1.0))

    def _varied(self) -> float:
        """Which share of the terms' energy was that of their deviations, in the earlier call."""
        assert self._earlier is not None
        common = 0.0 if self._earlier.common is None else float(np.sum(self._earlier.common**2))
        deviations = float(np.sum(self._earlier.energies))
        return deviations / (deviations + common)

    def _fitted(self, values: Floats, rows: Indices) -> Prior:
        counts, energies = self._count[rows], self._energy[rows]
        known = np.sum(counts**2 / energies)
        weights = counts / energies / (known or 1.0)
        mean = weights @ values
        held = self._relative @ (weights @ self._generator[rows]) ** 2
        rest = values - counts[:, None] * mean
        # At least one: rows that are multiples of one another say nothing of the spread.
        spread = np.sum(rest**2 / energies[:, None]) / max(1.0, len(values) - known * held)
        common = np.sum(mean**2) - spread * held
        allowed = with_unseen(spread, np.sum(mean**2) * known / len(values), len(values))
        if self._earlier is not None and len(values) < FEWEST:
            allowed = max(allowed, self._varied() * (np.sum(mean**2) + spread))
        return Prior(np.sqrt(self._relative * allowed), np.full(len(self._relative), np.sqrt(max(common, 0.0))))


def with_unseen(spread: float, level: float, count: int) -> float:
    """The energy of deviations to reckon with, given their energy ``spread`` among ``count`` results around a mean.

    Results that are alike, such as votes or saturated values, do not prove that the others are like them. Let chances
    be even that all are alike, or that some share of them, any share, is off by as much as the mean. The rule of
    succession then says, after n of n that are alike: the second is true with odds of 1 : n + 1, and the share is
    1 / (n + 2) on average. The energy of deviations that were not seen is of the order of ``level / n**2``. A result
    counts as one witness however many terms it adds up, because neighbours among the terms are often alike.

    Where nothing but zeros has arrived, nothing is known of the scale, and it is 1: what is missing counts in full.

    Parameters
    ----------
    spread : float
    level : float
        Energy of the mean, in the units of ``spread``.
    count : int

    Examples
    --------
    >>> with_unseen(0.0, 4.0, 10), with_unseen(0.5, 4.0, 10), with_unseen(0.0, 0.0, 10)
    (0.04, 0.5, 1.0)
    """
    return max(float(spread), float(level) / count**2) or 1.0


def sketches_of(payloads: Iterable[Any]) -> Floats:
    """Payloads of one shape as short vectors whose squares can be added up, (payloads, numbers); see `in_one_unit`.

    Examples
    --------
    >>> sketches_of([np.array(3.0), np.array(4.0)]).tolist(), float(np.sum(sketches_of([3e300, 4e300]) ** 2)) > 0
    ([[3.0], [4.0]], True)
    """
    return in_one_unit([sketch_of(np.asarray(payload)) for payload in payloads])


def in_one_unit(parts: list[tuple[Floats, int]]) -> Floats:
    """Numbers of unit size times two to their own powers, as rows of one array.

    In units of the largest if its squares would overflow or vanish: errors are relative, so that the unit of what they
    are learned from is free.

    Examples
    --------
    >>> in_one_unit([(np.array([0.5]), 1), (np.array([0.75]), 2)]).tolist()
    [[1.0], [3.0]]
    >>> in_one_unit([(np.array([0.5]), 999), (np.array([0.5]), 1000)]).tolist()
    [[0.25], [0.5]]
    """
    if not parts:
        return np.empty((0, 0))
    numbers, exponents = np.array([part for part, _ in parts]), np.array([exponent for _, exponent in parts])
    largest = exponents.max()
    unit = 0 if abs(largest) <= MODERATE else largest
    scaled: Floats = np.ldexp(numbers, (exponents - unit)[:, None])
    return scaled


def in_double(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers in double precision: inner products of less do not add up to what is positive definite.

    Examples
    --------
    >>> in_double(np.ones(2, ">f4")).dtype, in_double(np.ones(2, np.complex64)).dtype
    (dtype('float64'), dtype('complex128'))
    """
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)


def unit_size(array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """An array divided by a power of two, so that its largest real or imaginary part is between 1/2 and 1; the power.

    Examples
    --------
    >>> unit_size(np.array([3.0, 4.0j]))
    (array([0.375+0.j , 0.   +0.5j]), 3)
    """
    parts = np.ascontiguousarray(array).view(array.real.dtype)
    largest = float(np.max(np.abs(parts), initial=0.0))
    exponent = int(np.frexp(max(largest, SMALLEST))[1])  # zeros are smaller than anything else
    return np.ldexp(parts, -exponent).view(array.dtype.newbyteorder("=")).reshape(array.shape), exponent


def sketch_of(payload: NDArray[Any]) -> tuple[Floats, int]:
    """A short vector with the same expected inner products, divided by a power of two, and the power.

    As it is, or folded with random signs; of unit size before it is folded.

    Examples
    --------
    >>> sketch_of(np.array([1.0, 2j]))[0].tolist(), sketch_of(np.ones(10**4))[0].shape
    ([0.25, 0.0, 0.0, 0.5], (256,))
    """
    flat = np.ascontiguousarray(payload).ravel()
    if flat.dtype.kind == "c":
        flat = flat.view(np.float64)
    flat, exponent = unit_size(flat.astype(np.float64, copy=False))
    if flat.size <= SKETCH:
        return flat, exponent
    rng = np.random.default_rng(flat.size)
    signed = flat * rng.choice((-1.0, 1.0), flat.size)
    folded_: Floats = np.bincount(rng.integers(SKETCH, size=flat.size), signed, minlength=SKETCH)
    return folded_, exponent
