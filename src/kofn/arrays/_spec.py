"""What an array is like that is not there yet: its shape and its type."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ArraySpec:
    """Shape and type of an array.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Examples
    --------
    >>> ArraySpec((2, 3), np.dtype(float)).nbytes, ArraySpec.common([np.ones(2), np.ones(2, np.complex64)])
    (48, ArraySpec(shape=(2,), dtype=dtype('complex128')))
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: Any) -> ArraySpec:
        """That of an array, or of what is read like one."""
        return cls(tuple(array.shape), array.dtype)

    @classmethod
    def common(cls, arrays: Iterable[Any]) -> ArraySpec:
        """That of what arrays of one shape are combined to."""
        first, *others = arrays
        return cls(tuple(first.shape), np.result_type(first.dtype, *{other.dtype for other in others}))

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"
