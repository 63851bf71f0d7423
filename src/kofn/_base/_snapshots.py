"""When data is taken, and what a task may do to it.

* What starts work or keeps data (`kofn.start`, `kofn.prepare`, `kofn.operator`, `CodedSum`, `CodedMap`,
  `CodedEnsemble`) has its snapshot when it returns: what the caller changes afterwards is seen by no worker, direction,
  retry or replaced process. A blocking call reads until it returns, and copies nothing.
* Files, memory maps and Dask arrays are read when they are needed; a file that was changed meanwhile is refused. An
  array that nobody can write to needs no copy.
* A function is pickled once, when the object that keeps it is made. Threads run the caller's own functions.
* A task cannot change what others see: its arrays are read-only, and of anything else that can be changed it gets a
  copy of its own.

This file is that rule; `Scheme.taken` applies it to a job.
"""

from __future__ import annotations

import copy
import functools
import pickle
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ._copies import SIMPLE, as_now
from ._envelope import ESCAPES, text_of
from ._numbers import Array
from ._pickles import NOTHING, PLAIN, Code, Noted, noting, pickled
from ._results import result_empty


class Unchanging:
    """Base of what tasks may share, as it cannot be changed."""


UNCHANGING = (
    bool, int, float, complex, str, bytes, range, slice, type(None), type, np.generic, np.dtype, Unchanging,
    types.FunctionType, types.BuiltinFunctionType, types.ModuleType, np.ufunc,
)  # fmt: skip
"""Types whose values tasks may share: they cannot be changed, or are code, which is the caller's own."""

INSTEAD = "write x = x + 1 instead of x += 1, or work on x.copy()"
"""What to do about a write."""

IN_PLACE = f"which is read-only: {INSTEAD}"
"""The same, for the sentence of a refusal."""

WRITES = (
    "assignment destination is read-only", "output array is read-only", "array is read-only", "cannot set WRITEABLE",
    "cannot modify read-only memory", "underlying buffer is not writable", "object is not writable",
    "buffer source array is read-only", "does not support item assignment because it is read-only",
)  # fmt: skip
"""How NumPy, Python and Cython say that something was written into what is read-only."""


class Sealed(Noted):
    """A value as it was, pickled: each time it is opened it gives a new value, whose arrays are read-only.

    Arrays are not copied by that: their buffers stay apart from the pickle stream, also when this travels.

    Parameters
    ----------
    stream : bytes
    buffers : sequence of buffers

    Examples
    --------
    >>> box = Sealed.of({"a": np.zeros(2), "b": [1]})
    >>> mine, yours = box.open(), box.open()
    >>> mine["b"].append(2)
    >>> yours["b"], mine["a"].flags.writeable
    ([1], False)
    """

    def __init__(self, stream: bytes, buffers: Sequence[Any], code: Code = NOTHING) -> None:
        self.stream = stream
        self.buffers = buffers
        self.code = code

    @classmethod
    def of(cls, value: object) -> Sealed:
        """Pickle a value, functions and classes of ``__main__`` included; its arrays are looked at, not copied."""
        stream, buffers, code = _dumps(value)
        return cls(stream, [buffer.raw() for buffer in buffers], code)

    def kept(self) -> Sealed:
        """The same on bytes of its own, which nobody can change."""
        return Sealed(self.stream, [bytes(buffer) for buffer in self.buffers], self.code)

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return len(self.stream) + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def open(self) -> Any:
        """The value, for one user."""
        return pickle.loads(self.stream, buffers=[memoryview(buffer).toreadonly() for buffer in self.buffers])

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        apart: Callable[[Any], Any] = pickle.PickleBuffer if protocol >= 5 else bytes
        return Sealed, (self.stream, [apart(buffer) for buffer in self.buffers])


def seal(value: Any) -> Any:
    """What a task is sent for ``value``: itself where tasks may share it, otherwise `Sealed`; `unseal` is the way back.

    What cannot be pickled stays as it is: engines that would have to send it refuse it, threads share it.

    Examples
    --------
    >>> seal(3.0), type(seal([3.0])).__name__, unseal(seal([3.0]))
    (3.0, 'Sealed', [3.0])
    """
    if is_unchanging(value) or _plain(value):
        return value
    try:
        return Sealed.of(value)
    except ESCAPES:
        return value


def unseal(value: Any) -> Any:
    """Return a value from what `seal` gave, for one user: whatever is done to it, nobody else sees that.

    Examples
    --------
    >>> unseal(np.zeros(2)).flags.writeable
    False
    """
    if isinstance(value, Sealed):
        return value.open()
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    if type(value) not in PLAIN and hasattr(value, "__dict__"):
        vars(view).update(vars(value))  # a class need not take along in its views what it holds
    return view


def is_write(error: BaseException) -> bool:
    """Whether an error tells of an attempt to write into what is read-only.

    Examples
    --------
    >>> try:
    ...     unseal(np.zeros(2))[0] = 1.0
    ... except ValueError as error:
    ...     is_write(error)
    True
    """
    text = text_of(error)
    return isinstance(error, ValueError | TypeError | BufferError) and any(said in text for said in WRITES)


def seal_now(value: Any) -> Any:
    """What a task is sent for a value that may change as soon as this returns.

    Examples
    --------
    >>> x = np.zeros(2)
    >>> box = seal_now((x, 1))
    >>> x[:] = 7.0
    >>> unseal(box)
    (array([0., 0.]), 1)
    """
    if type(value) in SIMPLE:
        return value
    sealed = seal(value)
    return sealed.kept() if isinstance(sealed, Sealed) else as_now(sealed)


def failure_of(error: BaseException, name: str, where: str = "") -> str:
    """What a user's function did that ended with an error, in words.

    Parameters
    ----------
    error : BaseException
    name : str
        What the function calls its input.
    where : str
        Where it was evaluated, with a space before it.

    Examples
    --------
    >>> failure_of(KeyError("a"), "x", " at input 3")
    "raised KeyError at input 3: 'a'"
    """
    if is_write(error):
        return f"tried to write into its input {name}{where}, {IN_PLACE} ({text_of(error)})"
    return f"raised {type(error).__name__}{where}: {text_of(error)}"


def call_protected(function: Callable[..., Any], *values: Any) -> Any:
    """Call the function of a task that is not kofn's own: it cannot change its inputs, and may reuse its own buffer."""
    try:
        result = function(*map(unseal, values))
    except Exception as error:
        if is_write(error):
            raise ValueError(f"a task tried to write into its input, {IN_PLACE} ({error})") from error
        raise
    if type(result) is np.ndarray and result.flags.c_contiguous and not result.dtype.hasobject:
        kept = result_empty(result.shape, result.dtype)  # where it need not be copied again
        kept[...] = result
        return kept
    return copy.deepcopy(result) if isinstance(result, np.ndarray | list | dict) else as_now(result)


def is_own(function: Any) -> bool:
    """Whether a task's function is kofn's: those write into nothing, and their results are new."""
    return str(getattr(function, "__module__", "")).startswith("kofn.") and isinstance(function, types.FunctionType)


class Snapshot:
    """Takes values as they are now; what is met twice is taken once.

    Parameters
    ----------
    by_reference : bool
        Whether workers run the caller's own functions, as threads do.

    Examples
    --------
    >>> x = np.zeros(2)
    >>> snapshot = Snapshot()
    >>> first, again = snapshot.value((x, [x]))
    >>> x[:] = 7.0
    >>> first.tolist(), again[0] is first
    ([0.0, 0.0], True)
    """

    def __init__(self, by_reference: bool = False) -> None:
        self._by_reference = by_reference
        self._taken: dict[int, tuple[Any, Any]] = {}  # with the value itself, whose id is its own while it is held

    def matrix(self, matrix: Any) -> Any:
        """An array in memory as an array of one's own; of sources, those that are read when needed as they are."""
        taken = getattr(matrix, "taken", None)
        return self._once(matrix, own if taken is None else lambda _: taken(self))

    def value(self, value: Any) -> Any:
        """Anything that a task is sent."""
        if isinstance(value, np.ndarray) and _plain(value):
            return self._once(value, own)
        if isinstance(value, Sealed):
            return self._once(value, Sealed.kept)
        if type(value) in (tuple, list):
            return type(value)(map(self.value, value))
        if type(value) is dict:
            return {key: self.value(item) for key, item in value.items()}
        if callable(value):
            return self.function(value)
        return value if is_unchanging(value) else self._once(value, _again)

    def function(self, function: Any) -> Any:
        """A function, or some: pickled now, unless workers run the caller's own."""
        return function if self._by_reference else self._once(function, _again)

    def _once(self, value: Any, take: Callable[[Any], Any]) -> Any:
        if id(value) not in self._taken:
            self._taken[id(value)] = value, take(value)
        return self._taken[id(value)][1]


def collect(items: Iterable[Any]) -> list[Any]:
    """Collect what an iterable yields, copying arrays at once: a generator may use its buffer again for the next.

    Examples
    --------
    >>> buffer = np.zeros(1)
    >>> [item.tolist() for item in collect(np.copyto(buffer, k) or buffer for k in range(3))]
    [[0.0], [1.0], [2.0]]
    """
    if isinstance(items, list | tuple | np.ndarray):  # all of it is there already
        return list(items)
    return list(map(as_now, items))


def own(array: Any) -> Any:
    """An array that nobody else writes to: itself if nobody can, or if it is a map of a file, otherwise a copy.

    Examples
    --------
    >>> x = np.zeros(3)
    >>> own(x) is x
    False
    >>> x.flags.writeable = False
    >>> own(x) is x, own(x[1:]).base is x
    (True, True)
    """
    if not isinstance(array, np.ndarray) or mapped_file(array) is not None or _settled(array):
        return array
    return array.copy(order="K")


def mapped_file(array: Any) -> str | None:
    """The file that an array is a map of, a view of one included; None of what is in memory, or private to the map.

    Examples
    --------
    >>> mapped_file(np.zeros(2)) is None
    True
    """
    found = memory_map(array)
    return None if found is None or found.mode == "c" or found.filename is None else str(found.filename)


def memory_map(array: Any) -> Any:
    """The memory map that an array is, or is a view of; None of what is in memory."""
    maps = (part for part in _bases(array) if isinstance(part, np.memmap))
    return next((part for part in maps if part._mmap is not None), None)  # type: ignore[attr-defined]


def _settled(array: Array) -> bool:
    last: Any = None
    for part in _bases(array):
        if part.flags.writeable:
            return False
        last = part.base
    return last is None or isinstance(last, bytes)


def _bases(array: Any) -> Iterable[Array]:
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


def _plain(value: Any) -> bool:
    """Whether a value is an array whose numbers a read-only view protects."""
    return type(value) in PLAIN and not value.dtype.hasobject


def is_unchanging(value: Any) -> bool:
    """Whether a value, or all that a tuple holds, is of a type in `UNCHANGING`.

    Examples
    --------
    >>> is_unchanging((1, "a")), is_unchanging([1])
    (True, False)
    """
    return all(map(is_unchanging, value)) if type(value) is tuple else isinstance(value, UNCHANGING)


def _again(value: Any) -> Any:
    """A value like this, made of its pickle; itself where there is none, which an engine that must send it will say."""
    try:
        stream, buffers, _ = _dumps(value)
        return pickle.loads(stream, buffers=[bytearray(buffer.raw()) for buffer in buffers])
    except ESCAPES:
        return value


def _dumps(value: object) -> tuple[bytes, list[pickle.PickleBuffer], Code]:
    buffers: list[pickle.PickleBuffer] = []
    stream, code = pickled(value, buffers.append, _pickler())
    return stream, buffers, code


@functools.cache
def _pickler() -> Any:
    class Pickler(noting()):  # type: ignore[misc]
        """Keeps the numbers of every array apart, of views with gaps too."""

        def reducer_override(self, value: Any) -> Any:
            if type(value) is np.ndarray and not value.flags.forc and not value.dtype.hasobject:
                return value.copy(order="K").__reduce_ex__(5)
            return super().reducer_override(value)

    return Pickler
