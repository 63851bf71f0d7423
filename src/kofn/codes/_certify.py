"""Solve V G = T, and prove how well each target is met.

Leading dimensions are independent problems, so that a simulation of thousands of trials and one running job use the
same functions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._base._numbers import EPSILON, Floats
from ._sparse import is_sparse, row_sizes


class Certificate(NamedTuple):
    """A solution V of V G = T with the proof of how well each target is met.

    Attributes
    ----------
    matrix : (…, targets, rows) array
        V, the smallest solution or the best attempt at one.
    backward_error : (…, targets) array
        ``max |V G − T| / (|V||G| + |T|)``, componentwise; at most a small multiple of machine epsilon exactly when
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
    error = backward_error(solution, scaled, wanted)
    limit = backward_limit(*generator.shape[-2:])
    if np.any(error > limit):
        solution, error = _polish(solution, error, scaled, wanted, inverse, limit)

    target_size = np.linalg.norm(targets, axis=-1)
    amplification = np.linalg.norm(solution, axis=-1) / np.where(target_size > 0, target_size, 1.0)
    return Certificate(solution * row_scale[..., None, :], error, amplification)


def select(generator: Floats, targets: Floats) -> Certificate:
    """`certify` where no row combines unknowns: the rows that have an unknown give it, and no other touches it.

    A solver would leave dust where V is zero, and what it multiplies can be larger than what is wanted by any factor.

    Examples
    --------
    >>> select(np.array([[2.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), np.eye(2)).matrix
    array([[0.25, 0.  , 0.25],
           [0.  , 1.  , 0.  ]])
    """
    largest = np.max(np.abs(generator), axis=-2, keepdims=True, initial=0.0)
    largest = np.where(largest > 0, largest, 1.0)
    share = generator / largest
    energy = np.sum(share**2, axis=-2, keepdims=True)
    inverse = share / np.where(energy > 0, energy, 1.0) / largest
    solution = targets @ np.swapaxes(inverse, -1, -2)
    error = backward_error(solution, generator, targets)
    return Certificate(solution, error, amplification_of(generator, targets, solution))


def amplification_of(generator: Any, targets: Floats, matrix: Floats, spread: Floats | None = None) -> Floats:
    """‖V_t D_t‖ / ‖T_t‖, (…, targets), with D_t the norms of the rows of G, columns weighed with row t of the spread.

    Examples
    --------
    >>> G, T, V = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]]), np.array([[1.0, -1.0]])
    >>> amplification_of(G, T, V).round(3), amplification_of(G, T, V, np.array([[1.0, 100.0]])).round(3)
    (array([1.732]), array([141.425]))
    """
    target_size = np.linalg.norm(targets, axis=-1)
    if spread is None:
        sizes = row_sizes(generator)[..., None, :]
    else:
        squares = generator.power(2).T if is_sparse(generator) else np.swapaxes(generator**2, -1, -2)
        sizes = np.sqrt(spread**2 @ squares)
    weighed = matrix * sizes
    with np.errstate(over="ignore"):
        size: Floats = np.linalg.norm(weighed, axis=-1)
    if not np.isfinite(size).all():  # an estimate of what is large from what is small
        size = np.hypot.reduce(weighed, axis=-1)
    return size / np.where(target_size > 0, target_size, 1)


def backward_limit(rows: int, unknowns: int) -> float:
    """Largest componentwise backward error that counts as rounding: c·eps with c = rows + unknowns."""
    return (rows + unknowns) * EPSILON


def _polish(
    solution: Floats, error: Floats, generator: Floats, targets: Floats, inverse: Floats, limit: float
) -> tuple[Floats, Floats]:
    # Beside nearly dependent rows one step of refinement is not enough for what is itself well conditioned.
    for _ in range(3):
        if not np.any((error > limit) & (error < 1e-3)):
            break
        refined = solution + (targets - solution @ generator) @ inverse
        solution, error = _keep_better(refined, solution, error, generator, targets)
    # Rounding leaves dust where a sparse solution has zeros, and dust has no small relative residual.
    largest = np.max(np.abs(solution), axis=-1, keepdims=True, initial=0.0)
    swept = np.where(np.abs(solution) < 1e-12 * largest, 0.0, solution)
    solution, error = _keep_better(swept, solution, error, generator, targets)
    for place in np.argwhere((error > limit) & (error < 1e-3)):
        at, which = tuple(place), tuple(place[:-1])
        solution[at], error[at] = _even_out(solution[at], error[at], generator[which], targets[at])
    return solution, error


def _even_out(solution: Floats, error: Any, generator: Floats, target: Floats) -> tuple[Floats, Any]:
    """Spread what the rounding of coefficients leaves over the unknowns in proportion to what each can bear.

    Least squares leave it where it is smallest in all, and that may be on an unknown of which little is used.
    """
    for _ in range(2):
        size = np.abs(solution) @ np.abs(generator) + np.abs(target)
        weight = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        step = ((target - solution @ generator) * weight) @ np.linalg.pinv(generator * weight, rcond=1e-13)
        found = backward_error(solution + step, generator, target)
        if not found < error:
            break
        solution, error = solution + step, found
    return solution, error


def _keep_better(
    candidate: Floats, solution: Floats, error: Floats, generator: Floats, targets: Floats
) -> tuple[Floats, Floats]:
    found = backward_error(candidate, generator, targets)
    better = found < error
    return np.where(better[..., None], candidate, solution), np.where(better, found, error)


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


def backward_error(solution: Floats, generator: Any, targets: Floats) -> Floats:
    """Largest componentwise backward error |V G − T| / (|V||G| + |T|) of each target, (…, targets).

    Parameters
    ----------
    solution : (…, targets, rows) array
    generator : (…, rows, unknowns) array, or SciPy sparse array
    targets : (…, targets, unknowns) array
        One target alone needs no dimension for targets, here and in ``solution``.

    Examples
    --------
    >>> float(backward_error(np.array([1.0, 1.0]), np.eye(2), np.array([1.0, 3.0])))
    0.5
    """
    residual = np.abs(solution @ generator - targets)
    size = np.abs(solution) @ abs(generator) + np.abs(targets)
    ratio = np.divide(residual, size, out=np.zeros_like(residual), where=size > 0)
    return np.asarray(np.max(np.where(np.isfinite(residual), ratio, np.inf), axis=-1, initial=0.0))
