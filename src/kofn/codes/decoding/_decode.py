"""The estimators: from a code and the rows that arrived to the matrix V that turns results into targets.

Whatever the estimator, a target counts as *exact* only by two statements that know nothing of the data but its sizes:

* it lies in the row space of what arrived, by componentwise backward error
  |V G − T| ≤ c·eps·(|V||G| + |T|) with c = rows + unknowns; and
* rounding in the results, amplified by V, leaves at least half of their digits:
  amplification · epsilon ≤ √epsilon, where epsilon belongs to the results' own precision. What is amplified is measured
  against the target's own size: a code over data of unlike sizes says how unlike (`LinearCode.spread`).

The expected error of what is not exact needs only the prior: E‖Vy − Tu‖² = tr (T − VG) S (T − VG)ᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ..._base._numbers import EPSILON, Certificate, Floats, backward_limit, certify, selected
from .._copies import CopyCode
from .._linear import LinearCode
from .._prior import Prior
from .._sparse import is_sparse, row_sizes

NOISE = 16.0
"""Rounding noise of a result, in units of its epsilon, that the LMMSE estimator reckons with."""


@dataclass(frozen=True, eq=False)
class Decoding:
    """V for the rows that arrived, and what is known of its quality; leading dimensions are separate trials.

    Parameters
    ----------
    matrix : (…, targets, received) array
        V: multiply it with the results, in the order of the rows given, to get the targets.
    recovered : (…, targets) bool array
        Which targets are exact.
    error : (…) array
        Expected relative error √(expected loss / expected energy) over all targets; 0 where all are exact.
    backward_error : (…) array
        Largest componentwise backward error of the targets.
    amplification : (…) array
        Largest factor by which rounding in the results is amplified in a target.
    """

    matrix: Floats
    recovered: NDArray[np.bool_]
    error: Floats
    backward_error: Floats
    amplification: Floats

    @property
    def exact(self) -> bool:
        """Whether every target is exact (in every trial)."""
        return bool(np.all(self.recovered))


Rule = Callable[[Floats, Floats, Floats, Prior, float], Floats]
"""(V of the certificate, G received, T, prior, epsilon) → V used for targets that are not recovered."""

Estimator = str | Rule
"""A name in `ESTIMATORS`, or a rule that belongs to one code, such as a formula of the nodes that were received."""


def zero_fill(solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
    """Use zero for what is not recovered: what the papers do (Tegin et al. 2022, Sec. IV-C)."""
    return np.zeros_like(solution)


def least_squares(solution: Floats, generator: Floats, targets: Floats, prior: Prior, epsilon: float) -> Floats:
    """V = T S Gᵀ (G S Gᵀ + D²)⁻¹, the linear minimum mean square error estimate.

    D is the rounding noise of the results, so that nothing is amplified beyond what it is worth. It works on the
    singular values of G F with S = F Fᵀ, never on the squared matrix, and leaves out directions that are no
    larger than that noise: dependent rows make such directions, and they hold rounding alone.
    """
    size = np.sqrt(generator**2 @ prior.energies)
    scale = 1.0 / np.where(size > 0, size, 1.0)
    left, values, right = np.linalg.svd(prior.weigh(generator * scale[..., :, None]), full_matrices=False)
    noise = NOISE * epsilon
    heard = values > noise * np.max(values, axis=-1, keepdims=True, initial=1.0)
    gain = np.where(heard, values / (values**2 + noise**2), 0.0)
    projected = prior.weigh(targets) @ np.swapaxes(right, -1, -2)
    matrix: Floats = (projected * gain[..., None, :]) @ np.swapaxes(left, -1, -2) * scale[..., None, :]
    if prior.common is not None:
        seen = (generator @ prior.common) * scale
        weight = np.where(heard, 1.0 / (values**2 + noise**2), 0.0)
        against = np.einsum("...rk,...k,...sk,...s->...r", left, weight, left, seen, optimize=True)
        matrix += unbiased(matrix @ generator, against * scale, seen / scale, targets, prior.common)
    return matrix


def unbiased(reached: Floats, against: Floats, seen: Floats, targets: Floats, common: Floats) -> Floats:
    """What is added to an estimate V so that (V G − T) n = 0 at the least price: (T − VG) n hᵀ / (G n)ᵀ h.

    Parameters
    ----------
    reached : (…, targets, unknowns) array
        V G.
    against : (…, received) array
        h = (G S Gᵀ)⁻¹ G n, with n what the unknowns have in common.
    seen : (…, received) array
        G n.
    """
    missing = (targets - reached) @ common
    gain = np.sum(seen * against, axis=-1)
    share = np.divide(1.0, gain, out=np.zeros_like(gain), where=gain > 0)
    result: Floats = missing[..., :, None] * (against * share[..., None])[..., None, :]
    return result


ESTIMATORS: dict[str, Rule] = {"lmmse": least_squares, "exact": zero_fill, "peeling": zero_fill}
"""How targets that are not exact are estimated; "peeling" also counts as exact only what peeling recovers."""

ZERO_FILLED = ("exact", "peeling")
"""Names of the estimators that use zero for what is not recovered."""


def checked(call: str, estimator: Any) -> Estimator:
    """Return an estimator as it is, or refuse what is none.

    Examples
    --------
    >>> checked("f", "lmmse")
    'lmmse'
    """
    if callable(estimator):
        rule: Rule = estimator
        return rule
    return checks.choice(call, "estimator", estimator, ESTIMATORS, "'lmmse' is the usual choice")


def decode(
    code: LinearCode,
    rows: NDArray[np.intp] | Sequence[int],
    prior: Prior | None = None,
    estimator: Estimator = "lmmse",
    epsilon: float = EPSILON,
) -> Decoding:
    """Find the best V for the rows that arrived.

    Parameters
    ----------
    code : LinearCode
    rows : (…, received) int array
        Rows that arrived, in the order in which their results will be given to `apply`.
    prior : Prior, optional
        What is expected of the unknowns; independent and of equal energy by default, and where it expects zeros alone:
        errors are relative, and relative to nothing all that is missing counts.
    estimator : {"lmmse", "exact", "peeling"} or Rule
        What to use for targets that are not exact: the least-squares best estimate, zero, or what a rule of one
        code says. With "peeling" a target is exact only if peeling (of LT codes) recovers every unknown that it
        uses.
    epsilon : float
        Relative precision of the results' numbers.

    Returns
    -------
    Decoding

    Raises
    ------
    ArgumentError
        The code has no such rows, or the prior speaks of other unknowns.

    Examples
    --------
    Two of three rows of a parity code give everything; one gives a share of the energy:

    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> decode(code, [0, 2]).matrix
    array([[ 1.,  0.],
           [-1.,  1.]])
    >>> round(float(decode(code, [2]).error), 3)
    0.707
    """
    call = "kofn.codes.decoding._decode.decode"
    estimator, rows = checked(call, estimator), _rows_of(call, code, rows)
    if prior is not None and (not isinstance(prior, Prior) or prior.unknowns != code.unknowns):
        must, remedy = f"be a Prior of {code.unknowns} unknowns", "leave it out for equal energies"
        raise checks.refusal(call, "prior", must, getattr(prior, "unknowns", repr(prior)), remedy)
    if isinstance(code, CopyCode) and rows.ndim == 1:
        from ._picking import covered, picked  # it makes a `Decoding`

        if covered(code, rows) or estimator in ZERO_FILLED:
            return picked(code, rows, prior)
    if prior is None or not prior.energy(code.targets) > 0:
        prior = Prior.independent(np.ones(code.unknowns))
    if estimator == "peeling" or is_sparse(code.generator):
        from ._sparse import decode_sparse  # SciPy is not needed for dense codes

        return decode_sparse(code, rows, prior, estimator, epsilon)
    return decode_dense(code.generator[rows], code.targets, prior, estimator, epsilon, code)


def _rows_of(call: str, code: LinearCode, rows: Any) -> NDArray[np.intp]:
    """Numbers of rows as an array, or refuse them: a mask or -1 would silently mean other rows."""
    given = np.asarray(rows)
    known = given.dtype.kind in "iu" and given.min(initial=0) >= 0 and given.max(initial=-1) < code.rows
    if given.ndim == 0 or not (known or given.size == 0):
        must, remedy = f"hold ints from 0 to {code.rows - 1}", "say which rows of the code arrived"
        raise checks.refusal(call, "rows", must, repr(rows), remedy)
    return given.astype(np.intp, copy=False)


def decode_dense(
    generator: Floats,
    targets: Floats,
    prior: Prior,
    estimator: Estimator,
    epsilon: float,
    code: LinearCode | None = None,
) -> Decoding:
    """`decode` for stacks of dense generators, (…, received, unknowns), of a code whose unknowns are of like size."""
    certificate = _certified(generator, targets, code)
    recovered = exactly(certificate.backward_error, certificate.amplification, generator, epsilon)
    matrix = certificate.matrix
    if not np.all(recovered):
        rule = ESTIMATORS[estimator] if isinstance(estimator, str) else estimator
        estimate = rule(matrix, generator, targets, prior, epsilon)
        matrix = np.where(recovered[..., None], matrix, estimate)
    spread = None if code is None else code.spread
    return assessed(generator, targets, matrix, recovered, certificate.backward_error, prior, epsilon, spread)


def _certified(generator: Floats, targets: Floats, code: LinearCode | None) -> Certificate:
    """V for rows of a code: taken from them where nothing is mixed, solved for elsewhere; in units of the data."""
    plain = code is not None and not code.mixes
    certificate = selected(generator, targets) if plain else certify(generator, targets)
    if code is None or code.spread is None:
        return certificate
    amplification = amplification_of(generator, targets, certificate.matrix, code.spread)
    return certificate._replace(amplification=amplification)


def decodable(
    code: LinearCode,
    rows: NDArray[np.intp] | Sequence[int],
    epsilon: float = EPSILON,
    estimator: Estimator = "lmmse",
) -> NDArray[np.bool_]:
    """Tell whether rows (…, received) make every target exact, as `decode` would find, without estimating.

    Examples
    --------
    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> decodable(code, [[0, 1], [1, 2]])
    array([ True,  True])
    """
    rows = _rows_of("kofn.codes.decoding._decode.decodable", code, rows)
    if isinstance(code, CopyCode) and rows.ndim == 1:
        from ._picking import covered as holds_all

        return np.asarray(holds_all(code, rows))
    if estimator == "peeling" or is_sparse(code.generator):
        from ._sparse import decodable_sparse

        return decodable_sparse(code, rows, estimator, epsilon)
    generator = code.generator[rows]
    # A target that uses an unknown which no row has seen needs no linear algebra to be ruled out.
    wanted = np.any(code.targets != 0, axis=0)
    result: NDArray[np.bool_] = np.asarray(np.all(np.any(generator != 0, axis=-2) | ~wanted, axis=-1))
    covered = generator[result]
    certificate = _certified(covered, code.targets, code)
    recovered = exactly(certificate.backward_error, certificate.amplification, covered, epsilon)
    result[result] = np.all(recovered, axis=-1)
    return result


def exactly(backward_error: Floats, amplification: Floats, generator: Floats, epsilon: float) -> NDArray[np.bool_]:
    """Apply the two statements of this module's heading to certified targets."""
    in_row_space = backward_error <= backward_limit(*generator.shape[-2:])
    stable: NDArray[np.bool_] = in_row_space & (amplification * epsilon <= np.sqrt(epsilon))
    return stable


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
        sizes = np.sqrt(spread**2 @ np.swapaxes(generator**2, -1, -2))
    weighed = matrix * sizes
    with np.errstate(over="ignore"):
        size: Floats = np.linalg.norm(weighed, axis=-1)
    if not np.isfinite(size).all():  # an estimate of what is large from what is small
        size = np.hypot.reduce(weighed, axis=-1)
    return size / np.where(target_size > 0, target_size, 1)


def assessed(
    generator: Any,
    targets: Floats,
    matrix: Floats,
    recovered: NDArray[np.bool_],
    backward_error: Floats,
    prior: Prior,
    epsilon: float,
    spread: Floats | None = None,
) -> Decoding:
    """Put a decoding together: V with its expected error under the prior."""
    amplification = np.max(amplification_of(generator, targets, matrix, spread), axis=-1, initial=0.0)
    # Many results that say the same average their rounding away, but not that of the weights.
    amplification = np.maximum(amplification, recovered.any(axis=-1))
    energy = prior.energy(targets)
    loss = prior.loss(targets - matrix @ generator)
    share = np.sqrt(loss / energy) if energy > 0 else np.ones_like(loss)
    rounding = epsilon * _heard(generator, matrix, prior) / np.sqrt(energy) if energy > 0 else np.zeros_like(loss)
    error = np.where(recovered.all(axis=-1), 0.0, np.maximum(share, rounding))
    return Decoding(matrix, recovered, error, np.max(backward_error, axis=-1, initial=0.0), amplification)


def _heard(generator: Any, matrix: Floats, prior: Prior) -> Floats:
    """‖V D‖, (…), with D the expected sizes of the results: what of their relative rounding gets into the targets.

    Unlike `amplification_of` it knows how large results are: in an estimate, weights of small ones may be large.
    """
    squares = generator.power(2) if is_sparse(generator) else generator**2
    with np.errstate(over="ignore"):
        heard: Floats = np.linalg.norm(matrix * np.sqrt(squares @ prior.squares)[..., None, :], axis=(-2, -1))
    return heard
