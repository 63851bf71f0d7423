"""Codes for any function: results are points of a curve v = f∘e, outputs are other points of it.

The unknowns are the values of v at the workers' nodes and at those of the outputs, once where the two coincide; G and
T pick them. Nothing is decoded exactly but what was computed itself: all else is estimated, by a formula of the nodes
(Berrut, splines) or by what is expected of f (kriging), and the error bar is always that of the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._base._numbers import Array, Floats, Indices, precision
from ...codes._linear import LinearCode
from ...codes.decoding._estimators import Estimator
from ._code import Mixture, results_enough, through
from ._gaussian_process import GaussianProcess
from ._scheme import FunctionScheme


def curve_scheme(
    name: str,
    f: Callable[[Any], Any],
    X: Array,
    worker: Indices,
    alpha: Floats,
    beta: Floats,
    curve: Callable[[Floats, Floats], Floats],
    recover: int | None,
    estimator: Callable[[Floats], Estimator],
) -> FunctionScheme:
    """What workers evaluate along a curve e with e(β_k) = X_k, and what is expected of it.

    Parameters
    ----------
    X : (K, …) array
    worker : (rows,) int array
    alpha : (rows,) array
    beta : (K,) array
    curve : callable
        ``curve(points, beta)`` gives the weights of the inputs at points of e, (points, K).
    recover : int, optional
        As for `results_enough`.
    estimator : callable
        ``estimator(points)`` is the code's own, given where the unknowns are.
    """
    points = points_of(alpha, beta)
    code = curve_code(name, alpha, beta, worker)
    mix = through(curve(alpha, beta), alpha, beta)
    process = GaussianProcess.along(code, through(curve(points, beta), points, beta), X)
    return FunctionScheme(
        code,
        [f] * len(worker),
        Mixture(mix, X),
        process,
        enough=results_enough(recover, len(worker)),
        estimator=estimator(points),
        precision=precision(X),
    )


def curve_code(name: str, alpha: Floats, beta: Floats, worker: Indices) -> LinearCode:
    """The code whose results are points at ``alpha`` and whose targets are points at ``beta`` of one curve.

    Examples
    --------
    >>> code = curve_code("any", np.array([1.0, 0.0]), np.array([0.0, 0.5]), np.arange(2))
    >>> code.generator.tolist(), code.targets.tolist()
    ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    """
    points = points_of(alpha, beta)
    identity = np.eye(len(points))
    return LinearCode(name, identity[np.searchsorted(points, alpha)], identity[np.searchsorted(points, beta)], worker)


def points_of(alpha: Floats, beta: Floats) -> Floats:
    """Where the unknowns of `curve_code` are, (unknowns,), in increasing order."""
    points: Floats = np.union1d(alpha, beta)
    return points


def nodes_of(points: Floats, generator: Floats) -> Floats:
    """The nodes of rows of a `curve_code`, (…, rows)."""
    nodes: Floats = points[np.argmax(generator, axis=-1)]
    return nodes
