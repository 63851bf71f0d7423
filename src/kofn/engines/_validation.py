"""What every pool refuses, in the same words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from .. import checks
from .._base._envelope import ESCAPES, error_line
from ..checks import choice, integer, refusal
from ..errors import ArgumentError, KofnError
from ._protocol import Stop

Value = TypeVar("Value")
Packed = TypeVar("Packed")


def check_worker(call: str, worker: int, n: int) -> int:
    """Return ``worker`` if the pool has it or refuse it.

    Examples
    --------
    >>> check_worker("submit", 1, 4)
    1
    """
    if integer(call, "worker", worker, 0, "workers are counted from 0") >= n:
        raise refusal(call, "worker", f"be less than {n}", worker, "workers are counted from 0")
    return worker


def check_key(call: str, key: Hashable) -> Hashable:
    """Return ``key`` if values can be found under it or refuse it.

    Examples
    --------
    >>> check_key("put", ("block", 3))
    ('block', 3)
    """
    try:
        hash(key)
    except TypeError:
        raise refusal(call, "key", "be hashable", repr(key), "use a string, a number or a tuple of them") from None
    return key


def check_task(function: Any, keys: Any) -> None:
    """Refuse what cannot be called, and keys that are not several."""
    checks.function("submit", "function", function, "pass a function and its arguments")
    if not isinstance(keys, tuple | list):
        raise refusal("submit", "keys", "be a tuple of keys", repr(keys), "write keys=(key,) for one")


def resident_values(worker: int, keys: Sequence[Hashable], held: Mapping[Hashable, Value]) -> list[Value]:
    """What is resident under ``keys``; a task that needs what was never put at its worker is refused.

    Examples
    --------
    >>> resident_values(0, ("a",), {"a": 1, "b": 2})
    [1]
    """
    values = []
    for key in keys:
        try:
            values.append(held[check_key("submit", key)])
        except KeyError:
            must = f"be resident at worker {worker}"
            remedy = "put it there first"
            raise refusal("submit", "keys", must, f"{key!r}, which it does not have", remedy) from None
    return values


def check_stop(how: str) -> Stop:
    """Return a known way to stop or refuse it."""
    return Stop(choice("stop", "how", how, (Stop.ABANDON, Stop.INTERRUPT, Stop.KILL), "use 'kill' to be sure"))


def pack_argument(call: str, argument: str, value: object, pack: Callable[[object], Packed]) -> Packed:
    """Pack what is to travel to a worker, or refuse what cannot.

    Examples
    --------
    >>> import pickle, threading
    >>> pack_argument("put", "value", threading.Lock(), pickle.dumps)
    Traceback (most recent call last):
    kofn.errors.ArgumentError: put: 'value' must be picklable, but got TypeError: cannot pickle '_thread.lock' ...
    """
    try:
        return pack(value)
    except ESCAPES as error:
        if type(error) is KofnError:  # the system has no memory for it, or its module is still being imported
            raise
        raise unpicklable(call, argument, error) from error


def unpicklable(call: str, argument: str, error: BaseException) -> ArgumentError:
    """Build (not raise) the exception for what cannot travel to a worker."""
    return refusal(call, argument, "be picklable", error_line(error), "leave out locks, files and generators")
