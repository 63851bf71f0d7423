"""`kofn.sum`: the sum of many terms, as soon as enough of them have come from anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import named
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._stop import stop_rule
from ..schemes.sums._code import CALL
from ._coded_sum import CodedSum, CodeLike


@named(CALL)
def sum(
    terms: Any,
    x: Any = None,
    *,
    workers: Any = None,
    code: CodeLike = "cyclic",
    count: int | None = None,
    energies: Any = None,
    estimator: str = "lmmse",
    tolerance: float = 0.0,
    deadline: float | None = None,
    rng: Any = None,
    adaptive: bool = True,
    memory_limit_bytes: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Answer:
    """Sum many functions of one input on many workers without waiting for the slowest.

    Parameters
    ----------
    terms : sequence of callables, or one callable
        Term i is ``terms[i](x)``; or ``terms(indices, x)`` with an int array returns those terms stacked along the
        first axis. A term is a number or an array; all have one shape. To give workers less of the terms to hold,
        or to let them use a formula for a whole shard, make each shard a term.
    x : object, optional
        Given to every term.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str, LinearCode or callable, optional
        A name in `kofn.schemes.SUMS`; a code over the terms; or a builder, called as
        ``code(m, workers=…, rng=…)``: ``functools.partial(kofn.schemes.sr, degree=5)``.
    count : int, optional
        Number of terms m of one callable over indices.
    energies : (m,) array, optional
        Expected squares E‖f_i(x)‖² of the terms, if they are known, for estimates before the sum is exact. Left
        out, terms are taken to share a mean, about which nothing is assumed, and to vary around it equally; how
        much is learned from what has arrived. A sum that is computed again with `kofn.CodedSum` starts from what
        the call before learned.
    estimator : {"lmmse", "exact", "peeling"}
        What an estimate uses for a sum that is not exact yet: the least-squares best estimate, or zero; "peeling"
        decodes LT codes as their papers do.
    tolerance : float
        Stop as soon as the expected relative error is at most this; 0.0 waits for the exact sum.
    deadline : float, optional
        Stop after so many seconds with the best estimate. A term that never returns can only be met with this.
    rng : None, int or Generator
        Draws codes that are random.
    adaptive : bool
        Whether a worker passes over blocks that are in or under way, and repeats the latter once nothing else is
        left. False leaves every worker to the code, as the papers and `kofn.simulate` do.
    memory_limit_bytes : int, optional
        As for `kofn.matmul`.
    progress : callable, optional
        Called with a `Progress` after every arrival.

    Returns
    -------
    Answer
        With ``value``, ``exact``, ``error`` and ``report``.

    Raises
    ------
    ArgumentError
        An argument cannot work; nothing was started.
    TermError
        A term raised, or returned NaN, another shape or no number; its index is in ``term``.
    NotDecodable
        The deadline passed before any result arrived, or all workers are gone; carries the best estimate.

    Examples
    --------
    >>> import math, kofn
    >>> with kofn.ThreadPool(3) as pool:
    ...     answer = kofn.sum(lambda k, x: x**k / [math.factorial(n) for n in k], 1.0, count=18, workers=pool)
    >>> answer.exact, bool(abs(answer.value - math.e) < 1e-14)
    (True, True)
    """
    stop = stop_rule(CALL, tolerance, deadline)
    with CodedSum(
        terms, workers=workers, code=code, count=count, energies=energies, rng=rng, adaptive=adaptive, keep=False
    ) as total:
        return total(x, estimator=estimator, stop=stop, memory_limit_bytes=memory_limit_bytes, progress=progress)
