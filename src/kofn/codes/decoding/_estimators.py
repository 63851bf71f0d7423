"""How targets that are not exact are estimated: by least squares, by zero, or by a code's own rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import checks
from ..._base._numbers import Floats
from .._prior import Prior

NOISE = 16.0
"""Rounding noise of a result, in units of its epsilon, that the LMMSE estimator reckons with."""

EstimatorRule = Callable[[Floats, Floats, Floats, Prior, float], Floats]
"""(V of the certificate, G received, T, prior, epsilon) → V used for targets that are not recovered."""

Estimator = str | EstimatorRule
"""A name in `ESTIMATORS`, or a rule that belongs to one code, such as a formula of the nodes that were received."""


def fill_with_zeros(solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
    """Use zero for what is not recovered: what the papers do (Tegin et al. 2022, Sec. IV-C)."""
    return np.zeros_like(solution)


def least_squares(solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
    """V = T S Gᵀ (G S Gᵀ + D²)⁻¹, the linear minimum mean square error estimate.

    D is the rounding noise of the results, so that nothing is amplified beyond what it is worth. It works on the
    singular values of G F with S = F Fᵀ, never on the squared matrix, and leaves out directions that are no
    larger than that noise: dependent rows make such directions, and they hold rounding alone.
    """
    size = np.sqrt(generator**2 @ prior.energies)
    scale = 1.0 / np.where(size > 0, size, 1.0)
    left, values, right = np.linalg.svd(prior.weigh(generator * scale[..., :, None]), full_matrices=False)
    noise = NOISE * epsilon
    heard = values > noise * np.max(values, axis=-1, keepdims=True, initial=1.0)
    gain = np.where(heard, values / (values**2 + noise**2), 0.0)
    projected = prior.weigh(targets) @ np.swapaxes(right, -1, -2)
    matrix: Floats = (projected * gain[..., None, :]) @ np.swapaxes(left, -1, -2) * scale[..., None, :]
    if prior.common is not None:
        seen = (generator @ prior.common) * scale
        weight = np.where(heard, 1.0 / (values**2 + noise**2), 0.0)
        against = np.einsum("...rk,...k,...sk,...s->...r", left, weight, left, seen, optimize=True)
        matrix += remove_bias(matrix @ generator, against * scale, seen / scale, targets, prior.common)
    return matrix


def remove_bias(reached: Floats, against: Floats, seen: Floats, targets: Floats, common: Floats) -> Floats:
    """What is added to an estimate V so that (V G − T) n = 0 at the least price: (T − VG) n hᵀ / (G n)ᵀ h.

    Parameters
    ----------
    reached : (…, targets, unknowns) array
        V G.
    against : (…, received) array
        h = (G S Gᵀ)⁻¹ G n, with n what the unknowns have in common.
    seen : (…, received) array
        G n.
    """
    missing = (targets - reached) @ common
    gain = np.sum(seen * against, axis=-1)
    share = np.divide(1.0, gain, out=np.zeros_like(gain), where=gain > 0)
    result: Floats = missing[..., :, None] * (against * share[..., None])[..., None, :]
    return result


ESTIMATORS: dict[str, EstimatorRule] = {"lmmse": least_squares, "exact": fill_with_zeros, "peeling": fill_with_zeros}
"""How targets that are not exact are estimated; "peeling" also counts as exact only what peeling recovers."""


def rule_of(estimator: Estimator) -> EstimatorRule:
    """Return the rule that an estimator is, or is the name of.

    Examples
    --------
    >>> rule_of("peeling") is rule_of("exact")
    True
    """
    return ESTIMATORS[estimator] if isinstance(estimator, str) else estimator


def check_estimator(call: str, estimator: Any) -> Estimator:
    """Return an estimator as it is, or refuse what is none.

    Examples
    --------
    >>> check_estimator("f", "lmmse")
    'lmmse'
    """
    if callable(estimator):
        rule: EstimatorRule = estimator
        return rule
    return checks.choice(call, "estimator", estimator, ESTIMATORS, "'lmmse' is the usual choice")
