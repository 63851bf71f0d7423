"""Pickling as cloudpickle does, taking note of the functions and classes that a value refers to.

Whoever opens the pickle needs them, and may have to import or to compile something for that.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Hashable
from functools import cache
from traceback import walk_stack
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from ..errors import KofnError

Code = frozenset[tuple[str, Hashable]]
"""Functions and classes: the module of each, and what tells it from others there."""

NOTHING: Code = frozenset()

CODE = (FunctionType, BuiltinFunctionType, type)
"""Types of what is noted."""


def dumps(value: object, take: Callable[[pickle.PickleBuffer], object] | None = None) -> bytes:
    """Pickle a value, handing large buffers to ``take`` where there is one.

    Examples
    --------
    >>> pickle.loads(dumps(memoryview(np.array([1.0, 2.0])))).tolist()  # cloudpickle would make bytes of it
    [1.0, 2.0]
    """
    return pickled(value, take)[0]


def pickled(
    value: object, take: Callable[[pickle.PickleBuffer], object] | None, pickler: Any = None
) -> tuple[bytes, Code]:
    """Pickle a value, handing large buffers to ``take``, and tell which code it refers to.

    Parameters
    ----------
    value : object
    take : callable or None
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

    if "__mp_main__" in sys.modules:  # the script, in a process that multiprocessing spawned: no worker can import it
        cloudpickle.register_pickle_by_value(sys.modules["__mp_main__"])
    table: Any = ChainMap({memoryview: _reduced_view}, cloudpickle.Pickler.dispatch_table)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Notes in ``code`` what it meets, and what was noted when a part of the value was pickled before.

        Views of memory and arrays of classes derived from NumPy's arrive as what they were.
        """

        dispatch_table: Any = table

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.code: set[tuple[str, Hashable]] = set()

        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, CODE):
                _require_imported(value)
                name = getattr(value, "__qualname__", ""), hash(getattr(value, "__code__", 0))
                self.code.add((str(value.__module__), name))
            elif isinstance(value, Noted):
                self.code |= value.code
            elif isinstance(value, np.ndarray) and type(value) not in PLAIN:
                return _with_attributes(value)
            return super().reducer_override(value)

    return Pickler


def _require_imported(code: Any) -> None:
    """Refuse code of a module that another thread is importing: to pickle it would wait for the end of that import.

    That thread may wait for what is pickled here: a job in the background, asked for its result at a module's top.
    """
    module = sys.modules.get(str(code.__module__))
    if not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return
    for frame, _ in walk_stack(sys._getframe()):
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(module):
            return
    raise KofnError(
        f"{code.__module__!r} is still being imported, and its functions cannot be sent to workers before that ends; "
        'start the job in a function, or under `if __name__ == "__main__":`.'
    )


PLAIN = (np.ndarray, np.memmap)
"""Arrays that are nothing but their numbers; the file of a map stays behind."""

RESTORED = {"_mask", "_fill_value"}
"""Attributes of a masked array that its pickle has already."""


def _with_attributes(array: Any) -> Any:
    """How an array of a derived class is pickled: NumPy's own pickle would leave its attributes behind."""
    own = getattr(array, "__dict__", None)
    reduce: Any = type(array).__reduce__
    theirs = reduce in (np.ndarray.__reduce__, np.ma.MaskedArray.__reduce__)
    attributes = {name: part for name, part in own.items() if name not in RESTORED} if own and theirs else {}
    if not attributes or isinstance(array, np.memmap):
        return NotImplemented
    make, arguments, state = array.__reduce__()
    return make, arguments, (state, attributes), None, None, _set_attributes


def _set_attributes(array: Any, both: tuple[Any, dict[str, Any]]) -> None:
    state, attributes = both
    array.__setstate__(state)
    vars(array).update(attributes)


def _reduced_view(view: memoryview) -> tuple[Callable[..., memoryview], tuple[Any, ...]]:
    if len(view.format) > 1 or not view.nbytes:  # what `cast` does not know, such as other byte orders
        return memoryview, (np.asarray(view),)
    numbers: Any = view if view.c_contiguous else bytes(view) if view.readonly else bytearray(view.tobytes())
    return _cast, (pickle.PickleBuffer(numbers), view.format, view.shape)


def _cast(numbers: Any, letter: str, shape: tuple[int, ...]) -> memoryview:
    flat = memoryview(numbers).cast("B")
    return flat.cast(letter, shape)  # type: ignore[call-overload, no-any-return]


class Noted:
    """Base of what holds a pickle, with the code that it refers to."""

    code: Code = NOTHING
