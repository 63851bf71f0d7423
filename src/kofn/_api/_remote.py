"""Products whose data lies at workers and stays there: the client sends references and receives references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from numbers import Number
from typing import Any, cast

import numpy as np

from .. import checks
from .._base._numbers import Array, Flags, Floats, Seed
from ..arrays._remote import Ref, RemoteMatrix
from ..arrays._source import Source
from ..engines._references import ReferencePool
from ..jobs._answer import Answer
from ..jobs._lease import PoolLease
from ..jobs._options import Options
from ..jobs._plan import Plan
from ..jobs.remote._deal import deal
from ..jobs.remote._errands import Errand, run_errands
from ..jobs.remote._room import fit, require_room, rooms_of
from ..jobs.remote._shelf import SLOWEST
from ..schemes._task import Task
from ..schemes.products._operands import require_shapes, seed_of
from ..schemes.products._remote import (
    RemoteScheme,
    Run,
    arguments_of,
    cut_into_runs,
    inputs_of,
    multiply_runs,
    pair_sketches,
    remote_code,
    sketch_left,
    sketch_right,
)

CALL = "kofn.matmul"
PRODUCT = "kofn.remote_product"

ROWS_A_WORKER = 4
"""Blocks of the answer for each worker: few enough that messages cost nothing, enough that a late one is little."""

SKETCH_SECONDS = 30.0
"""Who has not sketched his blocks by then is passed over."""


def may_be_remote(A: Any, B: Any) -> bool:
    """Whether one of the matrices is no array in memory, and an engine may have it at its workers."""
    return not (_is_here(A) and _is_here(B))


def _is_here(value: Any) -> bool:
    if is_grid(value):
        return False
    is_array = hasattr(value, "ndim") and isinstance(getattr(value, "dtype", None), np.dtype)
    return isinstance(value, np.ndarray | Source) or not is_array or hasattr(value, "nnz")


def is_grid(value: Any) -> bool:
    """Whether it is a list of lists of what are neither numbers nor arrays: an engine may know them as blocks.

    Examples
    --------
    >>> is_grid([[object()]]), is_grid([[1.0]]), is_grid([[np.ones((2, 2))]]), is_grid(np.ones((2, 2)))
    (True, False, False, False)
    """
    first = value
    for _ in range(2):
        if not isinstance(first, list | tuple) or not first:
            return False
        first = first[0]
    known = (Number, str, bytes, list, tuple)
    return not isinstance(first, known) and not hasattr(first, "__array__") and not hasattr(first, "__buffer__")


def multiply_remote(A: Any, B: Any, lease: PoolLease, options: Options, rng: Any) -> Answer | None:
    """The product at the workers, or None where the engine keeps nothing there or has neither of the matrices."""
    if not lease.capabilities.references:
        _refuse_grids([A, B], lease)
    if not lease.capabilities.references or not all(is_grid(value) or _is_matrix(value) for value in (A, B)):
        return None
    named = {name: value for name, value in (("A", A), ("B", B)) if not is_grid(value)}
    _require_numbers(named)
    if len(named) == 2:
        require_shapes(A, B)
    redundancy, options = int(options.redundancy or 0), options.settled(CALL, lease.n)
    pool = cast(ReferencePool, lease.pool)
    scheme = _placed(A, B, lease, redundancy)
    if scheme is None:
        return None
    if options.tolerance or options.deadline is not None or options.stop is not None or options.progress is not None:
        seed = seed_of(checks.generator(CALL, rng))
        scheme = replace(scheme, samples=sketch(scheme, pool, seed))
    choice = f"blocks stay at the workers: {len(scheme.lines)} by {len(scheme.columns)} blocks of the answer"
    return Plan(scheme, lease, replace(options, aim="p99"), choice).run()


@checks.named(PRODUCT)
def remote_product(A: Any, B: Any, *, workers: Any, redundancy: int = 0, rng: Seed = None) -> RemoteScheme:
    """The product of matrices that lie at workers, as a scheme: for `kofn.start`, `kofn.prepare` and `kofn.run`.

    `kofn.matmul` needs none of this; a job in the background does. Blocks are sketched at the workers, from which the
    errors of estimates are told; what is lazy is computed there first. The value of each estimate is of the engine's
    kind, such as a `dask.array`, with zeros where nothing has come, and stays what it was when it was made.

    Parameters
    ----------
    A : (m, k) matrix
    B : (k, n) matrix
        At least one of them the engine's own: a `dask.array.Array` with a Dask client, a list of lists of ObjectRefs
        with a `RayPool`, a `kofn.engines.RemoteMatrix` with an `MPIPool`. Another one in memory is scattered, once.
    workers : Pool or distributed.Client
        Who has them; the scheme is for these workers only.
    redundancy : int
        Blocks are copied to so many more workers while the first results are computed.
    rng : None, int or Generator
        Draws sketches.

    Returns
    -------
    Scheme

    Raises
    ------
    ArgumentError
        Neither matrix lies at the workers, or they keep no values.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> from kofn.engines import RemoteMatrix, references_of
    >>> with references_of(kofn.ThreadPool(2)) as pool:
    ...     blocks = np.array([[pool.keep(k, np.full, (2, 3), 1.0 + k).result()] for k in range(2)])
    ...     A = RemoteMatrix(blocks, (2, 2), (3,), np.dtype(float))
    ...     job = kofn.start(kofn.remote_product(A, np.ones((3, 2)), workers=pool, rng=0), workers=pool)
    ...     job.result().value.tolist()
    [[3.0, 3.0], [3.0, 3.0], [6.0, 6.0], [6.0, 6.0]]
    """
    if isinstance(workers, str | int | None):
        remedy = "pass the pool or client that has the matrices"
        raise checks.refusal(PRODUCT, "workers", "be there already", repr(workers), remedy)
    with PoolLease(workers, PRODUCT) as lease:
        checks.integer(PRODUCT, "redundancy", redundancy, 0, "0 makes no copies")
        if redundancy >= lease.n:
            must = f"be less than the number of workers, {lease.n}"
            raise checks.refusal(PRODUCT, "redundancy", must, redundancy, "ask for fewer copies")
        seed = seed_of(checks.generator(PRODUCT, rng))
        _require_numbers({name: value for name, value in (("A", A), ("B", B)) if _is_matrix(value)}, PRODUCT)
        scheme = _placed(A, B, lease, redundancy) if lease.capabilities.references else None
        if scheme is None:
            given, remedy = (
                f"neither, or an empty one, with {lease.name}",
                "use kofn.matmul, or a scheme of kofn.schemes",
            )
            raise checks.refusal(PRODUCT, "A", "lie at the workers, or else 'B'", given, remedy)
        return replace(scheme, samples=sketch(scheme, cast(ReferencePool, lease.pool), seed))


def _placed(A: Any, B: Any, lease: PoolLease, redundancy: int) -> RemoteScheme | None:
    """The product by who has what; None where the engine has neither, or there is nothing to compute."""
    pool = cast(ReferencePool, lease.pool)
    found = [_adopt(name, value, pool) for name, value in (("A", A), ("B", B))]
    _refuse_grids([value if at is None else None for at, value in zip(found, (A, B), strict=True)], lease)
    if found == [None, None]:
        return None
    sizes: Any = [value if at is None else at for at, value in zip(found, (A, B), strict=True)]
    if 0 in (*sizes[0].shape, *sizes[1].shape):
        return None
    require_shapes(*sizes)
    left, right = (scatter(value, pool) if at is None else at for at, value in zip(found, (A, B), strict=True))
    return remote_scheme(left, right, pool, redundancy)


def adopted(A: Any, lease: PoolLease, call: str) -> RemoteMatrix | None:
    """The blocks of a matrix that lies at the workers, or None where it does not, or is empty."""
    if _is_here(A) or not (is_grid(A) or _is_matrix(A)) or not lease.capabilities.references:
        return None
    if not is_grid(A):
        _require_numbers({"A": A}, call)
    found = _adopt("A", A, cast(ReferencePool, lease.pool), call)
    return None if found is None or 0 in found.shape else found


def _is_matrix(value: Any) -> bool:
    is_array = isinstance(getattr(value, "dtype", None), np.dtype) and not isinstance(value, np.ma.MaskedArray)
    return is_array and getattr(value, "ndim", 0) == 2 and not hasattr(value, "nnz")


def _refuse_grids(values: Sequence[Any], lease: PoolLease) -> None:
    """Refuse lists of lists of what the engine does not know."""
    for name, value in zip(("A", "B"), values, strict=True):
        if is_grid(value):
            given = f"a list of lists of {type(value[0][0]).__name__}, with a {type(lease.pool).__name__}"
            remedy = "blocks that are ObjectRefs need workers=kofn.RayPool(…); bring others here first"
            raise checks.refusal(CALL, name, "be a matrix, or blocks of one that the engine has", given, remedy)


def _require_numbers(matrices: Mapping[str, Any], call: str = CALL) -> None:
    """Refuse what an engine could not adopt before it computes anything."""
    for name, value in matrices.items():
        if not all(np.isfinite(np.shape(value))):
            remedy = f"call {name}.compute_chunk_sizes() first"
            raise checks.refusal(call, name, "have chunks of known sizes", f"shape {value.shape}", remedy)
        _require_kind(name, value.dtype, call)
        if not isinstance(getattr(value, "_meta", np.empty(0)), np.ndarray):
            given, remedy = f"one of {type(value._meta).__name__}", "convert it with map_blocks"
            raise checks.refusal(call, name, "be made of NumPy arrays", given, remedy)


def _require_kind(name: str, dtype: np.dtype[Any], call: str = CALL) -> None:
    if dtype.kind not in "biufc":
        raise checks.refusal(call, name, "be a matrix of numbers", f"one of dtype {dtype}", "convert it with astype")


def _adopt(name: str, value: Any, pool: ReferencePool, call: str = CALL) -> RemoteMatrix | None:
    if _is_here(value):
        return None
    with checks.renamed({"'value' must": f"{name!r} must"}):  # which is what an engine calls it
        found = pool.adopt(value)
    if found is not None:
        _require_kind(name, found.dtype, call)
    return found


def scatter(matrix: Any, pool: ReferencePool) -> RemoteMatrix:
    """A matrix in memory in blocks of rows, one at each worker: it passes this process once."""
    matrix = np.asarray(matrix)
    edges = np.unique(np.linspace(0, len(matrix), pool.n + 1).astype(int))
    blocks = [matrix[start:stop] for start, stop in pairwise(edges.tolist())]
    errands = [Errand(as_it_is, (block,), worker) for worker, block in enumerate(blocks)]
    refs = np.empty((len(blocks), 1), object)
    refs[:, 0] = run_errands(pool, errands, SKETCH_SECONDS + matrix.nbytes / SLOWEST, set())
    return RemoteMatrix(refs, tuple(map(len, blocks)), (matrix.shape[1],), matrix.dtype)


def as_it_is(value: Any) -> Any:
    """What a worker does that is to keep what it is sent."""
    return value


def remote_scheme(left: RemoteMatrix, right: RemoteMatrix, pool: ReferencePool, redundancy: int) -> RemoteScheme:
    """Blocks of the answer that fit the blocks of the matrices, each at a worker for which little has to move."""
    lines, columns = choose_runs(left.heights, right.widths, pool.n)
    pairs = [(line, column) for line in lines for column in columns]
    blocks, needs = inputs_of([Task(multiply_runs, arguments_of(left, right, *pair)) for pair in pairs])
    held, sizes = where_they_lie(blocks, pool.n)
    area = np.array([line.size * column.size for line, column in pairs], dtype=float)
    load, rooms, results = area / area.mean(), rooms_of(pool), area * np.result_type(left.dtype, right.dtype).itemsize
    require_room(CALL, needs, sizes, results, rooms)
    asked = deal(needs, sizes, held, load, redundancy)
    dealt = fit(asked, needs, sizes, held, results, rooms)
    code = remote_code(len(pairs), dealt.rows, dealt.workers, load[list(dealt.rows)].tolist())
    copies, left_out = (
        [(blocks[block], worker) for block, worker in dealt.copies],
        len(asked.copies) - len(dealt.copies),
    )
    return RemoteScheme(code, left, right, tuple(lines), tuple(columns), copies=copies, left_out=left_out)


def where_they_lie(blocks: Sequence[Ref], workers: int) -> tuple[Flags, Floats]:
    """At which worker each block lies, (blocks, workers), and how large it is."""
    held = np.zeros((len(blocks), workers), dtype=bool)
    held[np.arange(len(blocks)), [ref.worker for ref in blocks]] = True
    return held, np.array([float(max(1, ref.size)) for ref in blocks])


def choose_runs(heights: Sequence[int], widths: Sequence[int], workers: int) -> tuple[list[Run], list[Run]]:
    """How the sides of the answer are cut: some blocks for each worker, at the ends of blocks if possible.

    Examples
    --------
    >>> [tuple(map(len, choose_runs(*sides, 3))) for sides in (([8] * 6, [15] * 2), ([9] * 40, [9] * 40), ([9], [8]))]
    [(6, 2), (5, 3), (3, 4)]
    """
    wanted, best, least = ROWS_A_WORKER * workers, None, np.inf
    for n in range(1, min(sum(heights), wanted) + 1):
        lines = cut_into_runs(heights, n)
        for p in {max(1, wanted // len(lines)), -(-wanted // len(lines))}:
            columns = cut_into_runs(widths, p)
            count = len(lines) * len(columns)
            largest = max(run.size for run in lines) * max(run.size for run in columns) / (sum(heights) * sum(widths))
            longest = -(-count // workers) * largest * workers  # of a worker, where all are as large as the largest
            cost = (_read(lines, heights) + _read(columns, widths)) * longest
            if (cost < least and count >= 0.9 * wanted) or best is None:
                best, least = (lines, columns), cost
    assert best is not None, "a matrix without rows is no matter of workers"
    return best


def _read(runs: Sequence[Run], sizes: Sequence[int]) -> float:
    """Rows or columns that have to be at a worker for a block of the answer, in the mean; blocks move whole."""
    return sum(sum(sizes[run.first : run.last]) for run in runs) / len(runs)


def sketch(scheme: RemoteScheme, pool: ReferencePool, seed: int) -> Array | None:
    """Sketches of all blocks of the answer, made at the workers; None where that took too long."""
    height, width = (max(run.size for run in side) for side in (scheme.lines, scheme.columns))
    errands = []
    for line in scheme.lines:
        blocks, rows, _, _ = arguments_of(scheme.left, scheme.right, line, scheme.columns[0])
        errands.append(Errand(sketch_left, (seed, height, blocks, rows), blocks[0][0].worker))
    for column in scheme.columns:
        _, _, blocks, columns = arguments_of(scheme.left, scheme.right, scheme.lines[0], column)
        errands.append(Errand(sketch_right, (seed, width, blocks, columns), blocks[0][0].worker))
    avoided: set[int] = set()
    refs = run_errands(pool, errands, SKETCH_SECONDS, avoided)
    split = len(scheme.lines)
    last = Errand(pair_sketches, (refs[:split], refs[split:]), refs[0].worker, keeps=False)
    samples: Array = run_errands(pool, [last], SKETCH_SECONDS, avoided)[0]
    for ref in refs:
        pool.release(ref)
    return samples
