"""Matrix Market, compressed or not: what is symmetric comes whole, what is by coordinates comes sparse."""

from __future__ import annotations

import gzip
import os
from contextlib import nullcontext
from typing import IO, Any

import numpy as np

from ...errors import FileError
from .._npy import opened, refused

REMEDY = "write it again with scipy.io.mmwrite"


def read_market(path: str, argument: str) -> Any:
    """A Matrix Market file: a sparse array by rows, or a dense array; or a refusal.

    What the header calls symmetric, skew-symmetric or Hermitian is completed.
    """
    rows, columns, field, symmetry = _said(path, argument)
    shown = f"{path} of {rows} rows and {columns} columns"
    if symmetry != "general" and rows != columns:
        raise refused(argument, f"be square where its header says {symmetry}", shown, REMEDY)
    if symmetry == "hermitian" and field != "complex":
        raise refused(argument, "be complex where its header says hermitian", f"{path} with {field} numbers", REMEDY)
    from scipy.io import mmread
    from scipy.sparse import csr_array, issparse

    try:
        matrix = mmread(path)
    except MemoryError:
        raise
    except Exception as error:  # what nonsense raises depends on the nonsense and on SciPy's version
        raise _not_whole(path, argument, error) from None
    return csr_array(matrix) if issparse(matrix) else matrix


def _said(path: str, argument: str) -> tuple[int, int, str, str]:
    """What the header says: rows, columns, of what type entries are, and which are left out."""
    from scipy.io import mminfo

    with opened(path, argument) as file:
        size = os.fstat(file.fileno()).st_size
    try:
        rows, columns, count, form, field, symmetry = mminfo(path)
    except MemoryError:
        raise
    except Exception as error:
        raise _not_whole(path, argument, error) from None
    fewest = (count if symmetry == "general" else count // 2) * (2 if form == "array" else 4)
    if not path.lower().endswith(".gz") and size + 1 < fewest:  # before memory is taken for what is not there
        raise _not_whole(path, argument, ValueError(f"{size} bytes cannot hold {count} entries"))
    return rows, columns, field, symmetry


def _not_whole(path: str, argument: str, error: Exception) -> FileError:
    text = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return refused(argument, "be a whole Matrix Market file", f"{path} ({text})", REMEDY)


def write_market(file: IO[bytes], matrix: Any, compressed: bool) -> None:
    """Write a matrix, dense or sparse, with as many digits as bring back the same numbers.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> write_market(file, np.array([[0.1], [2.0]]), compressed=False)
    >>> file.getvalue().split(b"\\n")[-3:-1]
    [b'1E-1', b'2']
    """
    from scipy.io import mmwrite

    if matrix.dtype.kind == "b":  # the format has no booleans
        matrix = matrix.astype(np.int8)
    packed = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if compressed else nullcontext(file)
    with packed as target:
        mmwrite(target, matrix, symmetry="general")
