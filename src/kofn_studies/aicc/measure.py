"""How good a code is: through what its workers return and a decoder, never from direct evaluation alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kofn.codes import Prior, decode
from kofn.schemes import CallScheme, FunctionScheme, KnownPrior
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


def decoded(made: CallScheme, rows: Iterable[int]) -> tuple[Floats, float]:
    """Evaluate some rows, as their workers would, and decode them.

    Returns
    -------
    (K, …) array
        The outputs.
    float
        Their expected relative error.

    Examples
    --------
    >>> from kofn.schemes import lagrange
    >>> squares = lagrange(np.square, [1.0, 2.0], degree=2, workers=4)
    >>> decoded(squares, [0, 2, 3])[0].round(12)
    array([1., 4.])
    """
    scheme = made.estimating()
    tasks, learner = scheme.encoding().encode(np.empty), scheme.learner()
    chosen = list(rows)
    results = {
        row: learner.take(row, tasks[row].function(*tasks[row].resident.values(), *tasks[row].arguments))
        for row in chosen
    }
    prior = learner.prior(results)
    found = decode(scheme.code, np.array(chosen), prior, scheme.estimator, scheme.precision)
    return scheme.assemble(found.matrix, [results[row] for row in chosen]), float(found.error)


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
        found[draw] = nrmse(decoded(mine, survivors)[0].reshape(truth.shape), truth)
    return found
