"""Function values without mixing: every input at one worker, or at several of which the first counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..algebra import Floats, precision
from ..code import LinearCode
from ..learning import Learner
from ..prior import Prior
from .function_code import encoded, require_rows, team
from .function_scheme import Evaluations


def uncoded(f: Callable[[Any], Any], inputs: Any, *, workers: int | None = None, rng: Any = None) -> Evaluations:
    """Every input once, all of them needed: G = T = I.

    Load 1; threshold K; amplification 1. The answer is exact for any f.

    Parameters
    ----------
    f : callable
        Takes one input and returns a number or an array.
    inputs : (K, …) array or sequence of K arrays of one shape
    workers : int, optional
        That rows are dealt to; K by default.
    rng : ignored
        No code of this table needs to be asked whether it draws.

    Returns
    -------
    Evaluations

    Examples
    --------
    >>> uncoded(np.sin, [0.0, 1.0, 2.0]).code.generator.tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _copies("uncoded", f, inputs, workers, lambda K, rows: K)


def repetition(
    f: Callable[[Any], Any],
    inputs: Any,
    *,
    workers: int | None = None,
    rows: int | None = None,
    rng: Any = None,
) -> Evaluations:
    """Every input as often as the rows allow, the first copy counts: G repeats the identity.

    Load 1; threshold rows − (copies − 1) where the rarest input has so many copies; amplification 1. Exact for any
    f, which is why `kofn.fit` falls back to it.

    Parameters
    ----------
    f, inputs, rng
        As for `kofn.schemes.function_copies.uncoded`.
    workers, rows : int, optional
        Rows (one per worker by default) and the workers that they are dealt to.

    Returns
    -------
    Evaluations

    Examples
    --------
    >>> code = repetition(np.sin, [0.0, 1.0], workers=4).code
    >>> code.threshold, code.generator[:, 0].tolist()
    (3, [1.0, 0.0, 1.0, 0.0])
    """
    return _copies("repetition", f, inputs, workers, lambda K, count: count if rows is None else rows)


def _copies(
    name: str, f: Callable[[Any], Any], inputs: Any, workers: int | None, rows_of: Callable[[int, int], int]
) -> Evaluations:
    X, _ = team(inputs, workers, None)
    K = len(X)
    X, worker = team(X, workers, rows_of(K, K if workers is None else workers))
    rows = len(worker)
    require_rows(name, K, rows, "one row per input")
    generator: Floats = np.eye(K)[np.arange(rows) % K]
    code = LinearCode(name, generator, np.eye(K), worker, threshold=rows - (rows // K - 1))
    return Evaluations(
        code,
        [f] * rows,
        lambda: encoded(generator, X),
        lambda: Prior(np.ones(K)),
        lambda results: _learner(code).prior(results),
        epsilon=precision(X),
    )


def _learner(code: LinearCode) -> Learner:
    """Outputs that did not arrive are taken to be like those that did: around their mean, as far from it."""
    from scipy.sparse import csr_array

    return Learner(LinearCode(code.name, csr_array(code.generator), code.targets, code.worker))
