"""The class behind `kofn.operator`: one placement per direction, one job per product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from .. import checks
from .._base._closeable import Closing
from .._base._numbers import precision
from .._base._snapshots import Snapshot
from ..arrays._blocks import Blocks, Grid, Spans
from ..arrays._reductions import norms
from ..arrays._scaling import balanced, shifted, sizes_of, spread_of
from ..arrays._source import Adjoint, Cast, Source
from ..arrays._spec import ArraySpec
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..jobs._answer import Answer
from ..jobs._job import run
from ..jobs._lease import Workers
from ..jobs._memory import require_memory
from ..jobs._placement import size_of
from ..jobs._stop import StopRule, stop_rule
from ..schemes import mds, mds_chebyshev, repetition, uncoded
from ..schemes._encoding import Encoding, Factor
from ..schemes._layout import Layout
from ..schemes._scheme import Parts, Scheme
from ..schemes._task import Task
from ..schemes.products._operands import measured, plain_array, require_room
from ..schemes.products._scheme import SKETCH, left_sketches, prior_of_samples, real_type
from ._vectors import Unmasked

Array = NDArray[Any]
CALL = "kofn.operator"
CODES = {"mds": mds, "mds-chebyshev": mds_chebyshev, "repetition": repetition, "uncoded": uncoded}
"""Codes on the row blocks of a matrix whose coefficients do not depend on the data."""

COPIES = (repetition, uncoded)
"""Those that combine nothing."""

_numbers = count()


def multiply(block: Any, x: Array) -> Array:
    """What a worker does: its resident block times what it is sent."""
    product: Array = block @ x
    return product


@dataclass(frozen=True, eq=False)
class Side:
    """A matrix in one direction: its code, its encoded blocks, and sketches for the error bar.

    Parameters
    ----------
    code : LinearCode
        Over the row blocks of the matrix.
    spans : Spans
        How the rows are cut, and by which powers of two they were raised.
    encoded : list
        The block of each row of the code; equal rows share one.
    sketches : (blocks, SKETCH, n) array
        Ψ A_n: what the prior of A_n x is estimated from, for any x.
    """

    code: LinearCode
    spans: Spans
    encoded: list[Any]
    sketches: Array
    key: int

    def scheme(self, x: Array, sizes: Array) -> SideScheme:
        """The product with an (n, columns) array, whose columns have these norms, as a scheme."""
        columns = balanced(sizes, Spans(x.shape[1], 1), precision(x))
        x = x if columns.exponents is None else shifted(x, (1, columns.exponents))
        return SideScheme(self.code, self, x, Grid(self.spans, columns))


@final
@dataclass(frozen=True, eq=False, repr=False)
class SideScheme(Scheme):
    """The product of what is resident already with what is sent.

    Parameters
    ----------
    code : LinearCode
    side : Side
    x : (n, columns) array
    grid : Grid
        How the answer is cut.
    """

    code: LinearCode
    side: Side
    x: Array
    grid: Grid

    def encoding(self) -> Encoding:
        """Everything is encoded already."""
        return Encoding([()] * self.code.rows, self.tasks_of)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of some rows."""
        return [Task(multiply, (self.x,), {(self.side.key, row): self.side.encoded[row]}) for row in rows]

    def layout(self, result: ArraySpec) -> Layout:
        """Row blocks."""
        return Layout.blocks(self.grid, self.code.unknowns, result.dtype)

    def prior(self) -> Prior:
        """From the sketches of the matrix, of which those of the product are multiples."""
        return prior_of_samples((self.side.sketches @ self.x).reshape(self.code.unknowns, -1))

    @property
    def epsilon(self) -> float:
        """That of what is sent."""
        return precision(self.x)

    @property
    def parts(self) -> Parts:
        """Row blocks."""
        return Parts((self.code.unknowns,), self.grid)

    def taken(self, snapshot: Snapshot) -> SideScheme:
        """The same factor as it is now; the matrix was taken when it was encoded."""
        return replace(self, x=snapshot.value(self.x))


class CodedOperator(Closing, Unmasked):
    """A coded matrix as a linear operator; made by `kofn.operator`.

    Attributes
    ----------
    answer : Answer or None
        Of the last product: whether it was exact, its error bar and its report.
    """

    @checks.named(CALL)
    def __init__(
        self,
        A: Any,
        *,
        workers: Any,
        code: str | None,
        blocks: int | None,
        rows: int | None,
        tolerance: float,
        deadline: float | None,
        rng: Any,
        memory_limit_bytes: int | None,
    ) -> None:
        self._source, self._sizes = _source(A)
        name = ("repetition" if issparse(self._source) else "mds") if code is None else code
        self._build = CODES[checks.choice(CALL, "code", name, CODES, "only codes on row blocks serve here")]
        self._blocks, self._rows, self._rng = blocks, rows, checks.generator(CALL, rng)
        self._stop: StopRule = stop_rule(CALL, tolerance, deadline)
        self._limit = memory_limit_bytes
        self.answer: Answer | None = None
        self._sides: dict[tuple[str, bool], Side] = {}
        super().__init__(self._source.dtype, self._source.shape)
        self._workers = Workers(workers, CALL)
        try:
            self._side(self.dtype, adjoint=False)  # encoding is what the caller asked for
        except BaseException:
            self.close()
            raise

    def _side(self, dtype: np.dtype[Any], adjoint: bool) -> Side:
        """The matrix in one direction, encoded in this type when it is first needed."""
        key = (dtype.char, adjoint)
        if key not in self._sides:
            source = _cast(self._source, dtype)
            sizes = _norms(self._source, 1) if adjoint else self._sizes
            self._sides[key] = self._encoded(_adjoint(source) if adjoint else source, sizes)
        return self._sides[key]

    def _encoded(self, source: Any, sizes: Array) -> Side:
        blocks = None if self._blocks is None else (self._blocks, 1)
        shape = np.zeros((source.shape[0], 1)), np.zeros((1, 1))
        code = self._build(*shape, blocks=blocks, rows=self._rows, workers=self._workers.n, rng=self._rng).code
        spans = Spans(source.shape[0], code.unknowns)
        spans = balanced(sizes, spans, precision(source), mixed=code.mixes)
        if code.mixes:
            code = replace(code, spread=spread_of(sizes_of(sizes, spans), np.ones((1, 1))))
        encode = self._encoded_sparse if issparse(source) else self._encoded_dense
        encoded = encode(source, code, spans)
        return Side(code, spans, encoded, _sketches(source, spans, self._rng), next(_numbers))

    def _type_for(self, x: Array) -> np.dtype[Any]:
        """The type that the matrix is encoded in for a factor: as precise as their product is."""
        if self._build in COPIES:
            return np.dtype(self.dtype)  # what is only copied loses nothing in its own type
        return np.result_type(self.dtype, x.real.dtype)

    def _encoded_dense(self, source: Array, code: LinearCode, spans: Spans) -> list[Any]:
        factor = Factor(code.generator, Blocks(source, spans, 0))
        require_memory(CALL, factor.encoded_bytes, self._limit)
        return factor.encode(self._workers.pool.empty)

    def _encoded_sparse(self, source: Any, code: LinearCode, spans: Spans) -> list[Any]:
        rows = _raised(source, spans)
        blocks = [rows[span] for span in spans.slices]
        for block in blocks:
            block.resize((spans.size, rows.shape[1]))
        distinct, which = np.unique(code.generator, axis=0, return_inverse=True)
        encoded: list[Any] = []
        held = 0
        for coefficients in distinct:
            used = [blocks[i] for i in np.flatnonzero(coefficients)]
            # How many entries a combination has is known when it is made; no fewer than each of its blocks.
            require_memory(CALL, held + max(map(size_of, used), default=0), self._limit)
            encoded.append(_combined(coefficients, blocks).astype(source.dtype))
            held += size_of(encoded[-1])
        require_memory(CALL, held, self._limit)
        return [encoded[index] for index in which.reshape(-1)]

    @checks.named(CALL)
    def product(self, x: Array, *, adjoint: bool = False) -> Answer:
        """A x (or its adjoint) for an (n, columns) array, with its error bar and report.

        Raises
        ------
        ArgumentError
            The product could overflow, or ``x`` is no finite matrix of the right shape.
        """
        x = self._factor(x, self.shape[0 if adjoint else 1])
        side = self._side(self._type_for(x), adjoint)
        sizes = norms(x, 1)
        require_room("x", "A", sizes, x.dtype)
        self.answer = answer = run(side.scheme(x, sizes), workers=self._workers, stop=self._stop)
        return answer

    def _factor(self, x: Any, inner: int) -> Array:
        x = plain_array("x", x)
        x, _ = measured("x", x.astype(np.result_type(x, self.dtype), order="C", copy=False), 1)
        if len(x) != inner:
            raise checks.refusal(CALL, "x", f"have {inner} rows", f"shape {x.shape}", "transpose it, or the operator")
        return np.ascontiguousarray(x)

    def _matvec(self, x: Array) -> Array:
        return self._matmat(x.reshape(-1, 1)).reshape(-1)

    def _matmat(self, x: Array) -> Array:
        value: Array = self.product(x).value
        return value

    def _rmatvec(self, x: Array) -> Array:
        return self._rmatmat(x.reshape(-1, 1)).reshape(-1)

    def _rmatmat(self, x: Array) -> Array:
        value: Array = self.product(x, adjoint=True).value
        return value

    def close(self) -> None:
        """Free the workers' memory, and end the workers if this operator started them."""
        self._workers.close()


def _source(A: Any) -> tuple[Any, Array]:
    """The matrix as it is now, which other sides are encoded of later, and the norms of its rows."""
    if issparse(A) and A.ndim != 2:
        raise checks.refusal(CALL, "A", "have 2 dimensions", f"shape {A.shape}", "reshape it")
    if issparse(A):
        source = csr_array(A, copy=True)
        measured("A", source.data.reshape(1, -1), 0)
        source.sum_duplicates()
        sizes = _norms(source, 0)
    else:
        checked, sizes = measured("A", A, 0)
        source = Snapshot().matrix(checked)
    require_room("A", "x", sizes, source.dtype)
    return source, sizes


def _norms(source: Any, axis: int) -> Array:
    """Norms of rows (0) or columns (1)."""
    if not issparse(source):
        return norms(source, axis)
    lines = csr_array(source if axis == 0 else source.T)
    _, unit = np.frexp(abs(lines).max(axis=1).toarray().ravel())
    row = np.repeat(np.arange(lines.shape[0]), np.diff(lines.indptr))
    squares = np.ldexp(np.abs(lines.data).astype(np.float64), -unit[row]) ** 2
    return np.ldexp(np.sqrt(np.bincount(row, squares, lines.shape[0])), unit)


def _cast(source: Any, dtype: np.dtype[Any]) -> Any:
    if source.dtype == dtype:
        return source
    return source.astype(dtype) if issparse(source) else Cast(source, dtype)


def _raised(source: Any, spans: Spans) -> Any:
    """The rows of a sparse matrix as blocks have them."""
    rows = csr_array(source)
    if spans.exponents is None:
        return rows
    powers = np.repeat(spans.exponents, np.diff(rows.indptr))
    return csr_array((shifted(rows.data, (0, powers)), rows.indices, rows.indptr), rows.shape)


def _combined(coefficients: Array, blocks: list[Any]) -> Any:
    used = np.flatnonzero(coefficients)
    return sum(coefficients[i] * blocks[i] for i in used[1:]) + coefficients[used[0]] * blocks[used[0]]


def _adjoint(source: Any) -> Any:
    # A conjugate of what is complex would be a copy of all of it.
    if issparse(source):
        return source.conj().T
    return Adjoint(source) if isinstance(source, Source) or np.iscomplexobj(source) else source.T


def _sketches(source: Any, spans: Spans, rng: np.random.Generator) -> Array:
    psi = rng.standard_normal((SKETCH, spans.size)).astype(real_type(source.dtype))
    if not issparse(source):
        return left_sketches(psi, Blocks(source, spans, 0))
    rows = _raised(source, spans)
    return np.stack([(rows[span].T @ psi[:, : span.stop - span.start].T).T for span in spans.slices])
