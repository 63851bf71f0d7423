"""`kofn.map`: one function at many inputs, as soon as enough workers have answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import named
from ..codes.decoding._estimators import Estimator
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..schemes.functions._scheme import CALL
from ._coded_map import Builder, CodedMap, FittedCode


@named(CALL)
def map(
    f: Any,
    inputs: Any,
    *,
    workers: Any = None,
    code: str | Builder | FittedCode | None = None,
    degree: int | None = None,
    recover: int | None = None,
    rows: int | None = None,
    estimator: Estimator | None = None,
    tolerance: float = 0.0,
    deadline: float | None = None,
    rng: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> Answer:
    """Evaluate a function at K inputs on many workers without waiting for the slowest.

    Parameters
    ----------
    f : callable or fitted code
        Takes one input and returns anything; a learned model is its own code. Codes that mix inputs, all but
        "repetition" and "uncoded", need a number or an array, always of one shape.
    inputs : iterable
        K inputs of any kind that can be pickled, iterators too; for codes that mix them arrays of one shape. Of a
        frame its rows.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str, callable or fitted code, optional
        A name in `kofn.schemes.FUNCTIONS`; a builder, such as ``functools.partial(kofn.schemes.lagrange, private=1)``;
        or what `kofn.fit` returns. "lagrange" where a degree is given, otherwise "repetition": every input once, and
        again at workers that have nothing else to do.
    degree : int, optional
        For "lagrange": of which degree f is a polynomial in the entries of its input.
    recover : int, optional
        For codes that are never exact: how many results to wait for.
    rows : int, optional
        Evaluations, dealt to the workers; one per worker by default. "repetition" has at least one per input: with
        ``rows=2 * K`` workers that are done repeat what others still run.
    estimator : {"lmmse", "exact"} or Rule, optional
        What an estimate uses for what is not exact: the least-squares best estimate, or zero. By default what the
        code says of itself: "lmmse", but for "berrut", whose paper has a formula, and for "repetition" and
        "uncoded", which estimate nothing: what is missing is missing. With "lmmse" it is like those that are there.
    tolerance : float
        Stop as soon as the expected relative error is at most this, or all results are there; 0.0 waits for as many
        results as the code needs. Without an estimate a missing output counts in full: √(missing / K).
    deadline : float, optional
        Stop after so many seconds with the best estimate.
    rng : None, int or Generator
        Draws what is random in a code.
    progress : callable, optional
        Called with a `Progress` after every arrival.

    Returns
    -------
    Answer
        With ``value``, ``exact``, ``recovered`` (which outputs are there, (K,)), ``error`` and ``report``. The
        value is an array (K, …) where all outputs are numbers or arrays of one shape that one type holds exactly,
        and else a list. A missing output is NaN, None in a list, masked in an array that has no NaN.

    Raises
    ------
    ArgumentError
        An argument cannot work; nothing was started.
    FunctionError
        f raised, or returned what a code that mixes cannot combine, such as NaN or another shape; says for which
        input and at which worker.
    NotDecodable
        The deadline passed before any result arrived, or all workers are gone; carries the best estimate.

    Examples
    --------
    >>> import kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     kofn.map(len, ["a", "bb", "ccc"], workers=pool).value, kofn.map(str.upper, "ab", workers=pool).value
    (array([1, 2, 3]), ['A', 'B'])

    The squares of three matrices from any 5 of 6 workers:

    >>> import numpy as np, kofn
    >>> X = np.random.default_rng(0).standard_normal((3, 4, 4))
    >>> with kofn.ThreadPool(6) as pool:
    ...     answer = kofn.map(lambda x: x @ x, X, workers=pool, code="lagrange", degree=2)
    >>> answer.exact, bool(np.allclose(answer.value, X @ X))
    (True, True)
    """
    with CodedMap(
        f, workers=workers, code=code, degree=degree, recover=recover, rows=rows, rng=rng, keep=False
    ) as coded:
        return coded(inputs, estimator=estimator, tolerance=tolerance, deadline=deadline, progress=progress)
