"""What answers are compared with: products and sums in more digits than kofn has, by other means than kofn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._base._numbers import Array, epsilon_of
from ...jobs._answer import Answer
from .._battery import require

SEEN = 30_000.0
"""What an audit or a comparison of results sees, in units of their precision, relative to the norm of all."""

UNSEEN = 300.0
"""What may pass a check of results, in units of K·eps·‖row‖·‖B‖: 30 thresholds of 9·γ(K)."""


def wide(array: Any) -> Array:
    """The same numbers with more digits."""
    array = np.asarray(array)
    more: Array = array.astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)
    return more


def check_product(answer: Answer, A: Any, B: Any, lying: bool = False, epsilon: float | None = None) -> float | None:
    """Assert that what is called exact of a product is, and return how much an estimate is off, against what it says.

    Exact is what `docs/architecture.md` says: within (50·amplification + K)·eps of ‖row of A‖·‖column of B‖.

    Parameters
    ----------
    answer : Answer
    A, B : array or SciPy sparse matrix
    lying : bool
        Whether workers were wrong: what is too small for a check to see is in the answer.
    epsilon : float, optional
        Of the numbers that it was computed with.

    Returns
    -------
    float or None
        Squared error over the squared error that was expected; None where it is exact.
    """
    A, B = (X.toarray() if hasattr(X, "toarray") else np.asarray(X) for X in (A, B))
    value = answer.value
    value = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    right = wide(A) @ wide(B)
    require(value.shape == right.shape, f"the product has shape {right.shape}, the answer {value.shape}")
    if A.dtype.kind in "iu":
        require(not answer.exact or np.array_equal(value, A @ B), "a product of integers is not that of NumPy")
        return None
    eps = epsilon_of(value) if epsilon is None else epsilon
    rows, columns = np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=0)
    scale = np.outer(rows, np.full_like(columns, np.linalg.norm(B)) if lying else columns)
    unseen = UNSEEN * A.shape[1] * max(1.0, answer.amplification) if lying else 0.0
    bound = ((50 * max(1.0, answer.amplification) + A.shape[1] + unseen) * eps + np.finfo(eps_type(value)).tiny) * scale
    off = np.abs(value - right)
    if answer.exact:
        require(bool((off <= bound).all()), f"exact, but off by {_worst(off, bound):.2g} times what rounding can do")
        require(answer.error == 0.0, "an exact answer has an error of 0")
        return None
    _check_parts(answer, off, bound)
    return _check_estimate(answer, value, right)


def eps_type(value: Array) -> Any:
    """The real type of an array's numbers."""
    return value.real.dtype if value.dtype.kind in "fc" else np.dtype(float)


def _worst(off: Array, bound: Array) -> float:
    return float(np.max(off / np.maximum(bound, np.finfo(float).tiny)))


def _check_parts(answer: Answer, off: Array, bound: Array) -> None:
    for part in np.argwhere(np.atleast_1d(answer.recovered)):
        if np.ndim(answer.recovered) and answer.parts.shape:
            there = answer.where(*map(int, part))
            require(bool((off[there] <= bound[there]).all()), f"part {part.tolist()} is called exact and is not")


def _check_estimate(answer: Answer, value: Array, right: Array) -> float | None:
    require(bool(np.isfinite(value).all()), "an estimate has numbers that are not finite")
    require(np.isfinite(answer.error) and answer.error > 0, f"an estimate says that its error is {answer.error}")
    energy = float(np.sum(np.abs(right) ** 2))
    actual = float(np.sum(np.abs(value - right) ** 2)) / energy if energy else 0.0
    return actual / answer.error**2


def check_sum(answer: Answer, values: Sequence[Any], lying: bool = False) -> float | None:
    """The same for a sum of terms with these values."""
    terms = [wide(value) for value in values]
    right, size = sum(terms[1:], terms[0]), np.sum(np.abs(np.stack(terms)), axis=0)
    value = np.asarray(answer.value)
    if answer.exact:
        bound = (50 * max(1.0, answer.amplification) + len(terms)) * epsilon_of(value) * size
        bound += _unseen(answer, value, values) if lying else 0.0
        off = np.abs(value - right)
        require(bool((off <= bound).all()), f"a sum is exact, but off by {_worst(off, bound):.2g} times rounding")
        return None
    return _check_estimate(answer, value, right)


def _unseen(answer: Answer, value: Array, values: Sequence[Any]) -> float:
    """What may be wrong with an answer although results were audited or compared."""
    norm = float(np.sqrt(sum(float(np.sum(np.abs(np.asarray(one)) ** 2)) for one in values)))
    return SEEN * max(1.0, answer.amplification) * epsilon_of(value) * norm


def check_values(answer: Answer, values: Sequence[Any], mixes: bool = False, lying: bool = False) -> float | None:
    """The same for the values of a function at inputs; one that is not there says nothing."""
    recovered = np.broadcast_to(np.asarray(answer.recovered), len(values))
    require(len(answer.value) == len(values), f"{len(values)} inputs have {len(answer.value)} outputs")
    require(not answer.exact or bool(recovered.all()), "an exact answer has all outputs")
    for k in np.flatnonzero(recovered).tolist():
        numbers = isinstance(values[k], np.ndarray)
        if not (mixes or (lying and numbers)):
            require(_same(answer.value[k], values[k]), f"output {k} is {answer.value[k]!r}, not {values[k]!r}")
            continue
        size = max(float(np.abs(value).max()) for value in values)
        bound = 100 * (50 * max(1.0, answer.amplification) + len(values)) * epsilon_of(np.asarray(answer.value)) * size
        bound += _unseen(answer, np.asarray(answer.value), values) if lying else 0.0
        off = float(np.abs(wide(answer.value[k]) - wide(values[k])).max())
        require(off <= bound, f"output {k} is exact, but off by {off / bound:.2g} times what rounding can do")
    return None


def _same(got: Any, right: Any) -> bool:
    return bool(np.array_equal(got, right)) if isinstance(right, np.ndarray) else bool(got == right)
