"""Codes for any function: results are points of a curve v = f∘e, outputs are other points of it.

The unknowns are the values of v at the workers' nodes and at those of the outputs, once where the two coincide; G and
T pick them. Nothing is decoded exactly but what was computed itself: all else is estimated, by a formula of the nodes
(Berrut, splines) or by what is expected of f (kriging), and the error bar is always that of the latter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._base._numbers import Array, Floats, Indices, epsilon_of
from ...codes._bases import chebyshev_nodes
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._estimators import Estimator
from ._code import Mixture, check_sizes, results_enough, scattered_among, spread_among, through
from ._gaussian_process import GaussianProcess
from ._scheme import FunctionScheme


@dataclass(frozen=True, eq=False)
class CurveRequest:
    """A function, its inputs, and the size of a code along a curve e with e(β_k) = X_k.

    Parameters
    ----------
    f : callable
    inputs : (K, …) array or sequence of K arrays of one shape
    recover : int, optional
        As for `results_enough`.
    workers, rows : int, optional
        Rows (one per worker by default) and the workers that they are dealt to.
    rng : ignored
    """

    f: Callable[[Any], Any]
    inputs: Any
    _: KW_ONLY
    recover: int | None = None
    workers: int | None = None
    rows: int | None = None
    rng: Any = None

    @cached_property
    def sizes(self) -> tuple[Array, Indices]:
        """The inputs in one array, (K, …), and the worker of each row."""
        return check_sizes(self.inputs, self.workers, self.rows)

    def nodes(self) -> tuple[Floats, Floats]:
        """Nodes α of the workers and β of the inputs, the fewer among the others."""
        X, worker = self.sizes
        nodes = chebyshev_nodes(max(len(worker), len(X)))
        return scattered_among(nodes, len(worker)), spread_among(nodes, len(X))

    def scheme(
        self,
        name: str,
        alpha: Floats,
        beta: Floats,
        curve: Callable[[Floats, Floats], Floats],
        estimator: Callable[[tuple[float, ...]], Estimator],
    ) -> FunctionScheme:
        """What workers evaluate along the curve, and what is expected of it.

        Parameters
        ----------
        alpha : (rows,) array
        beta : (K,) array
        curve : callable
            ``curve(points, beta)`` gives the weights of the inputs at points of e, (points, K).
        estimator : callable
            ``estimator(points)`` is the code's own, given where the unknowns are.
        """
        X, worker = self.sizes
        points, code = points_of(alpha, beta), curve_code(name, alpha, beta, worker)
        return FunctionScheme(
            code,
            [self.f] * len(worker),
            Mixture(through(curve(alpha, beta), alpha, beta), X),
            GaussianProcess.along(code, through(curve(points, beta), points, beta), X),
            enough=results_enough(self.recover, len(worker)),
            estimator=estimator(tuple(points)),
            precision=epsilon_of(X),
        )


@dataclass(frozen=True)
class Formula(ABC):
    """An estimator that is a formula of the nodes of the results that arrived.

    Parameters
    ----------
    points : tuple of float
        Where the unknowns of a `curve_code` are.
    """

    points: tuple[float, ...]

    @abstractmethod
    def weights(self, points: Floats, nodes: Floats) -> Floats:
        """Weights of values at ``nodes`` in what is estimated at ``points``, (…, points, nodes)."""

    def __call__(self, solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
        """V for the received rows; a rule as `kofn.codes.decoding.ESTIMATORS` has them."""
        points = np.array(self.points)
        return self.weights(nodes_of(points, targets), nodes_of(points, generator))


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
    return np.union1d(alpha, beta)


def nodes_of(points: Floats, generator: Floats) -> Floats:
    """The nodes of rows of a `curve_code`, (…, rows)."""
    nodes: Floats = points[np.argmax(generator, axis=-1)]
    return nodes
