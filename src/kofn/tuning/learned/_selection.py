"""Which structure V_p should have: found on held-out samples, not written down for a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ._computation import Computation, Term
from ._features import FEATURES, Powers, width
from ._least_squares import Moments

BATCH_BYTES = 1 << 26
"""Columns of a batch of samples take about this much memory."""

WORTH = 0.99
"""What is learned in addition must bring the held-out loss below this share of what it was."""

ROUNDING = 1e-14
"""Below this share of the energy a loss that is a difference of sums of squares is rounding."""

HELD_OUT = 4
"""One sample in so many is held out."""

SEEN = 2000
"""Features are selected by so many of the outputs, spread evenly; what is selected is fitted to all of them."""


def held_out(count: int) -> NDArray[np.bool_]:
    """Which of so many samples are held out.

    Examples
    --------
    >>> held_out(5).tolist()
    [False, False, False, True, False]
    """
    return np.asarray(np.arange(count) % HELD_OUT == HELD_OUT - 1)


@dataclass(frozen=True)
class Atom:
    """A feature of a power that may enter: with one coefficient for each output, or one for all.

    Examples
    --------
    >>> Atom(2, "trace", shared=False)
    Atom(power=2, feature='trace', shared=False)
    """

    power: int
    feature: str
    shared: bool


def atoms(size: int, outputs: int, degree: int) -> Iterator[Atom]:
    """Every atom of M × M matrices that fits a function with V outputs.

    Examples
    --------
    >>> sorted({atom.feature for atom in atoms(size=3, outputs=3, degree=1)})
    ['columns', 'diagonal', 'rows', 'total', 'trace']
    """
    for power in range(1, degree + 1):
        for feature in FEATURES:
            numbers = width(feature, size)
            if numbers == 1:
                yield Atom(power, feature, shared=False)
            elif numbers == outputs:
                yield Atom(power, feature, shared=True)
                yield Atom(power, feature, shared=False)


@dataclass(frozen=True, eq=False)
class Samples:
    """Encoded inputs e(β_k) and what f says of the inputs there.

    Parameters
    ----------
    encoded : (samples, M, M) array
    values : (samples, V) array
    """

    encoded: Floats
    values: Floats

    def __getitem__(self, which: Any) -> Samples:
        return Samples(self.encoded[which], self.values[which])

    def split(self) -> tuple[Samples, Samples]:
        """Samples to fit to, and held-out ones."""
        held = held_out(len(self.encoded))
        return self[~held], self[held]


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of the regression, shifted and scaled as a first batch says.

    Parameters
    ----------
    features : sequence of (power, name)
    outputs : slice
        Which of the outputs.
    shift, scale : sequence of arrays, (1,) or (V,)
        One per feature, and last that of the output.
    """

    features: list[tuple[int, str]]
    outputs: slice
    shift: list[Floats]
    scale: list[Floats]

    @classmethod
    def of(cls, samples: Samples, features: list[tuple[int, str]], outputs: slice) -> Columns:
        """Take shifts and scales from the first samples."""
        count = len(range(samples.values.shape[1])[outputs])
        pilot = samples[: max(2, min(32, BATCH_BYTES // (8 * count * (len(features) + 2))))]
        unit = [np.zeros(1)] * (len(features) + 1), [np.ones(1)] * (len(features) + 1)
        columns = cls(features, outputs, *unit).values(pilot)[1:]
        size = [np.full(1, float(column.std(axis=0).max()) or 1.0) for column in columns]
        return cls(features, outputs, [column.mean(axis=0) for column in columns], [1 / s for s in size])

    def values(self, samples: Samples) -> list[Floats]:
        """The constant, every feature and the output of samples."""
        powers = Powers(samples.encoded)
        raw = [FEATURES[name](powers, power) for power, name in self.features] + [samples.values]
        # A feature of one number has no outputs to choose from.
        seen = [column if column.shape[1] == 1 else column[:, self.outputs] for column in raw]
        ready = [(column - shift) * scale for column, shift, scale in zip(seen, self.shift, self.scale, strict=True)]
        return [np.ones((len(samples.encoded), 1)), *ready]

    def moments(self, samples: Samples) -> Moments:
        """Their moments, batch by batch."""
        count = len(samples.encoded)
        outputs = len(range(samples.values.shape[1])[self.outputs])
        step = max(1, BATCH_BYTES // (8 * max(outputs, samples.encoded[0].size) * (len(self.features) + 2)))
        return reduce(add, (Moments.of(self.values(samples[i : i + step]), outputs) for i in range(0, count, step)))

    def computation(self, coefficients: Floats, chosen: list[Atom]) -> Computation:
        """h with these coefficients, (V, columns), of shifted and scaled columns."""
        unit = self.scale[-1]
        constant = self.shift[-1] + coefficients[:, 0] / unit
        terms = []
        for atom in chosen:
            number = self.features.index((atom.power, atom.feature))
            weight = coefficients[:, number + 1] * self.scale[number] / unit
            constant = constant - weight * self.shift[number]
            terms.append(Term(atom.power, atom.feature, weight[0] if atom.shared else weight))
        return Computation(constant, terms)


def select(samples: Samples, degree: int) -> tuple[Computation, float]:
    """h of degree P by forward selection: the atom that lowers the held-out loss most, until none is worth it.

    Parameters
    ----------
    samples : Samples
    degree : int
        P.

    Returns
    -------
    Computation
        Fitted to all samples.
    float
        Its held-out loss relative to the energy of the held-out values, when it was fitted to the others.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((40, 3, 3))
    >>> squares = np.trace(X @ X, axis1=1, axis2=2)[:, None]
    >>> h, loss = select(Samples(X, 3 + 2 * squares), degree=2)
    >>> [(term.power, term.feature, term.weight.round(9).tolist()) for term in h.terms], loss < ROUNDING
    ([(2, 'trace', [2.0])], True)
    """
    outputs = slice(None, None, -(-samples.values.shape[1] // SEEN))
    chosen, loss = _choose(samples, degree, outputs)
    features = [(atom.power, atom.feature) for atom in chosen]
    columns = Columns.of(samples, features, slice(None))
    h = columns.computation(_fit(columns.moments(samples), chosen, features), chosen)
    energy = float(np.sum(samples.split()[1].values[:, outputs] ** 2))
    return h, loss / energy if energy else loss


def _choose(samples: Samples, degree: int, outputs: slice) -> tuple[list[Atom], float]:
    """Atoms by forward selection, and the held-out loss with them."""
    available = list(atoms(samples.encoded.shape[-1], samples.values.shape[1], degree))
    features = list(dict.fromkeys((atom.power, atom.feature) for atom in available))
    columns = Columns.of(samples, features, outputs)
    fitted, held = (columns.moments(part) for part in samples.split())
    chosen: list[Atom] = []
    loss, rounding = held.loss(_fit(fitted, chosen, features)), ROUNDING * held.energy
    while len(chosen) < len(features) and loss > rounding:
        trials = [[*chosen, atom] for atom in available if not _contains(atom, chosen)]
        losses = [held.loss(_fit(fitted, trial, features)) for trial in trials]
        best = int(np.argmin(np.maximum(losses, rounding)))  # the simplest, that is the first, of those without error
        if losses[best] > WORTH * loss:
            break
        chosen, loss = trials[best], losses[best]
    return chosen, loss / float(columns.scale[-1][0]) ** 2


def _contains(atom: Atom, chosen: list[Atom]) -> bool:
    return any((atom.power, atom.feature) == (other.power, other.feature) for other in chosen)


def _fit(moments: Moments, chosen: list[Atom], features: list[tuple[int, str]]) -> Floats:
    column = {feature: number + 1 for number, feature in enumerate(features)}
    own = [0, *(column[atom.power, atom.feature] for atom in chosen if not atom.shared)]
    return moments.fit(own, [column[atom.power, atom.feature] for atom in chosen if atom.shared])
