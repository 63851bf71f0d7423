"""The linear algebra that codes are made of: products of rows, nodes and bases, and row-space certificates.

Everything works on stacks: leading dimensions are independent problems, so that a simulation of thousands of
trials and one running job use the same functions.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""Real arrays: float64 wherever something is decoded, float32 where payloads are."""

EPSILON = float(np.finfo(np.float64).eps)

MODERATE = 400
"""Numbers between 2^-400 and 2^400 have squares, and sums of them, that keep all digits."""


def precision(numbers: object) -> float:
    """Relative precision of an array's numbers, by its type; integers and what is no array count as double.

    Examples
    --------
    >>> precision(np.ones(2)) == EPSILON == precision(3), precision(np.ones(2, np.complex64)) == 2**-23
    (True, True)
    """
    kind = getattr(numbers, "dtype", None)
    return float(np.finfo(kind).eps) if isinstance(kind, np.dtype) and kind.kind in "fc" else EPSILON


def row_kronecker(alpha: Floats, beta: Floats) -> Floats:
    """Kronecker product of matching rows: the generator of workers that multiply two encoded factors.

    Parameters
    ----------
    alpha : (rows, N) array
    beta : (rows, P) array

    Returns
    -------
    (rows, N·P) array
        Row ``r`` is ``alpha[r] ⊗ beta[r]``.

    Examples
    --------
    >>> row_kronecker(np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))
    array([[ 3.,  5.,  6., 10.]])
    """
    rows: Floats = np.einsum("rn,rp->rnp", alpha, beta).reshape(len(alpha), -1)
    return rows


def chebyshev_nodes(count: int) -> Floats:
    """Zeros of the Chebyshev polynomial T_count, from large to small, exactly symmetric about 0.

    Examples
    --------
    >>> chebyshev_nodes(3).round(3)
    array([ 0.866,  0.   , -0.866])
    """
    # The sine form is odd in floating point too; the usual cosine form leaves 6e-17 where 0 belongs.
    nodes: Floats = np.sin((count - 1 - 2 * np.arange(count)) * np.pi / (2 * count))
    return nodes


def chebyshev_rows(points: Floats, count: int) -> Floats:
    """Values of T_0 … T_{count-1} at ``points``, one row a point.

    Examples
    --------
    >>> chebyshev_rows(np.array([0.5]), 4)
    array([[ 1. ,  0.5, -0.5, -1. ]])
    """
    rows: Floats = np.polynomial.chebyshev.chebvander(points, count - 1)
    return rows


def gaussian_frame(rows: int, columns: int, rng: np.random.Generator) -> Floats:
    """Independent Gaussian rows with their columns orthonormalised: any ``columns`` rows are independent.

    Orthonormalising changes the unknowns' basis, not what is decodable, and makes the frame perfectly
    conditioned when all rows arrive. Scaled so that a row has unit norm on average.

    Examples
    --------
    >>> frame = gaussian_frame(8, 6, np.random.default_rng(0))
    >>> bool(np.allclose(frame.T @ frame, 8 / 6 * np.eye(6)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((rows, columns)))
    frame: Floats = q * np.sign(np.diag(r)) * np.sqrt(rows / columns)
    return frame


class Certificate(NamedTuple):
    """A solution V of V G = T with the proof of how well each target is met.

    Attributes
    ----------
    matrix : (…, targets, rows) array
        V, the smallest solution or the best attempt at one.
    backward_error : (…, targets) array
        max |V G − T| / (|V||G| + |T|), componentwise; at most a small multiple of machine epsilon exactly when
        V solves a system whose coefficients differ by rounding only.
    amplification : (…, targets) array
        ‖V_t D‖ / ‖T_t‖ with D the norms of the rows of G: how much rounding in the results is amplified.
    """

    matrix: Floats
    backward_error: Floats
    amplification: Floats


def certify(generator: Floats, targets: Floats) -> Certificate:
    """Solve V G = T for stacks of generators and certify each target.

    Rows and columns are scaled to unit size first, because coefficients may span many decades, and one step of
    iterative refinement makes the componentwise backward error small where a solution exists.

    Parameters
    ----------
    generator : (…, rows, unknowns) array
    targets : (targets, unknowns) array

    Examples
    --------
    >>> certify(np.array([[1.0, 1.0], [0.0, 2.0]]), np.eye(2)).matrix
    array([[ 1. , -0.5],
           [ 0. ,  0.5]])
    """
    row_size = np.linalg.norm(generator, axis=-1)
    row_scale = 1.0 / np.where(row_size > 0, row_size, 1.0)
    scaled = generator * row_scale[..., :, None]
    column_size = np.max(np.abs(scaled), axis=-2, initial=0.0)
    column_scale = 1.0 / np.where(column_size > 0, column_size, 1.0)
    scaled *= column_scale[..., None, :]
    wanted = targets * column_scale[..., None, :]

    inverse = _pseudo_inverse(scaled)
    solution = wanted @ inverse
    solution += (wanted - solution @ scaled) @ inverse
    backward_error = _backward_error(solution, scaled, wanted)
    limit = backward_limit(*generator.shape[-2:])
    if np.any(backward_error > limit):
        solution, backward_error = _polished(solution, backward_error, scaled, wanted, inverse, limit)

    target_size = np.linalg.norm(targets, axis=-1)
    amplification = np.linalg.norm(solution, axis=-1) / np.where(target_size > 0, target_size, 1.0)
    return Certificate(solution * row_scale[..., None, :], backward_error, amplification)


def selected(generator: Floats, targets: Floats) -> Certificate:
    """`certify` where no row combines unknowns: the rows that have an unknown give it, and no other touches it.

    A solver would leave dust where V is zero, and what it multiplies can be larger than what is wanted by any factor.

    Examples
    --------
    >>> selected(np.array([[2.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), np.eye(2)).matrix
    array([[0.25, 0.  , 0.25],
           [0.  , 1.  , 0.  ]])
    """
    largest = np.max(np.abs(generator), axis=-2, keepdims=True, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    share = generator / largest
    energy = np.sum(share**2, axis=-2, keepdims=True)
    inverse = share / np.where(energy > 0, energy, 1.0) / largest
    solution = targets @ np.swapaxes(inverse, -1, -2)
    target_size = np.linalg.norm(targets, axis=-1)
    size = np.linalg.norm(solution * np.linalg.norm(generator, axis=-1)[..., None, :], axis=-1)
    amplification = size / np.where(target_size > 0, target_size, 1.0)
    return Certificate(solution, _backward_error(solution, generator, targets), amplification)


def backward_limit(rows: int, unknowns: int) -> float:
    """Largest componentwise backward error that counts as rounding: c·eps with c = rows + unknowns."""
    return (rows + unknowns) * EPSILON


def _polished(
    solution: Floats, backward_error: Floats, generator: Floats, targets: Floats, inverse: Floats, limit: float
) -> tuple[Floats, Floats]:
    # Beside nearly dependent rows one step of refinement is not enough for what is itself well conditioned.
    for _ in range(3):
        if not np.any((backward_error > limit) & (backward_error < 1e-3)):
            break
        refined = solution + (targets - solution @ generator) @ inverse
        solution, backward_error = _better(refined, solution, backward_error, generator, targets)
    # Rounding leaves dust where a sparse solution has zeros, and dust has no small relative residual.
    largest = np.max(np.abs(solution), axis=-1, keepdims=True, initial=0.0)
    swept = np.where(np.abs(solution) < 1e-12 * largest, 0.0, solution)
    solution, backward_error = _better(swept, solution, backward_error, generator, targets)
    for place in np.argwhere((backward_error > limit) & (backward_error < 1e-3)):
        at, which = tuple(place), tuple(place[:-1])
        solution[at], backward_error[at] = _evened(solution[at], backward_error[at], generator[which], targets[at])
    return solution, backward_error


def _evened(solution: Floats, error: Any, generator: Floats, target: Floats) -> tuple[Floats, Any]:
    """Spread what the rounding of coefficients leaves over the unknowns in proportion to what each can bear.

    Least squares leave it where it is smallest in all, and that may be on an unknown of which little is used.
    """
    for _ in range(2):
        size = np.abs(solution) @ np.abs(generator) + np.abs(target)
        weight = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        step = ((target - solution @ generator) * weight) @ np.linalg.pinv(generator * weight, rcond=1e-13)
        found = _backward_error((solution + step)[None], generator, target[None])[0]
        if not found < error:
            break
        solution, error = solution + step, found
    return solution, error


def _better(
    candidate: Floats, solution: Floats, backward_error: Floats, generator: Floats, targets: Floats
) -> tuple[Floats, Floats]:
    error = _backward_error(candidate, generator, targets)
    better = error < backward_error
    return np.where(better[..., None], candidate, solution), np.where(better, error, backward_error)


def _pseudo_inverse(matrices: Floats) -> Floats:
    if matrices.shape[-1] == matrices.shape[-2]:
        try:
            inverse = np.linalg.inv(matrices)
            # A singular matrix that rounding made regular has a huge inverse.
            if np.all(np.abs(inverse) < 1e12):
                return inverse
        except np.linalg.LinAlgError:
            pass  # at least one of the stack is singular
    # A singular value below 1e-13 stands for an amplification that no bound on exactness admits.
    return np.linalg.pinv(matrices, rcond=1e-13)


def _backward_error(solution: Floats, generator: Floats, targets: Floats) -> Floats:
    residual = np.abs(solution @ generator - targets)
    size = np.abs(solution) @ np.abs(generator) + np.abs(targets)
    ratio = np.divide(residual, size, out=np.zeros_like(residual), where=size > 0)
    ratio = np.where(np.isfinite(residual), ratio, np.inf)
    worst: Floats = np.max(ratio, axis=-1, initial=0.0)
    return worst


class RowSpace:
    """The span of the rows seen so far, grown one row at a time, and how far the targets are from it.

    It costs O(rank·unknowns) a row and tells when a certificate is worth computing; it proves nothing itself.

    Parameters
    ----------
    scale : (unknowns,) array
        Sizes of the generator's columns, so that no column is invisible beside another.
    targets : (targets, unknowns) array
    """

    def __init__(self, scale: Floats, targets: Floats) -> None:
        self._scale = 1.0 / np.where(scale > 0, scale, 1.0)
        self._missing = targets * self._scale
        norms = np.linalg.norm(self._missing, axis=1, keepdims=True)
        self._missing = self._missing / np.where(norms > 0, norms, 1.0)
        self._distance = float(bool(norms.any()))  # squared, of the farthest target
        self._basis = np.zeros((min(8, len(scale)), len(scale)))
        self.rank = 0

    def add(self, row: Floats) -> bool:
        """Add a row and tell whether it was independent of the ones before."""
        vector = row * self._scale
        size = math.sqrt(vector @ vector)
        if size == 0 or self.rank == len(vector):
            return False
        basis = self._basis[: self.rank]
        vector /= size
        for _ in range(2):  # the second pass removes what rounding left of the first
            vector -= (basis @ vector) @ basis
        rest = math.sqrt(vector @ vector)
        if rest < 1e-10:
            return False
        self._append(vector / rest)
        return True

    def _append(self, direction: Floats) -> None:
        if self.rank == len(self._basis):
            grown = np.zeros((min(2 * self.rank, len(direction)), len(direction)))
            grown[: self.rank] = self._basis
            self._basis = grown
        self._basis[self.rank] = direction
        self.rank += 1
        self._missing -= (self._missing @ direction)[:, None] * direction
        self._distance = float(np.einsum("ij,ij->i", self._missing, self._missing).max(initial=0.0))

    @property
    def near(self) -> bool:
        """Whether every target may lie in the span, so that `certify` should decide."""
        return self._distance < 1e-10
