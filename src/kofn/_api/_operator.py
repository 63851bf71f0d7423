"""`kofn.operator`: a matrix encoded once, resident at workers, used as a SciPy linear operator."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from itertools import count
from typing import Any, Unpack

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import csr_array, issparse

from .. import checks
from .._base._closeable import Closeable
from .._base._numbers import Array, Seed
from .._base._snapshots import Snapshot
from ..arrays._reductions import norms
from ..arrays._source import Adjoint, Cast, Source
from ..arrays._spans import Spans
from ..codes._stripes import Stripes
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._memory import check_memory
from ..jobs._options import OptionKeywords, Options
from ..jobs._placement import size_of
from ..jobs._plan import Plan
from ..jobs.scheduling import Spares
from ..schemes.products._operands import check_matrix, plain_array, require_room, seed_of
from ._pieces import Pieces, choose_stripes, copied, padded
from ._remote import adopted
from ._remote_operator import RemoteOperator
from ._row_blocks import CODES, RowBlocks
from ._side import Side
from ._vectors import ByProducts

CALL = "kofn.operator"
_numbers = count()


@checks.named(CALL)
def operator(
    A: Any,
    *,
    workers: Any = None,
    code: str | None = None,
    blocks: int | None = None,
    rows: int | None = None,
    rng: Seed = None,
    options: Options | None = None,
    **keywords: Unpack[OptionKeywords],
) -> CodedOperator | RemoteOperator:
    """Encode a matrix, place it at workers, and return a `scipy.sparse.linalg.LinearOperator`.

    After placement a product sends only the vector and its result. Every worker holds its share of the rows of the
    matrix as they are, and a few combinations of rows of others. Where nobody is late only the plain rows are
    computed, and their results are the answer; combinations stand in for what a worker is late with, or takes with it
    when it dies. With ``redundancy=r`` any n − r of n workers hold the whole matrix, in n/(n − r) times its memory,
    which is the least possible; of a sparse matrix, whose combinations have as many entries as all that they are made
    of, each piece lies at r + 1 workers instead, in 1 + r times its memory.

    Products with the adjoint need a second placement, made when the first of them is asked for: it costs as much
    memory again, and no more work per product. A code that served both from one placement would need 2k − 1 results
    where two placements need k, so for as many workers its blocks would be twice as large.

    Parameters
    ----------
    A : (m, n) array or SciPy sparse matrix
        float32, float64 or complex. A `dask.array` on its own cluster stays where it lies: ``redundancy`` is so many
        copies of each chunk at other workers then, which serve both directions, and its numbers may be of any type.
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.matmul`.
    code : {"mds", "mds-chebyshev", "repetition", "uncoded"}, optional
        Left out, pieces are dealt out as above. With ``redundancy`` "mds" asks for combinations of a sparse matrix
        too, which stay sparse, and "repetition" for copies of a dense one. Otherwise one of the codes of `kofn.matmul`
        on the row blocks, whose rows all workers compute.
    blocks : int, optional
        Number of row blocks k of such a code, "mds" or "repetition" where none is named.
    rows : int, optional
        Its coded rows; one per worker by default.
    rng : None, int or Generator
        Draws the coefficients and the sketch for the error bar.
    options : Options, optional
    **keywords
        How every product runs, as of `kofn.Options`. ``redundancy`` is 1 by default where there are three workers or
        more, otherwise 0; it is settled with the operator, and excludes ``blocks`` and ``rows``.

    Returns
    -------
    CodedOperator
        Close it, or use it in a ``with`` block, to free the workers' memory.

    Raises
    ------
    ArgumentError
        An argument cannot work.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(12.0).reshape(4, 3)
    >>> with kofn.ThreadPool(3) as pool, kofn.operator(A, workers=pool, rng=0) as op:
    ...     bool(np.allclose(op @ np.ones(3), A @ np.ones(3))), bool(np.allclose(op.H @ np.ones(4), A.T @ np.ones(4)))
    (True, True)

    Any one of four workers may be lost; each holds a third of the matrix:

    >>> A = np.arange(72.0).reshape(12, 6)
    >>> with kofn.ThreadPool(4) as pool, kofn.operator(A, workers=pool, redundancy=1, rng=0) as op:
    ...     y = op @ np.ones(6)
    ...     [size / A.nbytes for size in op.answer.report.resident_bytes]
    [0.3333333333333333, 0.3333333333333333, 0.3333333333333333, 0.3333333333333333]
    """
    chosen = Options.of(options, keywords)
    lease = PoolLease(workers, CALL)
    try:
        if code is None and blocks is None and rows is None and (matrix := adopted(A, lease, CALL)) is not None:
            return RemoteOperator(matrix, lease, chosen, rng)
        return CodedOperator(A, lease, chosen, code=code, blocks=blocks, rows=rows, rng=rng)
    except BaseException:
        lease.close()
        raise


class CodedOperator(Closeable, ByProducts):
    """A coded matrix as a linear operator; made by `kofn.operator`.

    Attributes
    ----------
    answer : Answer or None
        Of the last product: whether it was exact, its error bar and its report.
    """

    def __init__(
        self, A: Any, lease: PoolLease, options: Options, *, code: str | None, blocks: int | None, rows: int | None,
        rng: Seed,
    ) -> None:  # fmt: skip
        self._lease, self._options = lease, options.settled(CALL, lease.n)
        matrix, self._sizes = _checked(A)
        if code is not None:
            checks.choice(CALL, "code", code, CODES, "only codes on row blocks serve here")
        self._coding = _coding(matrix, code, blocks, rows, options.redundancy, lease.n)
        self._rng = checks.generator(CALL, rng)
        self.answer: Answer | None = None
        self._lock = threading.Lock()  # the matrix is placed once for all threads that ask for a direction
        self._plans: dict[tuple[str, bool], Plan] = {}
        self._placed_bytes = 0
        self._store: Array | None = None
        self._source = self._taken(matrix)
        super().__init__(matrix.dtype, matrix.shape)
        self._plan(self.dtype, adjoint=False)  # encoding is what the caller asked for

    def _taken(self, matrix: Any) -> Any:
        """The matrix as it is now, which other sides are encoded of later."""
        if isinstance(self._coding, RowBlocks) or not isinstance(matrix, np.ndarray):
            return matrix if issparse(matrix) else Snapshot().matrix(matrix)
        self._require_memory(self._coding, matrix.nbytes)
        spans = Spans(padded(len(matrix), self._coding), self._coding.unknowns)
        self._store = copied(matrix, spans, self._lease.pool.empty)
        return self._store[: len(matrix)]

    def _plan(self, dtype: np.dtype[Any], adjoint: bool) -> Plan:
        """What runs products in one direction; the matrix is encoded in this type when it is first needed."""
        key = (dtype.char, adjoint)
        if key not in self._plans:
            source = _cast(self._source, dtype)
            sizes = _norms(self._source, 1) if adjoint else self._sizes
            source = _adjoint(source) if adjoint else source
            self._plans[key] = self._planned(source, sizes)
        return self._plans[key]

    def _planned(self, source: Any, sizes: Array) -> Plan:
        if isinstance(self._coding, RowBlocks):
            limit = self._options.memory_limit_bytes
            side = self._coding.side(source, sizes, next(_numbers), self._allocate, limit, self._rng)
            return Plan(side, self._lease, self._options)
        side = self._dealt(self._coding, source, sizes, self._store if source is self._source else None)
        auto = self._options.scheduler == "auto"
        return Plan(side, self._lease, replace(self._options, scheduler=Spares()) if auto else self._options)

    def _allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """An array of the pool, which is started by this: a code is refused before."""
        return self._lease.pool.empty(shape, dtype)

    def _dealt(self, stripes: Stripes, source: Any, sizes: Array, store: Array | None) -> Side:
        """Pieces and what is spare, each at the worker that is to have it."""
        if not issparse(source):
            self._require_memory(stripes, source.shape[0] * source.shape[1] * source.dtype.itemsize)
        pieces = Pieces(stripes, source, sizes, self._rng)
        encoded = pieces.rows(self._lease.pool.empty, store)
        check_memory(CALL, sum(map(size_of, encoded)), self._options.memory_limit_bytes)
        side = Side(pieces.code, pieces.spans, encoded, seed_of(self._rng), next(_numbers), source.shape[0])
        owners = side.code.on_workers(self._lease.n).worker.tolist()
        tasks = (side.task(row) for row in range(side.code.rows))
        self._placed_bytes += sum(map(self._lease.placement.ensure, owners, tasks))
        return side

    def _require_memory(self, stripes: Stripes, nbytes: int) -> None:
        check_memory(CALL, int(stripes.share * nbytes), self._options.memory_limit_bytes)

    def _type_for(self, x: Array) -> np.dtype[Any]:
        """The type that the matrix is encoded in for a factor: as precise as their product is."""
        if not self._coding.mixes:
            return np.dtype(self.dtype)  # what is only copied loses nothing in its own type
        return np.result_type(self.dtype, x.real.dtype)

    @checks.named(CALL)
    def product(self, x: Array, *, adjoint: bool = False, **changes: Unpack[OptionKeywords]) -> Answer:
        """A x (or its adjoint) for an (n, columns) array, with its error bar and report.

        Parameters
        ----------
        x : (n, columns) array
        adjoint : bool
        **changes
            Options of this product in place of those given before.

        Raises
        ------
        ArgumentError
            The product could overflow, or ``x`` is no finite matrix of the right shape.
        """
        self._require_settled(changes)
        x, sizes = self._factor(x, self.shape[0 if adjoint else 1])
        with self._lock:
            plan = self._plan(self._type_for(x), adjoint)
        require_room("x", "A", sizes, x.dtype)
        answer = plan.run((x, sizes), **changes)
        with self._lock:
            placed, self._placed_bytes = self._placed_bytes, 0
        if placed:
            answer = replace(answer, report=replace(answer.report, placed_bytes=answer.report.placed_bytes + placed))
        self.answer = answer
        return answer

    def _require_settled(self, changes: OptionKeywords) -> None:
        given, settled = changes.pop("redundancy", None), self._coding.redundancy
        if given is not None and given != settled:
            must, remedy = f"be {settled}, as of the operator", "leave it out, or make another operator"
            raise checks.refusal(CALL, "redundancy", must, repr(given), remedy)
        if isinstance(self._coding, Stripes) and changes.get("scheduler") == "auto":
            del changes["scheduler"]

    def _factor(self, x: Any, inner: int) -> tuple[Array, Array]:
        """A factor in memory that workers may share, and the norms of its columns."""
        x = plain_array("x", x)
        x, sizes = check_matrix("x", x.astype(np.result_type(x, self.dtype), order="C", copy=False), 1)
        if len(x) != inner:
            raise checks.refusal(CALL, "x", f"have {inner} rows", f"shape {x.shape}", "transpose it, or the operator")
        shared = self._lease.pool.empty(x.shape, x.dtype)
        shared[...] = x
        return shared, sizes

    def close(self) -> None:
        """Free the workers' memory, and end the workers if this operator started them."""
        self._lease.close()


def _coding(
    matrix: Any, code: str | None, blocks: int | None, rows: int | None, redundancy: int | None, workers: int
) -> Stripes | RowBlocks:
    """How pieces are dealt to workers, or a code of products; refuse what contradicts itself."""
    named = [name for name, given in (("blocks", blocks), ("rows", rows)) if given is not None]
    if redundancy is None:
        if code is not None or named:
            build = CODES[("repetition" if issparse(matrix) else "mds") if code is None else code]
            return RowBlocks(build, blocks, rows, workers)
        redundancy = 1 if workers > 2 else 0
    elif named or code not in (None, "mds", "repetition"):
        given = f"{redundancy} beside {named[0] if named else 'code'}={(blocks or rows) if named else code!r}"
        remedy = "leave one of them out"
        raise checks.refusal(CALL, "redundancy", "say alone how many rows there are", given, remedy)
    copies = code == "repetition" or (code is None and issparse(matrix))
    return choose_stripes(workers, redundancy, copies, math.prod(matrix.shape) * matrix.dtype.itemsize)


def _checked(A: Any) -> tuple[Any, Array]:
    """A matrix that can be multiplied, and the norms of its rows."""
    if issparse(A) and A.ndim != 2:
        raise checks.refusal(CALL, "A", "have 2 dimensions", f"shape {A.shape}", "reshape it")
    if issparse(A):
        source = csr_array(A, copy=True)
        check_matrix("A", source.data.reshape(1, -1), 0)
        source.sum_duplicates()
        sizes = _norms(source, 0)
    else:
        source, sizes = check_matrix("A", A, 0)
    require_room("A", "x", sizes, source.dtype)
    return source, sizes


def _norms(source: Any, axis: int) -> Array:
    """Norms of rows (0) or columns (1)."""
    if not issparse(source):
        return norms(source, axis)
    lines = csr_array(source if axis == 0 else source.T)
    if not lines.nnz:
        return np.zeros(lines.shape[0])
    _, unit = np.frexp(abs(lines).max(axis=1).toarray().ravel())
    row = np.repeat(np.arange(lines.shape[0]), np.diff(lines.indptr))
    squares = np.ldexp(np.abs(lines.data).astype(np.float64), -unit[row]) ** 2
    return np.ldexp(np.sqrt(np.bincount(row, squares, lines.shape[0])), unit)


def _cast(source: Any, dtype: np.dtype[Any]) -> Any:
    if source.dtype == dtype:
        return source
    return source.astype(dtype) if issparse(source) else Cast(source, dtype)


def _adjoint(source: Any) -> Any:
    # A conjugate of what is complex would be a copy of all of it.
    if issparse(source):
        return source.conj().T
    return Adjoint(source) if isinstance(source, Source) or np.iscomplexobj(source) else source.T
