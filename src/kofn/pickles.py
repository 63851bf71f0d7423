"""Pickling as cloudpickle does, taking note of the functions and classes that a value refers to.

Whoever opens the pickle needs them, and may have to import or to compile something for that.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Hashable
from functools import cache
from types import BuiltinFunctionType, FunctionType
from typing import Any

Code = frozenset[tuple[str, Hashable]]
"""Functions and classes: the module of each, and what tells it from others there."""

NOTHING: Code = frozenset()

CODE = (FunctionType, BuiltinFunctionType, type)
"""Types of what is noted."""


def pickled(value: object, take: Callable[[pickle.PickleBuffer], object], pickler: Any = None) -> tuple[bytes, Code]:
    """Pickle a value, handing large buffers to ``take``, and tell which code it refers to.

    Parameters
    ----------
    value : object
    take : callable
    pickler : class, optional
        Derived from that of `noting`.

    Examples
    --------
    >>> stream, code = pickled((len, [1, 2]), print)
    >>> pickle.loads(stream)[0]([1, 2]), code
    (2, frozenset({('builtins', ('len', 0))}))
    """
    with io.BytesIO() as file:
        writer = (noting() if pickler is None else pickler)(file, protocol=5, buffer_callback=take)
        writer.dump(value)
        return file.getvalue(), frozenset(writer.code)


@cache
def noting() -> Any:
    """The class of picklers that take note; cloudpickle is not needed before something is sent."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Notes in ``code`` what it meets, and what was noted when a part of the value was pickled before."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.code: set[tuple[str, Hashable]] = set()

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, CODE):
                name = getattr(value, "__qualname__", ""), hash(getattr(value, "__code__", 0))
                self.code.add((str(value.__module__), name))
            elif isinstance(value, Noted):
                self.code |= value.code
            return super().reducer_override(value)

    return Pickler


class Noted:
    """Base of what holds a pickle, with the code that it refers to."""

    code: Code = NOTHING
