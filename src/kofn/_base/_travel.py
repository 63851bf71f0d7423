"""What may leave its process: data that holds functions does, what holds workers or memory does not."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any, NoReturn, Self, cast

from ..errors import StaysHere
from ._envelope import ESCAPES


class Staying:
    """Base of what holds something that lives in this process: it can be neither pickled nor copied.

    Examples
    --------
    >>> import copy
    >>> copy.copy(Staying())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    kofn.errors.StaysHere: kofn.Staying: ... can be neither pickled nor copied; make another where you need it, ...
    """

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise stays(type(self).__name__)


class Remade:
    """Base of frozen dataclasses that are made anew where they arrive: as checked, and as read-only, as any."""

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), tuple(getattr(self, part.name) for part in fields(cast(Any, self)))


class Carrying:
    """Base of data that holds functions: they are pickled as those of tasks are, lambdas and closures included.

    Examples
    --------
    >>> class Pair(Carrying):
    ...     def __init__(self, f):
    ...         self.f = f
    >>> import copy
    >>> copy.deepcopy(Pair(lambda x: 2 * x)).f(3)
    6
    """

    def __getstate__(self) -> bytes:
        import cloudpickle

        try:
            return bytes(cloudpickle.dumps(vars(self), protocol=5))
        except ESCAPES as error:
            raise stays(type(self).__name__) from error

    def __setstate__(self, state: bytes) -> None:
        vars(self).update(pickle.loads(state))

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self))
        return made


def stays(call: str) -> StaysHere:
    """Build (not raise) the exception for what can be neither pickled nor copied."""
    error = StaysHere(
        "this holds what lives in its process and can be neither pickled nor copied; "
        "make another where you need it, from what this was made of."
    )
    error.call = f"kofn.{call}"
    return error
