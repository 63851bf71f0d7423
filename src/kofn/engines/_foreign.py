"""What refers to values elsewhere, of systems that kofn runs on: told by names, so that none of them is imported."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

COLLECTION = "a Dask collection"


def kind_of(value: Any) -> str:
    """What refers to values elsewhere, in words; nothing for values.

    Examples
    --------
    >>> kind_of(3.0), kind_of([3.0])
    ('', '')
    """
    return _look_at(type(value))(value)  # type: ignore[arg-type]  # types have hashes


def is_in_parts(value: Any) -> bool:
    """Whether it stands for several values, as a `dask.array` does.

    Examples
    --------
    >>> is_in_parts(3.0)
    False
    """
    return kind_of(value) == COLLECTION


@lru_cache(maxsize=256)
def _look_at(kind: type) -> Callable[[Any], str]:
    names = {(one.__module__.split(".")[0], one.__name__) for one in kind.__mro__}
    if ("distributed", "Future") in names:
        return lambda value: "a Dask future"
    if ("ray", "ObjectRef") in names:
        return lambda value: "an ObjectRef of Ray"
    if ("dask", "Delayed") in names:
        return lambda value: "a delayed object of Dask"
    if hasattr(kind, "__dask_graph__"):  # of some there is none when their numbers are in memory
        return lambda value: "" if value.__dask_graph__() is None else COLLECTION
    return lambda value: ""
