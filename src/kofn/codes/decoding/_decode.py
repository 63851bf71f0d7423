"""From a code and the rows that arrived to the matrix V that turns results into targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ..._base._numbers import EPSILON, Indices
from .._linear import LinearCode
from .._prior import Prior
from .._sparse import is_sparse
from ._assess import Decoding, are_exact
from ._dense import certify_rows, decode_dense
from ._estimators import Estimator, check_estimator, fill_with_zeros, rule_of
from ._picking import covers, pick


def decode(
    code: LinearCode,
    rows: Indices | Sequence[int],
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
    call = "kofn.codes.decode"
    estimator, rows = check_estimator(call, estimator), _rows_of(call, code, rows)
    if prior is not None and (not isinstance(prior, Prior) or prior.unknowns != code.unknowns):
        must, remedy = f"be a Prior of {code.unknowns} unknowns", "leave it out for equal energies"
        raise checks.refusal(call, "prior", must, getattr(prior, "unknowns", repr(prior)), remedy)
    if code.picks is not None and rows.ndim == 1 and (rule_of(estimator) is fill_with_zeros or covers(code, rows)):
        return pick(code, rows, prior)
    if prior is None or not prior.energy(code.targets) > 0:
        prior = Prior.independent(np.ones(code.unknowns))
    if estimator == "peeling" or is_sparse(code.generator):
        from ._sparse import decode_sparse  # SciPy is not needed for dense codes

        return decode_sparse(code, rows, prior, estimator, epsilon)
    return decode_dense(code.generator[rows], code.targets, prior, estimator, epsilon, code)


def decodable(
    code: LinearCode,
    rows: Indices | Sequence[int],
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
    rows = _rows_of("kofn.codes.decodable", code, rows)
    if code.picks is not None and rows.ndim == 1:
        return np.asarray(covers(code, rows))
    if estimator == "peeling" or is_sparse(code.generator):
        from ._sparse import decodable_sparse

        return decodable_sparse(code, rows, estimator, epsilon)
    generator = code.generator[rows]
    # A target that uses an unknown which no row has seen needs no linear algebra to be ruled out.
    wanted = np.any(code.targets != 0, axis=0)
    result: NDArray[np.bool_] = np.asarray(np.all(np.any(generator != 0, axis=-2) | ~wanted, axis=-1))
    seen = generator[result]
    certificate = certify_rows(seen, code.targets, code)
    recovered = are_exact(certificate.backward_error, certificate.amplification, seen, epsilon)
    result[result] = np.all(recovered, axis=-1)
    return result


def _rows_of(call: str, code: LinearCode, rows: Any) -> Indices:
    """Numbers of rows as an array, or refuse them: a mask or -1 would silently mean other rows."""
    given = np.asarray(rows)
    known = given.dtype.kind in "iu" and given.min(initial=0) >= 0 and given.max(initial=-1) < code.rows
    if given.ndim == 0 or not (known or given.size == 0):
        must, remedy = f"hold ints from 0 to {code.rows - 1}", "say which rows of the code arrived"
        raise checks.refusal(call, "rows", must, repr(rows), remedy)
    return given.astype(np.intp, copy=False)
