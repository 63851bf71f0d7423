"""One sentence form for bad arguments: the call, the argument, what must hold, what was given, what to do."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import chain
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import ArgumentError, CallError, KofnError

Asked = ParamSpec("Asked")
Answered = TypeVar("Answered")

PLAIN = (float, int, complex, np.generic, str, bytes)
"""Types of single values, which hold no masked numbers."""

MOST_DIMENSIONS = 64
"""The most that an array of NumPy's has: a sequence that is nested deeper, or holds itself, is none."""

HOLDS = 2**53
"""Whole numbers up to this are float64s; of larger ones most are not."""

LONGEST = 300
"""At most so many characters of what was given are repeated in a sentence: it may be an array."""


def refusal(call: str, argument: str, must: str, got: object, remedy: str) -> ArgumentError:
    """Build (not raise) the exception for a bad argument.

    Examples
    --------
    >>> print(refusal("kofn.matmul", "deadline", "be a number of seconds > 0", -1, "leave it out to wait"))
    kofn.matmul: 'deadline' must be a number of seconds > 0, but got -1; leave it out to wait.
    """
    given = " ".join(line.strip() for line in str(got).splitlines())
    given = given if len(given) <= LONGEST else f"{given[:LONGEST]} …"
    error = ArgumentError(f"{argument!r} must {must}, but got {given}; {remedy}.")
    error.call = call
    return error


def unknown(call: str, argument: str, instead: str) -> CallError:
    """Build (not raise) the exception for a keyword that a call does not take.

    Examples
    --------
    >>> print(unknown("kofn.Job.result", "timeout_seconds", "it is timeout= now"))
    kofn.Job.result: got an unexpected keyword argument 'timeout_seconds'; it is timeout= now.
    """
    error = CallError(f"got an unexpected keyword argument {argument!r}; {instead}.")
    error.call = call
    return error


def without(call: str, **instead: str) -> Callable[[Callable[Asked, Answered]], Callable[Asked, Answered]]:
    """Let a function say of keywords that it took once what is there instead.

    Examples
    --------
    >>> @without("f", timeout_seconds="it is timeout= now")
    ... def f(timeout=None):
    ...     return timeout
    >>> f(timeout_seconds=3)
    Traceback (most recent call last):
    kofn.errors.CallError: f: got an unexpected keyword argument 'timeout_seconds'; it is timeout= now.
    """

    def decorate(function: Callable[Asked, Answered]) -> Callable[Asked, Answered]:
        @wraps(function)
        def called(*arguments: Asked.args, **keywords: Asked.kwargs) -> Answered:
            for name in instead.keys() & keywords.keys():
                raise unknown(call, name, instead[name])
            return function(*arguments, **keywords)

        return called

    return decorate


@contextmanager
def named(call: str) -> Iterator[None]:
    """Let refusals within name ``call``, the function that the user called, and none that this one calls itself.

    Every function for users is decorated with it. Where such calls are nested the outermost one, the user's own, is
    named, so that nothing below needs to be told who asks.

    Examples
    --------
    >>> with named("kofn.matmul"):
    ...     integer("kofn.schemes.mds", "rows", 0, 1, "ask for more")
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.matmul: 'rows' must be an int of at least 1, but got 0; ask for more.
    """
    try:
        yield
    except KofnError as refused:
        if refused.call:
            refused.call = call
        raise


@contextmanager
def meaning(names: Mapping[str, str]) -> Iterator[None]:
    """Let refusals of an engine within speak of the user's own arguments, not of what a pool calls them.

    Examples
    --------
    >>> with meaning({"value": "f"}):
    ...     raise refusal("kofn.map", "value", "be picklable", "a lock", "leave it out")
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.map: 'f' must be picklable, but got a lock; leave it out.
    """
    with renamed({f"{theirs!r} must be picklable": f"{users!r} must be picklable" for theirs, users in names.items()}):
        yield


@contextmanager
def renamed(beginnings: Mapping[str, str]) -> Iterator[None]:
    """Let refusals within that begin in one way begin in another.

    Examples
    --------
    >>> with renamed({"'values'": "'inputs'"}):
    ...     raise refusal("kofn.map", "values", "be there", "a cancelled future", "compute it again")
    Traceback (most recent call last):
    kofn.errors.ArgumentError: kofn.map: 'inputs' must be there, but got a cancelled future; compute it again.
    """
    try:
        yield
    except ArgumentError as refused:
        for theirs, users in beginnings.items():
            if refused.args and str(refused.args[0]).startswith(theirs):
                refused.args = (str(refused.args[0]).replace(theirs, users, 1),)
                break
        raise


def as_array(value: Any) -> tuple[NDArray[Any], bool]:
    """Return ``numpy.asarray(value)``, and whether NumPy took off a mask on the way and there were numbers behind it.

    It does so without a word, of sequences of masked arrays too, and of what turns into one, as variables of netCDF do.

    Examples
    --------
    >>> as_array([np.ma.masked_less([1.0, -9.0], 0), [2.0, 3.0]])
    (array([[ 1., -9.],
           [ 2.,  3.]]), True)
    """
    if type(value) is np.ndarray:
        return value, False
    array = _with_mask(value)
    return np.asarray(array), masked(array if hasattr(value, "__array__") else value)


def is_dask_array(value: object) -> bool:
    """Tell whether a value is a `dask.array.Array`, without importing Dask.

    Examples
    --------
    >>> is_dask_array(np.eye(2))
    False
    """
    return any(kind.__name__ == "Array" and kind.__module__.startswith("dask.array") for kind in type(value).__mro__)


def _with_mask(value: Any) -> NDArray[Any]:
    """A value as an array, masked if it is: Dask takes off masks where it gives NumPy what it computed."""
    return np.asanyarray(value.compute() if is_dask_array(value) else value)


def masked(value: Any) -> bool:
    """Whether there are masked numbers in an array, or in those that a sequence holds.

    Examples
    --------
    >>> masked(np.ma.masked_less([1.0, 2.0], 0)), masked([[np.ma.masked_less([1.0, -9.0], 0)], [np.ones(2)]])
    (False, True)
    """
    if isinstance(value, np.ndarray):
        return type(value) is not np.ndarray and bool(np.ma.is_masked(value))
    if hasattr(value, "__array__"):
        return bool(np.ma.is_masked(_with_mask(value)))
    level = _parts(value)
    for _ in range(MOST_DIMENSIONS):
        kinds = set(map(type, level)) - {np.ndarray}
        arrays = {kind for kind in kinds if hasattr(kind, "__array__")}
        if any(np.ma.is_masked(_with_mask(part)) for part in level if type(part) in arrays):
            return True
        inner = kinds - arrays
        level = list(chain.from_iterable(_parts(part) for part in level if type(part) in inner)) if inner else ()
    return False


def _parts(value: Any) -> Sequence[Any]:
    """What a sequence holds, unless these are plain numbers, which mask nothing."""
    try:
        # What begins with a number holds nothing else, or it is no array; a masked one among them becomes NaN.
        parts: Sequence[Any] = value if len(value) and not isinstance(value[0], PLAIN) else ()
    except (TypeError, LookupError, NotImplementedError):  # the last of views of memory with several dimensions
        return ()
    return parts


def inexact_integer(value: Any, array: NDArray[Any]) -> int | None:
    """An integer in a value that a float64 may not hold, or None.

    Parameters
    ----------
    value : object
        As it was given.
    array : ndarray
        The same as an array; of lists NumPy may have made floats already.

    Examples
    --------
    >>> inexact_integer(2**53 + 1, np.asarray(2**53 + 1)), inexact_integer([2**64, 0.5], np.asarray([2.0**64, 0.5]))
    (9007199254740993, 18446744073709551616)
    >>> inexact_integer(2.0**60, np.asarray(2.0**60)) is None
    True
    """
    if array.dtype.kind in "iu" and array.size:
        return next((number for number in (int(array.max()), int(array.min())) if abs(number) > HOLDS), None)
    if array.dtype.kind in "biu" or hasattr(value, "__array__") or isinstance(value, float | complex):
        return None
    numbers = np.asarray(value, dtype=object).ravel().tolist()
    return next((int(number) for number in numbers if isinstance(number, int) and abs(number) > HOLDS), None)


def place(call: str, argument: str, value: Any) -> Any:
    """Return ``value`` if it is no array, or one that keeps what is written to it, or refuse it.

    Examples
    --------
    >>> place("f", "out", np.zeros((2, 3)).T).shape
    (3, 2)
    """
    if not isinstance(value, np.ndarray):
        return value
    if type(value) not in (np.ndarray, np.memmap):  # what a class of its own keeps of what is written, it alone knows
        must = "be a plain NumPy array or a memory map"
        raise refusal(call, argument, must, f"a {type(value).__name__}", "write to an array, and convert it then")
    if _overlaps(value):
        given = f"one of shape {value.shape} and strides {value.strides}, in which some lie on others"
        raise refusal(call, argument, "have a place of its own for every number", given, "use numpy.empty")
    return value


def _overlaps(array: NDArray[Any]) -> bool:
    """Whether numbers of an array may lie on one another, as after ``broadcast_to`` or ``sliding_window_view``."""
    if array.flags.forc or not array.size:
        return False
    reach = array.itemsize
    for stride, length in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if length > 1 and stride < reach:
            return True
        reach += stride * (length - 1)
    return False


def computes_plainly(kind: type) -> bool:
    """Whether arrays of this class compute as plain arrays do, so that one may stand for the other.

    Examples
    --------
    >>> computes_plainly(np.memmap), computes_plainly(np.matrix)
    (True, False)
    """
    if kind in (np.ndarray, np.memmap, np.ma.MaskedArray) or not issubclass(kind, np.ndarray):
        return True
    return all(getattr(kind, name) is getattr(np.ndarray, name) for name in _COMPUTING)


_COMPUTING = [
    name
    for name, made in vars(np.ndarray).items()
    if callable(made)
    and (name[0] != "_" or name in ("__array_ufunc__", "__array_function__") or name in vars(operator))
]
"""What arrays compute with: methods, operators, and what NumPy asks them first."""


def integer(call: str, argument: str, value: Any, minimum: int, remedy: str) -> int:
    """Return ``value`` as an int of at least ``minimum`` or refuse it.

    Examples
    --------
    >>> integer("f", "rows", 3, 1, "ask for more rows")
    3
    """
    try:
        number = operator.index(value)
        if isinstance(value, bool):
            raise TypeError
    except TypeError:
        raise refusal(call, argument, f"be an int of at least {minimum}", repr(value), remedy) from None
    if number < minimum:
        raise refusal(call, argument, f"be an int of at least {minimum}", number, remedy)
    return number


def number(call: str, argument: str, value: Any, remedy: str, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return ``value`` as a finite float above ``minimum`` (``strict``: not equal to it) or refuse it.

    Examples
    --------
    >>> number("f", "tolerance", 1, "use 0 for exact")
    1.0
    """
    must = f"be a finite number {'>' if strict else '>='} {minimum:g}"
    try:
        real = float(value)
        # "2" would pass here and fail where it is compared; True is another keyword's.
        if isinstance(value, str | bytes | bool | np.bool_):
            raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise refusal(call, argument, must, repr(value), remedy) from None
    if not math.isfinite(real) or real < minimum or (strict and real == minimum):
        raise refusal(call, argument, must, real, remedy)
    return real


def choice(call: str, argument: str, value: Any, known: Any, remedy: str) -> str:
    """Return ``value`` if it is one of ``known`` names or refuse it.

    Examples
    --------
    >>> choice("f", "code", "mds", ["mds", "uncoded"], "see `kofn codes`")
    'mds'
    """
    if not isinstance(value, str) or value not in known:
        names = ", ".join(repr(name) for name in known)
        raise refusal(call, argument, f"be one of {names}", repr(value), remedy)
    return value


def probabilities(call: str, argument: str, value: Any) -> NDArray[np.float64]:
    """Return ``value`` as a vector of numbers >= 0 that sum to 1 or refuse it.

    Examples
    --------
    >>> probabilities("f", "gamma", (0.5, 0.5))
    array([0.5, 0.5])
    """
    try:
        vector = np.empty(0) if masked(value) else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.ndim != 1 or not np.all(vector >= 0) or not abs(vector.sum() - 1) < 1e-9:
        must, remedy = "hold numbers >= 0 that sum to 1", "write (0.40, 0.35, 0.25), for example"
        raise refusal(call, argument, must, repr(value), remedy)
    return vector


def function(call: str, argument: str, value: Any, remedy: str) -> Any:
    """Return ``value`` if it can be called or refuse it.

    Examples
    --------
    >>> function("f", "key", abs, "leave it out")(-1)
    1
    """
    if not callable(value):
        raise refusal(call, argument, "be callable", repr(value), remedy)
    return value


def generator(call: str, rng: Any) -> np.random.Generator:
    """Return the random generator that ``rng=`` means, fresh for None, or refuse it.

    Examples
    --------
    >>> int(generator("f", 0).integers(10))
    8
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        must = "be None, an int >= 0 or a numpy.random.Generator"
        raise refusal(call, "rng", must, repr(rng), "use an int to repeat a run") from None
