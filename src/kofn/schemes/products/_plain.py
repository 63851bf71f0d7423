"""Products of what no code can combine: integers and booleans, which wrap round, and sparse matrices, which fill up.

Every block product is computed as it is, by whoever is free, and copied where it belongs: bit for bit what NumPy or
SciPy make of it. Backups are duplicates.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np

from ..._base._numbers import EPSILON, Array
from ..._base._snapshots import Snapshot
from ...arrays._blocks import Blocks, Grid
from ...arrays._source import Source
from ...arrays._spec import ArraySpec
from ...checks import is_dask_array, refusal
from ...codes._copies import CopyCode
from ...codes._prior import Prior
from ...codes.decoding._assess import Decoding
from ...codes.decoding._estimators import Estimator
from .._encoding import Encoding, Factor
from .._layout import Layout
from .._scheme import Parts, Scheme
from .._task import Task
from .._verifier import Verifier
from ._asked import Sum
from ._freivalds import Freivalds
from ._modular import Modular
from ._operands import CALL, check_matrix, require_shapes
from ._row_column import choose_blocks, plain_grid, require_threshold, row_count
from ._scheme import multiply


def is_sparse_matrix(value: Any) -> bool:
    """Whether it is a matrix or array of SciPy's that is stored sparsely."""
    scipy = sys.modules.get("scipy.sparse")  # who has one has loaded it
    return scipy is not None and bool(scipy.issparse(value))


def must_stay_plain(*matrices: Any) -> bool:
    """Whether blocks of these can only be multiplied as they are.

    Examples
    --------
    >>> must_stay_plain(np.eye(2), np.eye(2)), must_stay_plain(np.eye(2), [[1, 2], [3, 4]])
    (False, True)
    """
    return any(is_sparse_matrix(value) or _is_whole(value) for value in matrices)


def _is_whole(value: Any) -> bool:
    if is_dask_array(value) or isinstance(value, np.ma.MaskedArray | Source):  # a source holds no such numbers
        return False
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except Exception:  # who checks it says why
        return False
    return array.dtype.kind in "biu" and array.ndim == 2


@dataclass(frozen=True, eq=False)
class PlainOperands:
    """Two matrices that can be multiplied as NumPy or SciPy do it.

    Parameters
    ----------
    A, B : array or sparse matrix
        A sparse A by rows.
    like : array or sparse matrix
        A small one of the kind that the product is.
    """

    A: Any
    B: Any
    like: Any

    @classmethod
    def of(cls, A: Any, B: Any) -> PlainOperands:
        """Check them, or refuse them with a reason.

        Examples
        --------
        >>> PlainOperands.of([[1, 2]], np.array([[3], [4]], np.int8)).dtype
        dtype('int64')
        """
        first, second = _checked("A", A, 0), _checked("B", B, 1)
        require_shapes(first, second)
        like = _small(first) @ _small(second)
        return cls(_by_rows(first, like) if is_sparse_matrix(first) else first, second, like)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the product."""
        dtype: np.dtype[Any] = self.like.dtype
        return dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows of A, the inner dimension, columns of B."""
        return self.A.shape[0], self.A.shape[1], self.B.shape[1]

    @property
    def has_sparse(self) -> bool:
        """Whether one of them is sparse."""
        return is_sparse_matrix(self.A) or is_sparse_matrix(self.B)


def _checked(name: str, value: Any, axis: int) -> Any:
    if is_sparse_matrix(value):
        if value.ndim != 2 or value.dtype.kind not in "biufc" or not np.isfinite(value.tocsr().data).all():
            must = "be a matrix of finite numbers"
            given = f"a sparse one of shape {value.shape} and dtype {value.dtype}, or with nan or inf"
            raise refusal(CALL, name, must, given, "look at its data")
        return value
    if _is_whole(value):
        return np.asarray(value)
    array, _ = check_matrix(name, value, axis)
    return array[:]


def _small(matrix: Any) -> Any:
    """A small matrix of the same kind; not an empty one, of which SciPy cannot multiply diagonals."""
    one = np.ones((1, 1), matrix.dtype)
    return type(matrix)(one) if is_sparse_matrix(matrix) else one


def _by_rows(matrix: Any, like: Any) -> Any:
    """A sparse matrix by rows; entries that stand twice are added in the type in which SciPy would add them."""
    twice = matrix.format == "coo" and not matrix.has_canonical_format
    return (matrix.astype(like.dtype) if twice and not is_sparse_matrix(like) else matrix).tocsr()


@final
@dataclass(frozen=True, eq=False, repr=False)
class PlainScheme(Scheme):
    """Blocks of A times blocks of B, as they are and where they belong.

    Parameters
    ----------
    code : CopyCode
        Over the blocks of the grid.
    operands : PlainOperands
    grid : Grid
        How the answer is cut; by rows alone where a matrix is sparse.
    """

    code: CopyCode
    operands: PlainOperands
    grid: Grid

    @property
    def epsilon(self) -> float:
        """That of the product's numbers; integers have no rounding."""
        dtype = self.operands.dtype
        return float(np.finfo(dtype).eps) if dtype.kind in "fc" else EPSILON

    @property
    def adaptive(self) -> bool:
        """Copies are for whoever is free."""
        return True

    @property
    def estimator(self) -> Estimator:
        """What is missing is zero."""
        return "exact"

    def encoding(self) -> Encoding:
        """Each row needs its blocks; sparse ones are cut from A, or placed at the workers whole, as B is."""
        n, p = np.divmod(self.code.groups, self.grid.columns.count)
        sides = ((self.operands.A, self.grid.rows, n), (self.operands.B, self.grid.columns, p))
        dense = [(axis, *side) for axis, side in enumerate(sides) if not is_sparse_matrix(side[0])]
        factors = [Factor(np.eye(spans.count)[at], Blocks(one, spans, axis)) for axis, one, spans, at in dense]
        needs = list(zip(*([(i, int(k)) for k in at] for i, (*_, at) in enumerate(dense)), strict=True))
        needs = needs or [()] * self.code.rows
        result = None if self.operands.has_sparse else self._result
        return Encoding(needs, self.tasks_of, factors, result)

    @property
    def _result(self) -> ArraySpec:
        return ArraySpec((self.grid.rows.size, self.grid.columns.size), self.operands.dtype)

    def tasks_of(self, rows: Sequence[int], blocks: Sequence[Sequence[Array]]) -> list[Task]:
        """The tasks of rows, from what is dense of each."""
        A, B, spans = self.operands.A, self.operands.B, self.grid.rows.slices
        tasks = []
        for row, of_row in zip(rows, blocks, strict=True):
            part = [A[spans[self.code.groups[row]]], *of_row] if is_sparse_matrix(A) else list(of_row)
            whole: dict[Hashable, Any] = {"B": B} if is_sparse_matrix(B) else {}
            tasks.append(Task(multiply_by if whole else multiply, tuple(part), whole))
        return tasks

    def verifier(self, seed: int) -> Verifier | None:
        """Freivalds' check of each block product, exact where integers wrap round; none where it is of booleans."""
        kind = self.operands.dtype.kind
        if kind == "b":
            return None
        return Modular(factors_of, seed) if kind in "iu" else Freivalds(sum_of_plain, seed)

    def layout(self, result: ArraySpec) -> Layout:
        """Blocks of the grid."""
        return Layout.blocks(self.grid, self.code.unknowns, result.dtype)

    def prior(self) -> Prior:
        """All blocks count alike."""
        return Prior.independent(np.ones(self.code.unknowns))

    @property
    def parts(self) -> Parts:
        """Blocks of the answer."""
        return Parts((self.grid.rows.count, self.grid.columns.count), self.grid)

    def taken(self, snapshot: Snapshot) -> Self:
        """The same of the matrices as they are now."""
        A, B = (snapshot.value(matrix) for matrix in (self.operands.A, self.operands.B))
        return replace(self, operands=replace(self.operands, A=A, B=B))

    def check(self, row: int, result: Any, like: ArraySpec | None = None) -> Any:
        """Block products are taken as they are."""
        return result

    def answer(self, decoding: Decoding, rows: Sequence[int], results: Sequence[Any], out: Any = None) -> Any:
        """The blocks that have come, and zeros: nothing is computed with them."""
        there: dict[int, Any] = {}
        for row, result in zip(rows, results, strict=True):
            there.setdefault(int(self.code.groups[row]), result)
        if is_sparse_matrix(self.operands.like):
            return self._stacked(there)
        value = np.empty(self.grid.shape, self.operands.dtype) if out is None else out
        for number, view in enumerate(self.grid.views(value)):
            block = there.get(number)
            height, width = view.shape
            view[0:height] = np.zeros(view.shape, self.operands.dtype) if block is None else block[:height, :width]
        return value

    def _stacked(self, there: dict[int, Any]) -> Any:
        from scipy.sparse import vstack

        like, columns = self.operands.like, self.grid.columns.length
        heights = [span.stop - span.start for span in self.grid.rows.slices]
        none = [type(like)((height, columns), dtype=like.dtype) for height in heights]
        return vstack([there.get(number, none[number]) for number in range(len(none))], format=like.format)


def multiply_by(right: Any, left: Any) -> Any:
    """What a worker does that has the second matrix.

    Examples
    --------
    >>> multiply_by(np.array([[2]]), np.array([[3]]))
    array([[6]])
    """
    return left @ right


def factors_of(task: Task) -> tuple[Any, Any, Any]:
    """What a task multiplies, and a small matrix of the kind and type of the product."""
    values = [*task.resident.values(), *task.arguments]
    left, right = reversed(values) if task.function is multiply_by else values
    return left, right, _small(left) @ _small(right)


def sum_of_plain(task: Task) -> Sum:
    """What a task of a plain product asks for."""
    left, right, _ = factors_of(task)
    return Sum.of(left, right)


def plain_scheme(
    name: str, A: Any, B: Any, blocks: tuple[int, int] | None, rows: int | None, workers: int | None, copies: int
) -> PlainScheme:
    """A scheme of plain products, ``copies`` of each.

    Parameters
    ----------
    name : str
        Of the code.
    blocks, rows, workers
        As of `kofn.schemes.uncoded`.
    """
    operands = PlainOperands.of(A, B)
    count = None if blocks is not None and rows is None and copies == 1 else row_count(rows, workers)
    limit = max(1, (count or 1) // copies)
    n, p = choose_blocks(operands, blocks, limit, only_rows=operands.has_sparse)
    if operands.has_sparse and p != 1:
        raise refusal(CALL, "blocks", "be (N, 1) where a matrix is sparse", (n, p), "cut the rows of A alone")
    count = n * p if count is None or copies == 1 else count
    require_threshold(name, n * p, count)
    code = CopyCode(name, n * p, count, count if workers is None else workers)
    return PlainScheme(code, operands, plain_grid(operands, (n, p)))
