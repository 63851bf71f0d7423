"""`kofn.matmul`: the product of two matrices, as soon as enough workers have answered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from .. import checks
from .._base._numbers import Seed
from ..arrays._blocks import Grid
from ..arrays._reductions import looked_at_once
from ..arrays._spans import Spans
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._options import OptionKeywords, Options
from ..jobs._out import require_place
from ..jobs._plan import Plan
from ..schemes import PRODUCTS, repetition, uncoded
from ..schemes._scheme import Parts, Scheme
from ..schemes.products._operands import Operands
from ..schemes.products._plain import PlainOperands, is_sparse_matrix, must_stay_plain
from ._auto import AUTO, Request, require_no_aim
from ._remote import may_be_remote, multiply_remote

CALL = "kofn.matmul"

PLAIN = (uncoded, repetition)
"""Codes that combine nothing."""

ONE_SIDED = ("mds", "mds-dense", "mds-chebyshev")
"""Codes of which any so many rows as A has blocks are enough."""


@checks.named(CALL)
def matmul(
    A: Any,
    B: Any,
    *,
    workers: Any = None,
    code: str | Callable[..., Scheme] = "auto",
    blocks: tuple[int, int] | None = None,
    rows: int | None = None,
    rng: Seed = None,
    out: Any = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> Answer:
    """Multiply two matrices on many workers without waiting for the slowest.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
        float32, float64 or complex; in memory, memory-mapped, or a `dask.array.Array`. Read by pieces. Also integers
        and booleans in memory, whose product is bit for bit that of NumPy, and matrices and arrays of `scipy.sparse`,
        of which no dense copy is made; the product is sparse if both are.
        Also what an engine has at its workers: a `dask.array.Array` with a Dask client, a list of lists of ObjectRefs,
        the blocks, with a `RayPool`; the product then is one as well.
    workers : int, Pool, distributed.Client or list of Executor, optional
        A number of local processes, a pool made once and used for many calls, a Dask client, or one executor per
        worker. As many processes as processors by default.
    code : str or callable, optional
        A name listed by ``kofn codes``, or your own builder with the signature of `kofn.schemes.mds`. "auto" takes
        what should be fastest, or most precise at the deadline, for what the pool remembers of its delays
        (`kofn.engines.Delays`): plain blocks and combinations of what is late, to begin with. The report says what was
        taken. Which it is may differ from run to run, and with it the last bits; to name a code fixes it. Integers,
        booleans and sparse matrices, which no code can combine, are repeated where they are late.
    blocks : (N, P), optional
        Row blocks of A and column blocks of B; chosen from the pool and the shapes by default.
    rows : int, optional
        Coded rows, one per worker by default; of "auto" plain blocks, and not together with ``blocks``.
    rng : None, int or Generator
        Draws coefficients and sketches.
    out : (m, n) array or ClusterArray, optional
        Where the answer is written, in memory, memory-mapped, for example made by
        `numpy.lib.format.open_memmap`, or on a Dask cluster; it is then the answer's ``value``. It must have the
        type of ``A @ B``.
    options : Options, optional
    **keywords
        How it runs, as of `kofn.Options`. With ``redundancy=r`` A is cut into n − r blocks for n workers, and any r of
        these may be lost, or late, without a row being computed again.

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
    chosen = Options.of(options, keywords)
    plain = must_stay_plain(A, B)
    build = _builder(code, chosen, plain)
    with looked_at_once(), ExitStack() as ours:
        lease = None
        if code == AUTO and blocks is None and rows is None and out is None and may_be_remote(A, B):
            lease = ours.enter_context(PoolLease(workers, CALL))
            answer = multiply_remote(A, B, lease, chosen, rng)
            if answer is not None:
                return answer
        operands = PlainOperands.of(A, B) if plain and (build is None or build in PLAIN) else Operands.of(A, B)
        if out is not None:
            _require_place(out, operands, A, B)
        lease = ours.enter_context(PoolLease(workers, CALL)) if lease is None else lease
        if 0 in operands.shape:
            return _empty(operands, lease.n, out)
        if chosen.redundancy is not None:
            height = operands.shape[0]
            blocks, rows = _shares(code, plain, blocks, rows, chosen.redundancy, lease.n, height)
            chosen = chosen.settled(CALL, lease.n)
        if chosen.scratch is None:
            chosen = replace(chosen, scratch=_folder(out))
        request = Request((A, B) if plain else (operands.A, operands.B), blocks, rows, lease.n, rng)
        if build is not None:
            return Plan(request.scheme(build), lease, chosen).run(out=out)
        scheme, scheduler, choice = request.chosen(lease, operands, chosen)
        return Plan(scheme, lease, replace(chosen, scheduler=scheduler, aim="p99"), choice).run(out=out)


def _require_place(out: Any, operands: Operands | PlainOperands, A: Any, B: Any) -> None:
    if isinstance(operands, PlainOperands) and is_sparse_matrix(operands.like):
        must = "be left out where both matrices are sparse"
        raise checks.refusal(CALL, "out", must, f"a {type(out).__name__}", "take the answer's value")
    require_place(CALL, out, (operands.shape[0], operands.shape[2]), operands.dtype)
    for name, source in (("A", A), ("B", B)):
        both = isinstance(out, np.ndarray) and isinstance(source, np.ndarray) and np.may_share_memory(out, source)
        file = getattr(out, "filename", None)
        if both or (file is not None and file == getattr(source, "filename", None)):
            raise checks.refusal(CALL, "out", f"lie apart from {name}", f"the numbers of {name}", "make another")


def _shares(
    code: Any, plain: bool, blocks: Any, rows: Any, redundancy: int, workers: int, height: int
) -> tuple[tuple[int, int] | None, int | None]:
    """Blocks and rows of a code that does without so many workers."""
    named = [(name, given) for name, given in (("blocks", blocks), ("rows", rows)) if given is not None]
    if not (isinstance(code, str) and (code == AUTO or (code in ONE_SIDED and not plain))):
        named.append(("code", code))
    if named:
        given, remedy = f"{redundancy} beside {named[0][0]}={named[0][1]!r}", "leave one of them out"
        raise checks.refusal(CALL, "redundancy", "say alone how many rows there are", given, remedy)
    if plain:
        return None, None  # any worker can compute any row, so all but one may be lost
    kept = max(1, min(workers - redundancy, height))
    return (kept, 1), kept + redundancy


def _folder(out: Any) -> Path | None:
    """Where the file of a memory map lies, as its disk has room for what is as large as the answer."""
    name = getattr(out, "filename", None)
    return None if name is None else Path(name).parent


def _builder(code: Any, options: Options, plain: bool) -> Callable[..., Scheme] | None:
    """What builds the scheme; None where that is to be chosen."""
    if isinstance(code, str) and code == AUTO:
        if options.redundancy is None or plain:
            return None
        code = "mds"
    if not callable(code):
        code = PRODUCTS[checks.choice(CALL, "code", code, [AUTO, *PRODUCTS], "see `kofn codes`, or pass a builder")]
    require_no_aim(CALL, options)
    builder: Callable[..., Scheme] = code
    return builder


def _empty(operands: Operands | PlainOperands, workers: int, out: Any) -> Answer:
    rows, _, columns = operands.shape
    if isinstance(operands, PlainOperands) and is_sparse_matrix(operands.like):
        value = (operands.A @ operands.B).asformat(operands.like.format)
    else:
        value = np.empty((rows, columns), operands.dtype) if out is None else out
        value[:] = np.zeros(value.shape, value.dtype)
    whole = Parts((1, 1), Grid(Spans(rows, 1), Spans(columns, 1)))
    return Answer.at_once(value, whole, "empty", workers)
