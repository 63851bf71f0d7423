"""Lets a task ask for memory in which its result reaches the client without a copy, where its engine has any."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]

_here = threading.local()


@contextmanager
def results_in(allocate: Allocate) -> Iterator[None]:
    """Run a task whose results are to lie in what ``allocate`` gives."""
    _here.allocate = allocate
    try:
        yield
    finally:
        _here.allocate = None


def result_empty(shape: tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """An uninitialised array for the result of the task that runs here; at a local worker, the client can read it.

    The array, or a view of it, that the task returns is not copied on its way; whoever returns it must not write to it
    any more. Elsewhere, and where it is small, it is what `numpy.empty` gives.

    Examples
    --------
    >>> def double(x):
    ...     return np.multiply(x, 2.0, out=result_empty(x.shape, x.dtype))
    >>> double(np.ones(2))
    array([2., 2.])
    """
    allocate: Allocate | None = getattr(_here, "allocate", None)
    return np.empty(shape, dtype) if allocate is None else allocate(shape, dtype)
