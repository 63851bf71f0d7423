"""Decoding sparse codes: shortcuts that need no equation, peeling, and scaled conjugate gradients.

What counts as exact is said in `_assess` and tested here in the same way, whichever way V was found:

1. rows that are equal or disjoint decode as soon as they cover the targets;
2. a target with an unknown that no row has seen is out of reach, and iterations would stall on it;
3. all unknowns received alone, or all rows of one worker, add up (Mallick, Joshi 2022, Sec. III-B);
4. small sets of rows are solved as dense ones;
5. peeling; then conjugate gradients on row- and column-scaled equations, refined until the backward error is
   that of rounding; then, where memory allows, an orthogonal factorisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg, lsmr

from ..._base._numbers import Floats, Indices
from .._certify import amplification_of, backward_error, backward_limit
from .._linear import LinearCode
from .._prior import Prior
from ._assess import Decoding, are_exact, assess
from ._dense import decode_dense
from ._estimators import Estimator, EstimatorRule, fill_with_zeros, least_squares, remove_bias, rule_of
from ._peeling import solve_by_peeling

DENSE_NUMBERS = 1 << 16
"""Sets of rows with up to so many coefficients, zeros included, are solved as dense ones."""

FACTOR_NUMBERS = 1 << 21
"""Up to so many an orthogonal factorisation is tried when iterations fail: about a second."""

ITERATIONS = 2000

TOLERANCE = 1e-12
"""Relative residual at which iterations stop, and backward error above which they are refined."""


def decode_sparse(code: LinearCode, rows: Indices, prior: Prior, estimator: Estimator, epsilon: float) -> Decoding:
    """`kofn.codes.decoding.decode` for a sparse code, or by peeling; a stack is decoded set by set."""
    if rows.ndim > 1:
        flat = rows.reshape(-1, rows.shape[-1])
        parts = [decode_sparse(code, part, prior, estimator, epsilon) for part in flat]
        fields = ("matrix", "recovered", "error", "backward_error", "amplification")
        stacked = [np.array([getattr(part, name) for part in parts]) for name in fields]
        return Decoding(*(array.reshape(rows.shape[:-1] + array.shape[1:]) for array in stacked))
    generator = csr_array(code.generator)[rows]
    groups = None if estimator == "peeling" else code.disjoint
    small = groups is None and estimator != "peeling" and np.prod(generator.shape) <= DENSE_NUMBERS
    if small or callable(estimator):  # a code's own rule is one for dense rows
        return decode_dense(generator.toarray(), code.targets, prior, estimator, epsilon, code)
    solve = _solver(code, rows, generator, estimator)
    matrix = np.array([solve(target) for target in code.targets])
    error = backward_error(matrix, generator, code.targets)
    amplification = amplification_of(generator, code.targets, matrix, code.spread)
    recovered = are_exact(error, amplification, generator, epsilon)
    if not recovered.all():
        which = None if groups is None else groups.group[rows]
        estimate = _estimate(rule_of(estimator), matrix, generator, code.targets, prior, epsilon, which)
        matrix = np.where(recovered[:, None], matrix, estimate)
    return assess(generator, code.targets, matrix, recovered, error, prior, epsilon, code.spread)


def decodable_sparse(code: LinearCode, rows: Indices, estimator: Estimator, epsilon: float) -> NDArray[np.bool_]:
    """`kofn.codes.decoding.decodable` for a sparse code, or by peeling."""
    prior = Prior.independent(np.ones(code.unknowns))
    if code.disjoint is None or estimator == "peeling":
        estimator = "exact" if estimator == "lmmse" else estimator
        return np.asarray(decode_sparse(code, rows, prior, estimator, epsilon).recovered.all(axis=-1))
    groups = code.disjoint
    distinct = code.generator[groups.first]
    needed = abs(distinct) @ np.any(code.targets != 0, axis=0) > 0
    seen = np.zeros((*rows.shape[:-1], groups.size), dtype=bool)
    np.put_along_axis(seen, groups.group[rows], True, axis=-1)
    whole = decode_sparse(code, groups.first, prior, "exact", epsilon).recovered.all()
    return np.asarray(whole & np.all(seen | ~needed, axis=-1))


def _solver(code: LinearCode, rows: Indices, generator: Any, estimator: Estimator) -> Callable[[Floats], Floats]:
    if estimator == "peeling":
        return lambda target: solve_by_peeling(generator, target)
    if code.disjoint is not None:
        which = code.disjoint.group[rows]
        return lambda target: _one_of_each(generator, which, target)
    return lambda target: solve_rows(generator, target, np.asarray(code.worker)[rows])


def _one_of_each(generator: Any, which: Indices, target: Floats) -> Floats:
    """Weights when rows are equal or disjoint: the first one of each group counts."""
    _, first = np.unique(which, return_index=True)
    solution = np.zeros(generator.shape[0])
    start = generator.indptr[first]
    solution[first] = target[generator.indices[start]] / generator.data[start]
    return solution


def solve_rows(generator: Any, target: Floats, worker: Indices) -> Floats:
    """Solve v G = t as cheaply as can be; an attempt where there is no solution.

    Parameters
    ----------
    generator : (received, unknowns) CSR array
    target : (unknowns,) array
    worker : (received,) int array

    Examples
    --------
    >>> solve_rows(csr_array([[1.0, 1, 0], [0, 0, 1], [1, 0, 1]]), np.ones(3), np.array([0, 0, 1]))
    array([1., 1., 0.])
    """
    limit = backward_limit(*generator.shape)
    best, least = np.zeros(generator.shape[0]), np.inf
    covered = np.bincount(generator.indices, minlength=generator.shape[1]) > 0
    if not np.all(covered | (target == 0)):
        return best
    for attempt in _attempts(generator, target, worker):
        error = float(backward_error(attempt, generator, target))
        if error < least:
            best, least = attempt, error
        if least <= limit:
            break
    return best


def _attempts(generator: Any, target: Floats, worker: Indices) -> Iterator[Floats]:
    yield from _sums(generator, target, worker)
    yield solve_by_peeling(generator, target)
    yield scaled_conjugate_gradients(generator, target)
    if np.prod(generator.shape) <= FACTOR_NUMBERS:
        yield _factorise(generator, target)


def _sums(generator: Any, target: Floats, worker: Indices) -> Iterator[Floats]:
    """Answers that are plain sums: of rows with one unknown each, and of the rows of one worker."""
    lengths = np.diff(generator.indptr)
    wanted = np.count_nonzero(target)
    single = np.flatnonzero(lengths == 1)
    if len(single) >= wanted:
        alone = generator[single]
        solution = np.zeros(len(lengths))
        _, first = np.unique(alone.indices, return_index=True)
        solution[single[first]] = target[alone.indices[first]] / alone.data[first]
        yield solution
    sent = np.bincount(worker, lengths)
    for complete in np.flatnonzero(sent >= wanted):
        yield (worker == complete).astype(np.float64)


def scaled_conjugate_gradients(generator: Any, target: Floats) -> Floats:
    """Smallest solution of v G = t by conjugate gradients on G Gᵀ, rows and columns scaled, with refinement."""
    rows = diags_array(1.0 / np.sqrt(np.maximum(1e-300, generator.power(2).sum(axis=1))))
    scaled = rows @ generator
    columns = diags_array(1.0 / np.sqrt(np.maximum(1e-300, scaled.power(2).sum(axis=0))))
    scaled = (scaled @ columns).tocsr()
    transposed = scaled.T.tocsr()
    wanted = columns @ target
    size = generator.shape[1]
    normal = LinearOperator((size, size), matvec=lambda x: transposed @ (scaled @ x), dtype=np.float64)
    solution, residual = np.zeros(generator.shape[0]), wanted
    for tolerance in (TOLERANCE, 1e-3, 1e-3):
        step, _ = cg(normal, residual, rtol=tolerance, maxiter=ITERATIONS)
        solution = solution + scaled @ step
        before, residual = residual, wanted - transposed @ solution
        if backward_error(solution, scaled, wanted) < TOLERANCE:
            break
        if np.linalg.norm(residual) > 0.1 * np.linalg.norm(before):
            break
    return np.asarray(rows @ solution)


def _factorise(generator: Any, target: Floats) -> Floats:
    dense = generator.toarray().T
    solution = lstsq(dense, target, lapack_driver="gelsy", cond=1e-13)[0]
    return np.asarray(solution + lstsq(dense, target - dense @ solution, lapack_driver="gelsy", cond=1e-13)[0])


def _estimate(
    rule: EstimatorRule,
    solution: Floats,
    generator: Any,
    targets: Floats,
    prior: Prior,
    epsilon: float,
    which: Indices | None,
) -> Floats:
    """What a rule makes of sparse rows; those that have no way of their own to do that get dense ones."""
    if rule is fill_with_zeros or not solution.size:
        return np.zeros_like(solution)
    if rule is least_squares and prior.factor.ndim == 1:
        return sparse_least_squares(generator, targets, prior, which)
    return rule(solution, generator.toarray(), targets, prior, epsilon)


def sparse_least_squares(generator: Any, targets: Floats, prior: Prior, which: Indices | None) -> Floats:
    """The LMMSE estimate V = T S Gᵀ (G S Gᵀ)⁺ with S = diag(energies), unbiased in what unknowns have in common."""
    if which is not None:
        estimate, inverse = _by_group(generator, targets, prior, which)
    else:
        estimate, inverse = _iterated(generator, targets, prior)
    if prior.common is not None:
        seen = generator @ prior.common
        estimate = estimate + remove_bias(estimate @ generator, inverse(seen), seen, targets, prior.common)
    return estimate


def _by_group(
    generator: Any, targets: Floats, prior: Prior, which: Indices
) -> tuple[Floats, Callable[[Floats], Floats]]:
    _, first = np.unique(which, return_index=True)
    energy = (generator.power(2) @ prior.energies)[first]
    weight = np.zeros(generator.shape[0])
    weight[first] = np.divide(1.0, energy, out=np.zeros_like(energy), where=energy > 0)
    return np.asarray((generator @ (targets * prior.energies).T).T * weight), lambda seen: weight * seen


def _iterated(generator: Any, targets: Floats, prior: Prior) -> tuple[Floats, Callable[[Floats], Floats]]:
    weighed = (generator @ diags_array(prior.factor)).tocsr()
    size = np.sqrt(weighed.power(2).sum(axis=1))
    scale = diags_array(np.divide(1.0, size, out=np.zeros_like(size), where=size > 0))
    equations = (scale @ weighed).T.tocsr()

    def fitted(wanted: Floats) -> Floats:
        found = lsmr(equations, wanted, atol=1e-12, btol=1e-12, conlim=1e10, maxiter=ITERATIONS)[0]
        return np.asarray(scale @ found)

    def inverse(seen: Floats) -> Floats:
        # (G S Gᵀ)⁻¹ G n fits F⁻¹ n, because F (F⁻¹ n) = n; what does not vary is left out.
        common = np.zeros_like(prior.factor) if prior.common is None else prior.common
        return fitted(np.divide(common, prior.factor, out=np.zeros_like(common), where=prior.factor > 0))

    return np.array([fitted(target * prior.factor) for target in targets]), inverse
