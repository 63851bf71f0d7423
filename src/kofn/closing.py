"""What ends with a ``with`` block: pools, and all that keeps something at their workers."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from .errors import StaysHere


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


def stays(call: str) -> StaysHere:
    """Build (not raise) the exception for what can be neither pickled nor copied."""
    error = StaysHere(
        "this holds what lives in its process and can be neither pickled nor copied; "
        "make another where you need it, from what this was made of."
    )
    error.call = f"kofn.{call}"
    return error


class Closing(Staying):
    """Base of what is closed at the end of a ``with`` block.

    Examples
    --------
    >>> class Door(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Door():
    ...     print("open")
    open
    closed
    """

    def close(self) -> None:
        """Let go of everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
