"""What is expected of any function at mixtures of known inputs: Gaussian processes over f, learned from results.

f(x) = μ + g(x) with a mean of which nothing is assumed, and E⟨g(x), g(x′)⟩ = s k(‖x − x′‖ / ℓ). The master knows all
the mixtures, so it knows how far apart they are. How smooth f is, over which lengths ℓ and with how much noise, the
results say: never for certain, so that all that are likely count, by their restricted likelihood, each with its own s.
The best linear estimate under such a model is what geostatistics calls kriging.

The error bar is that of what is used to estimate, whatever it is: under each model it is off by what it differs from
the model's own estimate, and that is off by its posterior deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..._base._numbers import Array, Flags, Floats, Indices
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._learning import in_double, sketches_of, unit_size, with_unseen
from ._mixing import Bar
from ._model import PriorModel

LENGTHS = 16
"""ℓ that are tried: from half of what neighbours are apart to four times what any two places are."""

NUGGETS = (1e-13, 1e-6, 1e-3, 1e-1)
"""Shares of s that a value has for itself: the first for rounding alone, the others for noise."""

UNLEARNED = 8.0
"""ℓ² before anything has arrived, in units of the inputs' mean squared distance from their mean."""

COUNTED = 32
"""Models that stand for all in an error bar."""

MIXED = 16
"""Models that stand for all in a prior."""

ENOUGH = 100
"""Results that tell how smooth f is; of more, so many are asked."""


class Model(NamedTuple):
    """One process: its kernel, its ℓ, and its nugget."""

    rough: bool
    length: float
    nugget: float

    def __call__(self, distance: Floats) -> Floats:
        """Covariances for squared distances, with s = 1: of smooth functions, or of those that are only continuous."""
        ratio = distance / self.length**2
        return np.exp(-np.sqrt(ratio)) if self.rough else np.exp(-ratio / 2)


@dataclass(frozen=True, eq=False)
class GaussianProcess(PriorModel):
    """What is expected of f at the places that a code's unknowns are values at.

    Parameters
    ----------
    places : (rows,) int array
        Which unknown each row of the code returns.
    outputs : (targets,) int array
        Which unknown each target is.
    distance : (unknowns, unknowns) array
        Squared, in units of the inputs' mean squared distance from their mean.
    """

    places: Indices
    outputs: Indices
    distance: Floats

    @classmethod
    def along(cls, code: LinearCode, weights: Floats, X: Array) -> GaussianProcess:
        """For values at mixtures ``weights @ X`` of the inputs.

        Parameters
        ----------
        code : LinearCode
            Each of whose rows and targets picks one unknown.
        weights : (unknowns, K) array
        X : (K, …) array

        Examples
        --------
        >>> code = LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])
        >>> GaussianProcess.along(code, np.eye(2), np.array([1.0, -1.0])).distance.tolist()
        [[0.0, 4.0], [4.0, 0.0]]
        """
        flat, _ = unit_size(in_double(X.reshape(len(X), -1)))
        centred = flat - flat.mean(axis=0)
        gram = (centred @ centred.conj().T).real
        inner = weights @ gram @ weights.T + _affine_rest(weights, flat)
        energy = np.diag(inner)
        spread = np.trace(gram) / len(gram)
        distance = np.maximum(energy[:, None] + energy - inner - inner.T, 0.0) / (spread if spread > 0 else 1.0)
        return cls(np.argmax(code.generator, axis=1), np.argmax(code.targets, axis=1), distance)

    @cached_property
    def models(self) -> list[Model]:
        """Those that are tried.

        Where functions change between neighbours, none of their values tells of another: that must be among them.
        """
        apart = self.distance + np.where(self.distance > 1e-14 * self.distance.max(initial=0.0), 0.0, np.inf)
        nearest = apart.min(axis=1)
        near, far = (np.median(nearest), self.distance.max()) if np.isfinite(nearest).all() else (1.0, 1.0)
        lengths = np.geomspace(np.sqrt(near) / 2, 4 * np.sqrt(far), LENGTHS)
        return [Model(rough, length, nugget) for rough in (False, True) for length in lengths for nugget in NUGGETS]

    def first_prior(self) -> Prior:
        """One length, a mean as large as the deviations."""
        return _prior(Model(False, UNLEARNED**0.5, NUGGETS[0])(self.distance), 1.0, 1.0)

    def learner(self) -> ProcessLearner:
        """One that fits its models to the same results once."""
        return ProcessLearner(self.places, self.outputs, self.distance)

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """From the results that arrived, by row.

        Examples
        --------
        >>> code = LinearCode("three", np.eye(3), np.eye(3), worker=[0, 1, 2])
        >>> process = GaussianProcess.along(code, np.eye(3), np.array([0.0, 1.0, 2.0]))
        >>> prior = process.prior_of_results({0: np.array(5.0), 2: np.array(7.0)})
        >>> round(float(prior.common[0]), 6)
        6.0
        """
        return self.fit(list(results), sketches_of(results.values())).prior()

    @property
    def bar(self) -> Bar:
        """That of what is used to estimate."""
        return self.error

    def error(self, matrix: Floats, recovered: Flags, rows: Sequence[int], results: Sequence[Any]) -> float:
        """Expected relative error of ``matrix @ results``, whatever its matrix is; 0.0 for nothing missing.

        Parameters
        ----------
        matrix : (targets, received) array
        recovered : (targets,) bool array
            Outputs that are right as they are.
        rows : sequence of int
        results : sequence of arrays

        Examples
        --------
        >>> code = LinearCode("three", np.eye(3), np.eye(3), worker=[0, 1, 2])
        >>> process = GaussianProcess.along(code, np.eye(3), np.array([0.0, 1.0, 2.0]))
        >>> half = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        >>> 0.01 < process.error(half, np.array([True, False, True]), [0, 2], [np.array(5.0), np.array(7.0)]) < 0.5
        True
        """
        return 0.0 if recovered.all() else self.fit(rows, sketches_of(results)).error(matrix, recovered)

    def fit(self, rows: Sequence[int], values: Floats) -> Fits:
        """Fit all models to the sketched results of rows."""
        return Fits.of(self, self.places[list(rows)], values)

    def roots(self, models: Sequence[Model], places: Indices) -> Floats:
        """L with L Lᵀ the covariance of values at places under each model, (models, places, places)."""
        between = self.distance[np.ix_(places, places)]
        return np.array([_root(model(between), model.nugget) for model in models])


@dataclass(frozen=True, eq=False)
class ProcessLearner(GaussianProcess):
    """A process in one run: an estimate and its error bar ask for the fits of the same results."""

    _newest: dict[bytes, Fits] = field(default_factory=dict, init=False, repr=False)

    def fit(self, rows: Sequence[int], values: Floats) -> Fits:
        """Fit all models, unless these results were the last that they were fitted to."""
        key = bytes(np.array(rows)) + values.tobytes()
        fits = self._newest.get(key)  # at once: another thread may put its own there meanwhile
        if fits is None:
            fits = super().fit(rows, values)
            self._newest.clear()
            self._newest[key] = fits
        return fits


@dataclass(frozen=True, eq=False)
class Fits:
    """All models of a process fitted to results.

    Parameters
    ----------
    process : GaussianProcess
    places : (n,) int array
        Unknowns whose values are known.
    values : (n, numbers) array
        With the inner products of the results.
    weights, scales, levels : (models,) array
        How likely each is, its s, and the energy of its mean.
    """

    process: GaussianProcess
    places: Indices
    values: Floats
    weights: Floats
    scales: Floats
    levels: Floats

    @classmethod
    def of(cls, process: GaussianProcess, places: Indices, values: Floats) -> Fits:
        """Fit by restricted likelihood."""
        if values.shape[1] > len(values):
            triangle: Floats = np.linalg.qr(values.T, mode="r")  # type: ignore[assignment]
            values = triangle.T
        asked = np.unique(np.linspace(0, len(places) - 1, ENOUGH).astype(np.intp))
        given = values[asked]
        likelihoods, scales, levels = restricted_fit(process.roots(process.models, places[asked]), given)
        energy, deviations = float(np.sum(given**2)), given - given.mean(axis=0)
        if float(np.sum(deviations**2)) <= 1e-24 * energy:
            likelihoods[:] = 0.0  # equal results would be likeliest for the smoothest of processes
        weights = np.exp(_independent(deviations) / 2 * (likelihoods - likelihoods.max()))
        scales = np.array([with_unseen(*pair, len(places)) for pair in zip(scales, levels, strict=True)])
        return cls(process, places, values, weights / weights.sum(), scales, levels)

    def prior(self) -> Prior:
        """Of the process's unknowns."""
        chosen, shares = self.standing_for_all(MIXED)
        distance = self.process.distance
        covariance = np.zeros_like(distance)
        for index, share in zip(chosen, shares, strict=True):
            model = self.process.models[index]
            covariance += share * self.scales[index] * (model(distance) + model.nugget * np.eye(len(distance)))
        scale, level = float(shares @ self.scales[chosen]), float(shares @ self.levels[chosen])
        # The smoother a process, the more it allows for: errors are relative to what arrived.
        energy = float(np.mean(np.sum(self.values**2, axis=1)))
        return _prior(covariance, scale, level, energy / (scale + level) if energy else 1.0)

    def error(self, matrix: Floats, recovered: Flags) -> float:
        """Expected relative error of the outputs ``matrix @ results``, some of which are right as they are."""
        estimate = matrix[~recovered] @ self.values
        known = float(np.sum((matrix[recovered] @ self.values) ** 2))
        chosen, shares = self.standing_for_all(COUNTED)
        energies = self.energies(chosen, self.process.outputs[~recovered], estimate)
        # Mean errors and not mean squares: one model among many that is far off is not what to expect.
        loss, energy = (float(shares @ np.sqrt(part)) ** 2 for part in energies)
        return float(np.sqrt(loss / (known + energy))) if known + energy > 0 else 1.0

    def standing_for_all(self, count: int) -> tuple[Indices, Floats]:
        """Models, and how much each counts: at even steps of the weights added up, from smooth to rough."""
        steps = (np.arange(count) + 0.5) / count * (1 - 1e-9)  # models as likely as each other end right at a step
        chosen = np.minimum(np.searchsorted(np.cumsum(self.weights), steps), len(self.weights) - 1)
        found, times = np.unique(chosen, return_counts=True)
        return found, times / count

    def energies(self, chosen: Indices, places: Indices, estimate: Floats) -> tuple[Floats, Floats]:
        """Energies of what an estimate is off by, and of what is estimated, under each model chosen, (chosen,).

        Parameters
        ----------
        chosen : (chosen,) int array
        places : (places,) int array
        estimate : (places, numbers) array
            Of the values there.
        """
        models = [self.process.models[index] for index in chosen]
        across = self.process.distance[np.ix_(self.places, places)]
        given = np.hstack([np.ones((len(self.places), 1)), self.values])
        sides = np.array([np.hstack([model(across), given]) for model in models])
        white = np.linalg.solve(self.process.roots(models, self.places), sides)
        cross, one, values = np.split(white, [len(places), len(places) + 1], axis=2)
        known, mean = _mean(one, values)
        unmet = 1 - np.swapaxes(cross, 1, 2) @ one
        best = np.swapaxes(cross, 1, 2) @ values + unmet * mean
        own = np.array([1 + model.nugget for model in models])[:, None]
        rest = np.maximum(own - np.sum(cross**2, axis=1) + unmet[..., 0] ** 2 / known[:, None], 0.0).sum(axis=1)
        rest *= self.scales[chosen]
        return np.sum((estimate - best) ** 2, axis=(1, 2)) + rest, np.sum(best**2, axis=(1, 2)) + rest


def _root(covariance: Floats, nugget: float) -> Floats:
    """L with L Lᵀ the covariance and its nugget, or the least that makes it regular in floating point."""
    while nugget < 1.0:
        try:
            return np.linalg.cholesky(covariance + nugget * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            nugget *= 10
    return np.linalg.cholesky(covariance + np.eye(len(covariance)))


def restricted_fit(factors: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Restricted likelihood of values with each covariance around an unknown mean, its best scale, ‖mean‖².

    Parameters
    ----------
    factors : (models, n, n) array
        L with L Lᵀ each covariance.
    values : (n, numbers) array

    Returns
    -------
    likelihoods : (models,) array
        Twice its logarithm a number, up to a constant.
    scales : (models,) array
        The s that makes it largest, over all numbers.
    levels : (models,) array

    Examples
    --------
    >>> [round(float(numbers[0]), 6) for numbers in restricted_fit(np.eye(2)[None], np.array([[1.0], [3.0]]))[1:]]
    [2.0, 4.0]
    """
    count = len(values)
    both = np.broadcast_to(np.hstack([np.ones((count, 1)), values]), (len(factors), count, 1 + values.shape[1]))
    one, white = np.split(np.linalg.solve(factors, both), [1], axis=2)
    known, mean = _mean(one, white)
    rest = np.sum((white - one * mean) ** 2, axis=(1, 2))
    freedom = max(1, count - 1)
    volume = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1) + np.log(known)
    return -freedom * np.log(np.maximum(rest, 1e-300)) - volume, rest / freedom, np.sum(mean**2, axis=(1, 2))


def _mean(one: Floats, values: Floats) -> tuple[Floats, Floats]:
    """How well a mean is known, (models,), and the likeliest, (models, 1, numbers), from a one and values, white."""
    known = np.sum(one**2, axis=(1, 2))
    return known, np.sum(one * values, axis=1, keepdims=True) / known[:, None, None]


def _prior(covariance: Floats, scale: float, level: float, share: float = 1.0) -> Prior:
    size = len(covariance)
    factor = Prior.correlated(covariance + NUGGETS[0] * scale * np.eye(size)).factor
    return Prior(factor, common=np.full(size, np.sqrt(level)), share=share)


def _independent(deviations: Floats) -> float:
    """How many numbers of the results vary independently: tr² G / tr G² of their inner products G."""
    unit, _ = unit_size(deviations)
    gram = unit @ unit.T
    square = float(np.sum(gram**2))
    return float(np.trace(gram)) ** 2 / square if square > 0 else 1.0


def _affine_rest(weights: Floats, flat: Array) -> Floats:
    """What centring the inputs leaves out where weights do not sum to one: such a mixture is far from all inputs."""
    mean = flat.mean(axis=0)
    centred = flat - mean
    off = weights.sum(axis=1) - 1
    cross = (centred.conj() @ mean).real
    shifted = np.outer(weights @ cross, off)
    return shifted + shifted.T + np.outer(off, off) * float(np.vdot(mean, mean).real)
