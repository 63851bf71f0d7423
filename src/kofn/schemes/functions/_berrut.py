"""Berrut approximated coded computing: any function, any number of results (Jahani-Nezhad and Maddah-Ali).

Inputs and results are interpolated by Berrut's rational function, which has no poles on the line and stays as small
as what it goes through: r(z) = Σ_i (−1)^i y_i / (z − z_i) / Σ_i (−1)^i / (z − z_i).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ...codes._bases import chebyshev_nodes
from .._request import builder
from ._code import barycentric_rows
from ._curve import CurveRequest, Formula
from ._scheme import FunctionScheme


@builder(CurveRequest)
def berrut(asked: CurveRequest) -> FunctionScheme:
    """Values of f along Berrut's curve through the inputs, interpolated from whichever results have come.

    Load 1; never exact, so it waits for ``recover`` results; amplification below 2 + log(results) while at most a sixth
    of the rows is missing, and up to some 11, of 6 to 12 rows, when half are. The master encodes at
    2·K·rows·(size of an input) flops and decodes at 2·K·(results)·(size of an output). The error falls with the number
    of workers where f∘e is smooth; with a few workers and a rough f it can be larger than that of the mean of the
    results: see its ``skill`` in `kofn.fit`.

    Parameters
    ----------
    f : callable
        Any function; it is evaluated between and slightly beyond the inputs.
    inputs : (K, …) array or sequence of K arrays of one shape
    recover : int, optional
        Results to wait for; three quarters of the rows by default.
    workers, rows : int, optional
        Rows (one per worker by default) and the workers that they are dealt to.
    rng : ignored
        No code of this table needs to be asked whether it draws.

    Returns
    -------
    FunctionScheme
        Its estimator is `Berrut`; with ``estimator="lmmse"`` it is decoded as `kofn.schemes.kriging` is.

    References
    ----------
    T. Jahani-Nezhad, M. A. Maddah-Ali, "Berrut Approximated Coded Computing: Straggler Resistance Beyond Polynomial
    Computing", IEEE Trans. Pattern Anal. Mach. Intell. 45(1), 2023.

    Examples
    --------
    >>> berrut(np.tanh, [[0.0, 1.0], [1.0, 0.0]], workers=6).enough
    5
    """
    X, worker = asked.sizes
    return asked.scheme("berrut", workers_nodes(len(worker)), chebyshev_nodes(len(X)), berrut_rows, Berrut)


def berrut_rows(points: Floats, nodes: Floats) -> Floats:
    """Weights of values at ``nodes`` in Berrut's interpolant at ``points``, (…, points, nodes).

    Examples
    --------
    >>> berrut_rows(np.array([0.0, 1.0]), np.array([1.0, -1.0])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    return barycentric_rows(points, nodes, alternating(nodes))


def workers_nodes(rows: int) -> Floats:
    """Nodes α that never meet the Chebyshev nodes β of any number of inputs, cos((2k + 1)π / 2K).

    For an even number of rows the paper's, cos(iπ / (rows − 1)): 2Ki = (2k + 1)(rows − 1) is even on one side only.
    For an odd number those would share at least 0; cos((i + 1/3)π / rows) does not, as 2K(3i + 1) is even and
    3(2k + 1)·rows odd.

    Examples
    --------
    >>> workers_nodes(4).round(3).tolist(), workers_nodes(3).round(3).tolist()
    ([1.0, 0.5, -0.5, -1.0], [0.94, 0.174, -0.766])
    """
    index = np.arange(rows)
    angles = index / (rows - 1) if rows % 2 == 0 else (index + 1 / 3) / rows
    return np.cos(np.pi * angles)


def alternating(nodes: Floats) -> Floats:
    """Signs that alternate along the line, whatever the order of the nodes, (…, nodes).

    Over the survivors, not over all workers: two neighbours of one sign would make a pole between them.

    Examples
    --------
    >>> alternating(np.array([0.3, -1.0, 0.1])).tolist()
    [1.0, 1.0, -1.0]
    """
    rank = np.argsort(np.argsort(nodes, axis=-1), axis=-1)
    return np.where(rank % 2 == 0, 1.0, -1.0)


@dataclass(frozen=True)
class Berrut(Formula):
    """The estimator of Berrut coding: his interpolant of the results that arrived."""

    def weights(self, points: Floats, nodes: Floats) -> Floats:
        """Those of Berrut's interpolant."""
        return berrut_rows(points, nodes)
