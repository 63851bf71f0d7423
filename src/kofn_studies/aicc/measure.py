"""How good a code is: through what its workers return and a decoder, never from direct evaluation alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn.codes import Prior
from kofn.schemes import CallScheme, FunctionScheme, KnownPrior
from kofn.testing import decode_rows
from kofn.tuning.learned import LearnedCode

Floats = NDArray[Any]


def nrmse(estimate: Floats, truth: Floats) -> Floats:
    """‖f̂_k − f(X_k)‖ / ‖f(X_k)‖, (…,), for (…, V): Agrawal et al. 2022, eq. (6).

    Examples
    --------
    >>> nrmse(np.array([[3.0, 0.0]]), np.array([[3.0, 4.0]]))
    array([0.8])
    """
    result: Floats = np.linalg.norm(estimate - truth, axis=-1) / np.linalg.norm(truth, axis=-1)
    return result


def interpolated(code: LearnedCode, inputs: Floats) -> FunctionScheme:
    """The scheme of a learned code with the paper's decoder: v(β_k) by interpolation from any R results."""
    model = KnownPrior(Prior.independent(np.ones(code.recover)))
    made = code.evaluations(inputs)
    return FunctionScheme(code.curve, made.functions, made.arguments, model, estimator="exact")


def errors(
    schemes: Callable[[Floats], CallScheme], inputs: Floats, values: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Eq. (6) of every output from ``count`` random survivors, anew for every set of inputs, (draws, K).

    Parameters
    ----------
    schemes : callable
        Of one set of inputs, (K, M, M).
    inputs : (draws, K, M, M) array
    values : (draws, K, V) array
    count : int
        Results.
    rng : Generator
        Draws the survivors.
    """
    found = np.empty(values.shape[:2])
    for draw, (X, truth) in enumerate(zip(inputs, values, strict=True)):
        mine = schemes(X)
        survivors = rng.permutation(mine.code.rows)[:count]
        found[draw] = nrmse(decode_rows(mine, survivors)[0].reshape(truth.shape), truth)
    return found
