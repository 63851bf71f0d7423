"""Whether two values hold the same data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ._travel import Remade


def is_same(one: Any, other: Any) -> bool:
    """Whether values are of one type and the same content, arrays number by number; functions are compared by identity.

    Examples
    --------
    >>> is_same([np.ones(2), "a"], [np.ones(2), "a"]), is_same(np.ones(2), np.ones(2, np.float32)), is_same(abs, abs)
    (True, False, True)
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and (one.tobytes() == other.tobytes() if one.dtype.kind != "O" else _are_same(one, other))
    if hasattr(one, "indptr"):
        return one.shape == other.shape and _are_same(*((a.indptr, a.indices, a.data) for a in (one, other)))
    if isinstance(one, Remade):
        return _are_same(one.__reduce__()[1], other.__reduce__()[1])
    if is_dataclass(one):
        names = [part.name for part in fields(one) if part.compare]
        return _are_same(*([getattr(it, name) for name in names] for it in (one, other)))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return _are_same(one, other)
    return bool(one == other)


def _are_same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(is_same, one, other))
