"""Checking the two matrices of a product, and choosing how to cut them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ... import checks
from ..._base._envelope import error_line
from ..._base._numbers import Array, Floats, epsilon_of
from ..._base._snapshots import mapped_file
from ...arrays._dask import DaskMatrix
from ...arrays._file import Mapped
from ...arrays._reductions import norms, not_finite
from ...arrays._source import Cast, Source
from ...checks import integer, is_dask_array, refusal
from ...errors import ArgumentError

CALL = "kofn.matmul"


class Shaped(Protocol):
    """What has the shape of a product: rows of A, the inner dimension, columns of B."""

    @property
    def shape(self) -> tuple[int, int, int]: ...


@dataclass(frozen=True, eq=False)
class Operands:
    """Two matrices that can be multiplied, arrays or sources, of one floating type and without NaN or inf.

    Parameters
    ----------
    A : (m, k) array or Source
    B : (k, n) array or Source
    rows : (m,) array
        Norms of the rows of A.
    columns : (n,) array
        Norms of the columns of B.
    """

    A: Any
    B: Any
    rows: Floats
    columns: Floats

    @classmethod
    def of(cls, A: Any, B: Any) -> Operands:
        """Check ``A`` (rows × inner) and ``B`` (inner × columns), or refuse them with a reason.

        Examples
        --------
        >>> Operands.of(np.ones((2, 3), np.float32), np.ones((3, 4))).dtype
        dtype('float64')
        """
        (first, rows), (second, columns) = check_matrix("A", A, 0), check_matrix("B", B, 1)
        require_shapes(first, second)
        dtype = np.result_type(first.dtype, second.dtype)
        require_room("A", "B", rows, dtype)
        require_room("B", "A", columns, dtype)
        first, second = (value if value.dtype == dtype else Cast(value, dtype) for value in (first, second))
        return cls(first, second, rows, columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Their common type: float32, float64, complex64 or complex128."""
        dtype: np.dtype[Any] = self.A.dtype
        return dtype

    @property
    def epsilon(self) -> float:
        """Relative precision of that type."""
        return epsilon_of(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows of A, the inner dimension, columns of B."""
        return self.A.shape[0], self.A.shape[1], self.B.shape[1]


def require_shapes(first: Any, second: Any) -> None:
    """Refuse two matrices that cannot be multiplied."""
    if first.shape[1] != second.shape[0]:
        given = f"A of shape {first.shape} and B of shape {second.shape}"
        raise refusal(CALL, "B", f"have {first.shape[1]} rows, as A has columns", given, "transpose one of them")


def require_room(name: str, other: str, norms: Floats, dtype: np.dtype[Any]) -> None:
    """Refuse a matrix with a row or column so long that its length is no number."""
    if not norms.max(initial=0.0) < np.inf:
        must = f"have a product with {other} that stays well inside {dtype}"
        raise refusal(CALL, name, must, "rows or columns longer than the largest float64", "scale down what is large")


def check_matrix(name: str, value: Any, axis: int) -> tuple[Any, Floats]:
    """A finite floating-point matrix, an array or a source, and the norms of its rows or columns, or a refusal."""
    if hasattr(value, "toarray"):
        remedy = f"leave 'code' out, or use 'uncoded' or 'repetition', or pass {name}.toarray()"
        raise refusal(CALL, name, "be a dense matrix for a code that combines blocks", type(value).__name__, remedy)
    array = _readable(name, value)
    if array.dtype.char not in "fdFD":
        remedy = f"convert it, as with {name}.astype(float)"
        if array.dtype.kind in "biu":  # which codes that combine nothing take
            remedy = f"leave 'code' out, or use 'uncoded' or 'repetition', or {remedy}, "
            remedy += "because this code combines blocks with real weights"
        raise refusal(CALL, name, "hold float32, float64 or complex numbers", f"dtype {array.dtype}", remedy)
    if array.ndim != 2:
        remedy = (
            f"reshape it, as in {name}[:, None]" if array.ndim < 2 else "multiply the matrices of a stack one by one"
        )
        raise refusal(CALL, name, "have 2 dimensions", f"shape {array.shape}", remedy)
    found = norms(array, axis)
    if not np.isfinite(found).all():
        _require_finite(name, array)
    return array, found


def _readable(name: str, value: Any) -> Any:
    """An array in memory as it is, anything else as a source that is read by pieces."""
    if isinstance(value, Source):
        return value
    file = mapped_file(value)
    if file is not None and value.ndim == 2:
        return Mapped(value, file)
    if is_dask_array(value) and value.ndim == 2:
        if not isinstance(value._meta, np.ndarray):
            given, remedy = f"{type(value._meta).__name__}s", "convert them with map_blocks"
            raise refusal(CALL, name, "be a dask array of NumPy arrays", given, remedy)
        _require_unmasked(name, value._meta)
        if not all(np.isfinite(value.shape)):
            remedy = f"call {name}.compute_chunk_sizes() first"
            raise refusal(CALL, name, "have chunks of known sizes", f"chunks {value.chunks}", remedy)
        return DaskMatrix(value)
    return value if is_dask_array(value) else plain_array(name, value)


def plain_array(name: str, value: Any) -> Array:
    """Return ``value`` as an array in memory, or refuse what would lose something on the way."""
    _require_unmasked(name, value)
    try:
        array, masked = checks.as_array(value)
    except ValueError:
        remedy = "fill rows up to the same length"
        raise refusal(CALL, name, "be a matrix with rows of one length", "rows of several", remedy) from None
    except Exception as error:  # what becomes an array in its own way says in its own words why it does not
        raise refusal(CALL, name, "be an array, or become one", error_line(error), "convert it first") from error
    if masked:
        raise _masked(name, f"a {type(value).__name__} in which numbers are masked", "fill it first, with .filled(0.0)")
    return array


def _require_unmasked(name: str, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray):
        raise _masked(name, "a masked array", f"use {name}.filled(0.0), or np.ma.compress_rowcols")


def _masked(name: str, given: str, remedy: str) -> ArgumentError:
    return refusal(CALL, name, "be an array without a mask", given, remedy)


def _require_finite(name: str, array: Any) -> None:
    row, column, count, value = not_finite(array)
    if count:
        given = f"{value} at [{row}, {column}] ({count} such in all)"
        raise refusal(CALL, name, "be finite", given, "remove or replace what is not a number")


def blocks_of(blocks: Any, rows: int, columns: int, names: tuple[str, str]) -> tuple[int, int]:
    """Check a pair of block counts against the dimensions that they cut, or refuse them with a reason.

    Parameters
    ----------
    blocks : (N, P)
        Numbers of blocks.
    rows, columns : int
        The dimensions that are cut into N and P spans.
    names : pair of str
        What these dimensions are called.

    Examples
    --------
    >>> blocks_of((2, 3), 10, 10, ("rows of A", "columns of B"))
    (2, 3)
    """
    try:
        first, second = blocks
    except (TypeError, ValueError):
        raise refusal(CALL, "blocks", "be a pair (N, P)", repr(blocks), "leave it out to have it chosen") from None
    for count, length, name in ((first, rows, names[0]), (second, columns, names[1])):
        count = integer(CALL, "blocks", count, 1, "use at least one block in each direction")
        if count > max(1, length):
            must = f"cut the {length} {name} into at most {max(1, length)} blocks"
            raise refusal(CALL, "blocks", must, count, "use fewer blocks")
    return int(first), int(second)


def balance_blocks(limit: int, rows: int, columns: int) -> tuple[int, int]:
    """Choose (N, P) with N·P close to ``limit`` and little to send: blocks of A and B that are not too thin.

    Examples
    --------
    >>> [balance_blocks(limit, 1000, 1000) for limit in (6, 9, 7)], balance_blocks(6, 1000, 1)
    ([(2, 3), (3, 3), (2, 3)], (6, 1))
    """
    pairs = [
        (n, p) for n in range(1, min(limit, max(1, rows)) + 1) for p in range(1, min(limit // n, max(1, columns)) + 1)
    ]
    most = max(n * p for n, p in pairs)
    # A block product costs 1/(N·P); sending costs rows/N + columns/P. Up to a fifth more work buys square blocks.
    good = [pair for pair in pairs if pair[0] * pair[1] >= 0.8 * most]
    return min(good, key=lambda pair: (rows / pair[0] + columns / pair[1], -pair[0] * pair[1]))


def seed_of(rng: np.random.Generator) -> int:
    """A seed that no other call gets and that takes no number from the generator, so that nothing else depends on it.

    Examples
    --------
    >>> one, other = np.random.default_rng(0), np.random.default_rng(0)
    >>> seed_of(one) == seed_of(other), seed_of(one) == seed_of(one), float(one.random()) == float(other.random())
    (True, False, True)
    """
    sequence = rng.bit_generator.seed_seq
    if not isinstance(sequence, np.random.SeedSequence):  # one that was seeded in the old way has none
        return int(rng.integers(1 << 63))
    return int(sequence.spawn(1)[0].generate_state(1, np.uint64)[0])


def generator(rng: Any) -> np.random.Generator:
    """Return a random generator: the one given, one seeded by an int, or a fresh one for None."""
    return checks.generator(CALL, rng)
