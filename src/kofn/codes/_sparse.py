"""Sparse generators: rows with few coefficients, kept as SciPy CSR arrays; what is special about disjoint rows.

Nothing here imports SciPy before somebody brings a sparse array along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base._numbers import Floats, Indices


def is_sparse(matrix: Any) -> bool:
    """Whether a generator is a SciPy sparse array.

    Examples
    --------
    >>> is_sparse(np.eye(2))
    False
    """
    return hasattr(matrix, "tocsr")


def freeze(matrix: Any) -> Any:
    """A read-only CSR copy with sorted columns and without stored zeros.

    Examples
    --------
    >>> from scipy.sparse import coo_array
    >>> freeze(coo_array([[0, 1], [2, 0]])).indices.tolist()
    [1, 0]
    """
    from scipy.sparse import csr_array

    copy = csr_array(matrix, dtype=np.float64, copy=True)
    copy.sum_duplicates()
    copy.eliminate_zeros()
    for array in (copy.data, copy.indices, copy.indptr):
        array.setflags(write=False)
    return copy


def row_sizes(matrix: Any) -> Floats:
    """Euclidean norms of the rows, (rows,), of a dense or sparse matrix; stacks are allowed where dense.

    Examples
    --------
    >>> row_sizes(np.array([[3.0, 4.0]]))
    array([5.])
    """
    return np.asarray(np.sqrt(matrix.power(2).sum(axis=1)) if is_sparse(matrix) else np.linalg.norm(matrix, axis=-1))


def column_maxima(matrix: Any) -> Floats:
    """Largest absolute coefficient of each column once rows are scaled to unit size, (unknowns,).

    Examples
    --------
    >>> column_maxima(np.array([[3.0, 4.0], [0.0, 2.0]]))
    array([0.6, 1. ])
    """
    sizes = row_sizes(matrix)
    scale = (1.0 / np.where(sizes > 0, sizes, 1.0))[:, None]
    if is_sparse(matrix):
        return np.asarray(abs(matrix.multiply(scale)).max(axis=0).toarray().ravel())
    return np.asarray(np.max(np.abs(matrix) * scale, axis=0, initial=0.0))


@dataclass(frozen=True, eq=False)
class RowGroups:
    """Rows of which any two are equal or share no unknown: with them coverage decides, no equation is solved.

    Parameters
    ----------
    group : (rows,) int array
        Which group each row is in.
    first : (groups,) int array
        A row of each group.
    """

    group: Indices
    first: Indices

    @property
    def size(self) -> int:
        """How many groups there are."""
        return len(self.first)


def equal_rows(matrix: Any) -> tuple[Indices, Indices]:
    """Group equal rows: the group of each row, (rows,), and the first row of each group.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> group, first = equal_rows(csr_array([[1, 1, 0], [0, 0, 1], [1, 1, 0]]))
    >>> bool(group[0] == group[2] != group[1])
    True
    """
    # Equal rows add the same numbers in the same order, so their sums agree to the last bit.
    probe = np.random.default_rng(0).random((matrix.shape[1], 2))
    signature = np.ascontiguousarray(matrix @ probe).view(np.complex128).ravel()
    _, first, group = np.unique(signature, return_index=True, return_inverse=True)
    return group, first


def find_groups(matrix: Any) -> RowGroups | None:
    """The groups of a sparse matrix whose rows are equal or disjoint; None of any other.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> find_groups(csr_array([[1, 1, 0], [0, 0, 1], [1, 1, 0]])).size
    2
    >>> find_groups(csr_array([[1, 1], [0, 1]])) is None
    True
    """
    group, first = equal_rows(matrix)
    if np.diff(matrix.indptr).min(initial=1) == 0:
        return None
    distinct = matrix[first]
    if np.bincount(distinct.indices, minlength=1).max() > 1 or (matrix != distinct[group]).nnz:
        return None
    return RowGroups(group, first)
