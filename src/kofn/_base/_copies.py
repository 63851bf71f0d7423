"""Values apart from the buffers that they were made in, which whoever made them may use again."""

from __future__ import annotations

from typing import Any

import numpy as np

SIMPLE = frozenset((bool, int, float, complex, str, bytes, type(None)))
"""Types in which nothing can change."""


def as_now(value: Any) -> Any:
    """A value whose arrays, dense or sparse, also within tuples, lists and dicts, nobody else writes to.

    What else it holds is not copied.

    Examples
    --------
    >>> x = np.zeros(2)
    >>> kept = as_now({"x": (x, "a")})
    >>> x[:] = 7.0
    >>> kept
    {'x': (array([0., 0.]), 'a')}
    """
    if type(value) in SIMPLE:
        return value
    try:
        return _as_now(value, {})
    except RecursionError:  # lists in lists in lists
        return value


def _as_now(value: Any, done: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in SIMPLE:
        return value
    if id(value) in done:  # twice in it, or a circle
        return done[id(value)]
    made = value
    if kind is list:
        made = done[id(value)] = []
        made.extend([item if type(item) in SIMPLE else _as_now(item, done) for item in value])
    elif kind is dict:
        made = done[id(value)] = {}
        made.update({key: _as_now(item, done) for key, item in value.items()})
    elif (
        isinstance(value, tuple)
        and (kind is tuple or hasattr(kind, "_fields"))
        and not getattr(value, "__dict__", None)
    ):
        items = [_as_now(item, done) for item in value]
        if any(one is not other for one, other in zip(items, value, strict=True)):
            made = done.get(id(value)) or tuple.__new__(kind, items)
    elif kind is np.ndarray and value.dtype == object and value.ndim:
        made = np.frompyfunc(lambda item: _as_now(item, done), 1, 1)(value)
    elif isinstance(value, np.ndarray | bytearray | set) or kind.__module__.startswith("scipy.sparse."):
        made = value.copy() if hasattr(value, "copy") else value
    done[id(value)] = made
    return made
