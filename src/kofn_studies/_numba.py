"""Loops over sparse structure, which nothing in NumPy or SciPy does: compiled where Numba is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers, once and for later processes too, or return it as it is."""
    try:
        from numba import njit
    except ImportError:
        return function
    result: Function = njit(cache=True)(function)
    return result
