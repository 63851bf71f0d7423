"""`kofn.matmul`: the product of two matrices, as soon as enough workers have answered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..arrays._blocks import Grid, Spans
from ..arrays._file import FileMatrix
from ..arrays._reductions import looked_at_once
from ..engines.dask._output import ClusterArray
from ..jobs._answer import Answer
from ..jobs._collector import Progress
from ..jobs._job import run
from ..jobs._lease import Workers
from ..jobs._stop import stop_rule
from ..jobs.report._report import Report
from ..schemes import PRODUCTS
from ..schemes._scheme import Parts, Scheme
from ..schemes.products._operands import Operands

CALL = "kofn.matmul"


@checks.named(CALL)
def matmul(
    A: Any,
    B: Any,
    *,
    workers: Any = None,
    code: str | Callable[..., Scheme] = "mds",
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    estimator: str = "lmmse",
    tolerance: float = 0.0,
    deadline: float | None = None,
    rng: Any = None,
    memory_limit_bytes: int | None = None,
    out: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> Answer:
    """Multiply two matrices on many workers without waiting for the slowest.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
        float32, float64 or complex; in memory, memory-mapped, or a `dask.array.Array`. Read by pieces.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str or callable
        A name listed by ``kofn codes``, or your own builder with the signature of `kofn.schemes.mds`.
    blocks : (N, P), optional
        Row blocks of A and column blocks of B; chosen from the pool and the shapes by default.
    rows : int, optional
        Coded rows; one per worker by default.
    estimator : {"lmmse", "exact"}
        What an estimate uses for what is not exact yet: the least-squares best estimate, or zero.
    tolerance : float
        Stop as soon as the expected relative error is at most this; 0.0 waits for the exact answer.
    deadline : float, optional
        Stop after so many seconds with the best estimate.
    rng : None, int or Generator
        Draws coefficients and sketches.
    memory_limit_bytes : int, optional
        Most bytes for encoded blocks and results; by default half of what this machine, its control group and
        ``ulimit -v`` leave. Where not all fits, blocks are encoded when workers ask for them, and results wait
        in a file, beside that of ``out``.
    out : (m, n) array or ClusterArray, optional
        Where the answer is written, in memory, memory-mapped, for example made by
        `numpy.lib.format.open_memmap`, or on a Dask cluster; it is then the answer's ``value``. It must have the
        type of ``A @ B``.
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
    NotDecodable
        The deadline passed before any result arrived, or all workers are gone; carries the best estimate.
    TaskError
        A worker could not compute its product.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A, B = np.arange(20.0).reshape(10, 2), np.ones((2, 5))
    >>> with kofn.ThreadPool(4) as pool:
    ...     answer = kofn.matmul(A, B, workers=pool, code="mds")
    >>> answer.exact, answer.error, bool(np.allclose(answer.value, A @ B))
    (True, 0.0, True)
    """
    stop = stop_rule(CALL, tolerance, deadline)
    build = _builder(code)
    with looked_at_once(), ExitStack() as ours:
        operands = Operands.of(A, B)
        if out is not None:
            _require_place(out, operands, A, B)
        team = ours.enter_context(Workers(workers, CALL))
        if 0 in operands.shape:
            return _empty(operands, team.n, out)
        scheme = build(operands.A, operands.B, blocks=blocks, rows=rows, workers=team.n, rng=rng)
        return run(
            scheme,
            workers=team,
            estimator=estimator,
            stop=stop,
            memory_limit_bytes=memory_limit_bytes,
            progress=progress,
            scratch=_folder(out),
            out=out,
        )


def _require_place(out: Any, operands: Operands, A: Any, B: Any) -> None:
    shape, dtype = (operands.shape[0], operands.shape[2]), operands.dtype
    must = f"be an array of shape {shape} and dtype {dtype} that can be written to"
    if not isinstance(out, np.ndarray | FileMatrix | ClusterArray):
        raise checks.refusal(CALL, "out", must, f"a {type(out).__name__}", f"use numpy.empty({shape}, '{dtype}')")
    checks.place(CALL, "out", out)
    locked = isinstance(out, np.ndarray) and not out.flags.writeable
    if out.shape != shape or out.dtype != dtype or locked:
        given = f"one of shape {out.shape} and dtype {out.dtype}{', read-only' if locked else ''}"
        raise checks.refusal(CALL, "out", must, given, "make another")
    for name, source in (("A", A), ("B", B)):
        both = isinstance(out, np.ndarray) and isinstance(source, np.ndarray) and np.may_share_memory(out, source)
        file = getattr(out, "filename", None)
        if both or (file is not None and file == getattr(source, "filename", None)):
            raise checks.refusal(CALL, "out", f"lie apart from {name}", f"the numbers of {name}", "make another")


def _folder(out: Any) -> Path | None:
    """Where the file of a memory map lies, as its disk has room for what is as large as the answer."""
    name = getattr(out, "filename", None)
    return None if name is None else Path(name).parent


def _builder(code: Any) -> Callable[..., Scheme]:
    if callable(code):
        builder: Callable[..., Scheme] = code
        return builder
    return PRODUCTS[checks.choice(CALL, "code", code, PRODUCTS, "see `kofn codes`, or pass a builder")]


def _empty(operands: Operands, workers: int, out: Any) -> Answer:
    rows, _, columns = operands.shape
    value = np.empty((rows, columns), operands.dtype) if out is None else out
    value[:] = np.zeros(value.shape, value.dtype)
    report = Report("empty", workers, (), 0.0, 0.0, 0.0, 0)
    whole = Parts((1, 1), Grid(Spans(rows, 1), Spans(columns, 1)))
    return Answer(True, 0.0, 0.0, 0.0, 0, report, np.ones((1, 1), dtype=bool), whole, lambda: value)
