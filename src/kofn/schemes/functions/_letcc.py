"""Smoothing-spline coding: splines encode and splines decode (LeTCC; Moradi, Tahmasebi and Maddah-Ali)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ...checks import number
from .._request import builder
from ._calls import CALL
from ._curve import CurveRequest, Formula
from ._scheme import FunctionScheme


@dataclass(frozen=True, eq=False, kw_only=True)
class SplineRequest(CurveRequest):
    """The same, and λ of the decoding spline."""

    smoothing: float = 0.0


@builder(SplineRequest)
def letcc(asked: SplineRequest) -> FunctionScheme:
    """Values of f along the natural cubic spline through the inputs, decoded by a smoothing spline.

    Load 1; exact once the rows that sit at the inputs have all arrived, so it waits for that or for ``recover``
    results; amplification about 1. The master encodes at 2·K·rows·(size of an input) flops and decodes at
    2·K·(results)·(size of an output).

    Its nodes are the workers' with the inputs among them, where the paper keeps them apart: what was computed at an
    input is the output itself.

    Parameters
    ----------
    f : callable
        Any function; it is evaluated between and slightly beyond the inputs.
    inputs : (K, …) array or sequence of K arrays of one shape
    smoothing : float
        λ of the decoding spline, the minimiser of Σ (y_n − v(α_n))² + λ ∫ v″², with nodes on [−1, 1]; 0 interpolates.
        The paper chooses it on data.
    recover, workers, rows, rng
        As for `kofn.schemes.berrut`.

    Returns
    -------
    FunctionScheme
        Its estimator is `Spline`; with ``estimator="lmmse"`` it is decoded as `kofn.schemes.kriging` is.

    References
    ----------
    P. Moradi, B. Tahmasebi, M. A. Maddah-Ali, "Coded Computing for Resilient Distributed Computing: A
    Learning-Theoretic Framework", NeurIPS 2024.

    Examples
    --------
    >>> scheme = letcc(np.tanh, [[0.0, 1.0], [1.0, 0.0]], workers=6)
    >>> scheme.enough, scheme.code.unknowns
    (5, 6)
    """
    smoothing = number(CALL, "smoothing", asked.smoothing, "0.0 interpolates")
    return asked.scheme("letcc", *asked.nodes(), spline_rows, lambda points: Spline(points, smoothing))


def spline_rows(points: Floats, nodes: Floats, smoothing: float = 0.0) -> Floats:
    """Values at ``points`` of the smoothing splines of unit vectors at ``nodes``, (…, points, nodes).

    v(t) = a + b t + Σ_i c_i ‖t − t_i‖³ with Σ c_i = Σ c_i t_i = 0 (Duchon 1976; 12 λ c_i is what is left of y_i).

    Parameters
    ----------
    points : (points,) array
    nodes : (…, nodes) array
    smoothing : float
        λ, as for `letcc`.

    Examples
    --------
    >>> spline_rows(np.array([0.0, 0.5, 2.0]), np.array([0.0, 1.0])).round(12).tolist()
    [[1.0, 0.0], [0.5, 0.5], [-1.0, 2.0]]
    """
    count = nodes.shape[-1]
    if count == 1:
        return np.ones((*nodes.shape[:-1], len(points), 1))
    stiffness = np.abs(nodes[..., :, None] - nodes[..., None, :]) ** 3 + 12 * smoothing * np.eye(count)
    line_at_nodes = np.stack([np.ones_like(nodes), nodes], axis=-1)
    corner = np.zeros((*nodes.shape[:-1], 2, 2))
    upper = np.concatenate([stiffness, line_at_nodes], axis=-1)
    lower = np.concatenate([np.swapaxes(line_at_nodes, -1, -2), corner], axis=-1)
    system = np.concatenate([upper, lower], axis=-2)
    reach = np.abs(points[:, None] - nodes[..., None, :]) ** 3
    line_at_points = np.broadcast_to(np.stack([np.ones_like(points), points], axis=-1), (*reach.shape[:-1], 2))
    wanted = np.concatenate([reach, line_at_points], axis=-1)
    solved = np.linalg.solve(system, np.swapaxes(wanted, -1, -2))  # the system is symmetric
    return np.swapaxes(solved, -1, -2)[..., :count]


@dataclass(frozen=True)
class Spline(Formula):
    """The estimator of spline coding: the smoothing spline of the results that arrived.

    Parameters
    ----------
    points : tuple of float
        Where the unknowns of a `curve_code` are.
    smoothing : float
        λ, as for `letcc`.
    """

    smoothing: float

    def weights(self, points: Floats, nodes: Floats) -> Floats:
        """Those of the smoothing spline."""
        return spline_rows(points, nodes, self.smoothing)
