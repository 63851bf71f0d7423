"""What is expected of a learned code's unknowns: the coefficients of v = h∘e, and the errors f(X_k) − v(β_k)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..._base._numbers import Floats
from ...codes._bases import chebyshev_nodes
from ...codes._prior import Prior
from ...schemes.functions._scheme import center
from ._code import Nodes
from ._computation import Computation, Term
from ._encoder import Encoder, encode, powers
from ._selection import WORTH, held_out

BYTES = 1 << 28
"""Memory for the samples: fewer draws where outputs are large."""


def estimate_prior(
    nodes: Nodes, encoder: Encoder, terms: Sequence[Term], inputs: Floats, values: Floats
) -> tuple[Floats, Prior]:
    """Mean of the R coefficients of v and of the K errors of the model, and how they vary, from samples.

    What v tells of the errors is used: those of e^X − h(X), say, are cubic, and the coefficients of v know something
    of cubes. But with few samples the correlations found may be noise that decoding would follow; where they do not
    lower the loss on held-out draws they are left out.

    Parameters
    ----------
    nodes : Nodes
    encoder : Encoder
    terms : sequence of Term
    inputs : (draws, K, M, M) array
    values : (draws, K, …) array
        f of the inputs.

    Returns
    -------
    mean : (R + K, …) array
    prior : Prior
    """
    recover = encoder.degree * Computation(None, terms).degree + 1
    each = 8 * (recover + values.shape[1]) * int(np.prod(values.shape[2:]))
    draws = min(len(values), max(2, BYTES // each))
    samples = sample_unknowns(nodes, encoder, terms, inputs[:draws], values[:draws], recover)
    mean, prior = center(samples)
    return mean, prior if is_predictable(samples, recover) else decorrelate(prior, recover)


def sample_unknowns(
    nodes: Nodes, encoder: Encoder, terms: Sequence[Term], inputs: Floats, values: Floats, recover: int
) -> Floats:
    """The coefficients and the errors of each draw, (draws, R + K, …)."""
    K, shape = values.shape[1], values.shape[2:]
    every = np.concatenate([nodes.betas, nodes.alphas])
    points = (chebyshev_nodes(recover) * np.ptp(every) + every.min() + every.max()) / 2
    transform, basis = np.linalg.inv(nodes.basis(points, recover)), powers(points, encoder.degree)
    wanted = nodes.basis(nodes.betas, recover)
    samples = np.empty((len(values), recover + K, *shape))
    for draw, (X, truth) in enumerate(zip(inputs, values, strict=True)):
        coefficients, constant = encoder(X)
        flat = transform @ Computation(constant, terms)(encode(coefficients, basis))
        samples[draw, :recover] = flat.reshape(recover, *shape)
        samples[draw, recover:] = truth - (wanted @ flat).reshape(K, *shape)
    return samples


def is_predictable(samples: Floats, count: int) -> bool:
    """Whether unknowns from ``count`` on are better predicted from those before than by their mean, on held-out draws.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((40, 2, 30))
    >>> is_predictable(noise, 1), is_predictable(np.cumsum(noise, axis=1), 1)
    (False, True)
    """
    held = held_out(len(samples))
    if not held.any():
        return False
    mean, prior = center(samples[~held])
    known, unknown = prior.factor[:count], prior.factor[count:]
    deviations = samples[held] - mean
    predicted = np.tensordot(unknown @ np.linalg.pinv(known, rcond=1e-10), deviations[:, :count], axes=(1, 1))
    truth = deviations[:, count:].swapaxes(0, 1)
    return bool(np.sum((truth - predicted) ** 2) < WORTH * np.sum(truth**2))


def decorrelate(prior: Prior, count: int) -> Prior:
    """The prior with what correlates its first ``count`` unknowns with the others left out.

    Examples
    --------
    >>> prior = decorrelate(Prior(np.array([[1.0, 0.0], [1.0, 2.0]])), 1)
    >>> (prior.factor @ prior.factor.T).tolist()
    [[1.0, 0.0], [0.0, 5.0]]
    """
    from scipy.linalg import block_diag  # importing kofn must not load SciPy

    return Prior(block_diag(prior.factor[:count], prior.factor[count:]), known=prior.known)
