"""Lagrange coded computing: exact values of a polynomial f at K inputs, from any (K − 1)d + 1 workers (Yu et al.).

The curve e(z) = Σ_k ℓ_k(z) X_k goes through the inputs at β_k, so v = f∘e is a polynomial of degree (K − 1)d
(Agrawal et al., Sec. II). Over the reals all depends on nodes: Chebyshev nodes α for the workers, and β among them, so
that K of the rows are the outputs themselves and neither the curve nor its values grow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._base._numbers import Array, Flags, Floats, epsilon_of
from ...checks import generator as random_generator
from ...checks import integer, named, number
from ...codes._bases import chebyshev_nodes, chebyshev_rows
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._learning import in_double, unit_size
from . import _masks as masks
from ._calls import CALL
from ._code import Mixture, check_sizes, lagrange_rows, require_rows, spread_among
from ._curve import curve_code, points_of
from ._gaussian_process import GaussianProcess
from ._mixing import Mixing, spread_of
from ._model import ScaledPrior
from ._scheme import FunctionScheme


@named("kofn.schemes.lagrange")
def lagrange(
    f: Callable[[Any], Any],
    inputs: Any,
    *,
    degree: int | None = None,
    private: int = 0,
    mask: float = 100.0,
    workers: int | None = None,
    rows: int | None = None,
    rng: Any = None,
) -> FunctionScheme:
    """Values of f along the polynomial through the inputs: any R = (K − 1)·degree + 1 are enough.

    Load 1; threshold R; amplification of order 1 with all results, up to some 1e5 when random 4 of 50 are missing, and
    exponential in the number of neighbours that are missing: an answer may be decodable and yet not be called exact.
    The master encodes at 2·K·rows·(size of an input) flops and decodes at 2·K·R·(size of an output).

    Parameters
    ----------
    f : callable
        A polynomial, of total degree at most ``degree`` in the entries of its input; for matrices: sums and products
        of the input and constants, traces, entries, with at most so many factors. What is not is decoded all the
        same: one result beyond R tells, and the report says whether there was one. `kofn.fit` finds out before.
    inputs : (K, …) array or sequence of K arrays of one shape
    degree : int
        d.
    private : int
        T, masks that hide the inputs from any T workers that put together what they got: R = (K + T − 1)·degree + 1.
        Over the reals this is not secrecy: `kofn.schemes.leakage_bits` says how many bits a number still tells. What f
        is, sizes, shapes and timing are not hidden, nor is anything from more than T workers or from a worker that
        has several rows.
    mask : float
        Size of the masks relative to the inputs: ten times larger hides a hundred times better, and costs ``degree``
        digits of the outputs.
    workers, rows : int, optional
        Coded rows (one per worker by default) and the workers that they are dealt to.
    rng : None, int or Generator
        Draws the masks; give none where they are to hide something.

    Returns
    -------
    FunctionScheme

    Raises
    ------
    ArgumentError
        There are fewer than R rows.

    References
    ----------
    Q. Yu, S. Li, N. Raviv, S. M. M. Kalan, M. Soltanolkotabi, S. Avestimehr, "Lagrange Coded Computing: Optimal
    Design for Resiliency, Security, and Privacy", AISTATS 2019; Agrawal et al. 2022, Sec. II.

    Examples
    --------
    >>> code = lagrange(np.square, [1.0, 2.0, 3.0], degree=2, workers=8).code
    >>> code.threshold, code.rows
    (5, 8)
    """
    d = integer(CALL, "degree", degree, 1, "say of which degree f is a polynomial in the entries of its input")
    X, worker = check_sizes(inputs, workers, rows)
    K, count = len(X), len(worker)
    T = integer(CALL, "private", private, 0, "0 hides nothing")
    size = number(CALL, "mask", mask, "100.0 is the default", strict=True)
    recover = (K + T - 1) * d + 1
    require_rows("lagrange", recover, count, f"(K + private − 1)·degree + 1 with {K} inputs and degree {d}")
    alpha = chebyshev_nodes(count)
    nodes = masks.between(alpha, K + T) if T else spread_among(alpha, K)
    plain, masked = masks.mask_places(K, T)
    beta, points = nodes[plain], np.empty((K + T, *X.shape[1:]), X.dtype)
    points[plain], points[masked] = X, masks.draw_masks(X, T, size, random_generator(CALL, rng))
    generator, higher = np.split(chebyshev_rows(alpha, recover + K + T - 1), [recover], axis=1)
    targets, missed = np.split(chebyshev_rows(beta, recover + K + T - 1), [recover], axis=1)
    code = LinearCode("lagrange", generator, targets, worker, threshold=recover)
    prior = coefficient_prior(points, nodes, d, recover)
    mixing = Mixing(
        f"a polynomial of degree {d}",
        (higher, missed),
        spread_of(points, plain),
        points[0].size,
        max(1.0, size) ** d if T else 1.0,  # results are larger than outputs by what f makes of the masks
        AnyFunction(alpha, beta, nodes, worker, points),
    )
    arguments, model = Mixture(lagrange_rows(alpha, nodes), points), ScaledPrior(code, prior)
    return FunctionScheme(code, [f] * count, arguments, model, precision=epsilon_of(X), mixing=mixing)


@dataclass(frozen=True, eq=False)
class AnyFunction:
    """The error bar of the outputs where f is no polynomial of this degree: it is some function of its input.

    Parameters
    ----------
    alpha, beta, nodes : arrays
        Where rows, outputs and the points that are mixed are on the curve.
    worker : (rows,) int array
    points : (points, …) array
    """

    alpha: Floats
    beta: Floats
    nodes: Floats
    worker: Array
    points: Array

    def __call__(self, matrix: Floats, recovered: Flags, rows: Sequence[int], results: Sequence[Array]) -> float:
        code = curve_code("lagrange", self.alpha, self.beta, self.worker)
        mix = lagrange_rows(points_of(self.alpha, self.beta), self.nodes)
        return GaussianProcess.along(code, mix, self.points).error(matrix, recovered, rows, results)


def coefficient_prior(points: Array, at: Floats, degree: int, recover: int) -> Prior:
    """Prior of the Chebyshev coefficients of v for a random polynomial f along the curve through these points."""
    nodes = chebyshev_nodes(recover)
    covariance = polynomial_covariance(lagrange_rows(nodes, at), points, degree)
    transform = np.linalg.inv(chebyshev_rows(nodes, recover))
    coefficients = transform @ covariance @ transform.T
    return Prior.correlated((coefficients + coefficients.T) / 2)


def polynomial_covariance(rows: Floats, X: Array, degree: int) -> Floats:
    """Inner products of the values of a random polynomial at the mixtures ``rows @ X``, (points, points).

    k(x, x′) = (1 + ⟨x, x′⟩ / s)^degree, with s the mean energy of the inputs: every polynomial of that degree, those
    invariant under rotations (Kostlan's ensemble, with all lower degrees).

    Parameters
    ----------
    rows : (points, K) array
    X : (K, …) array
    degree : int

    Examples
    --------
    >>> polynomial_covariance(np.eye(2), np.array([1.0, -1.0]), 2)
    array([[4., 0.],
           [0., 4.]])
    """
    flat, _ = unit_size(in_double(X.reshape(len(X), -1)))
    gram = (flat @ flat.conj().T).real
    size = np.trace(gram) / len(gram)
    covariance: Floats = (1.0 + rows @ gram @ rows.T / (size if size > 0 else 1.0)) ** degree
    return covariance
