"""What fails in a shard stays what it was: a `kofn.TermError` that names the shard, and PyTorch's own kind of error."""

from __future__ import annotations

from ..errors import TermError


class ShardRuntimeError(TermError, RuntimeError):
    """A shard raised a RuntimeError."""


class ShardValueError(TermError, ValueError):
    """A shard raised a ValueError, or its gradient is not finite."""


class ShardTypeError(TermError, TypeError):
    """A shard raised a TypeError."""


class ShardIndexError(TermError, IndexError):
    """A shard raised an IndexError, as a label does that is no class."""


KINDS = (ShardRuntimeError, ShardValueError, ShardTypeError, ShardIndexError)


def specialise(error: TermError) -> TermError:
    """The same error as one of the kind that the shard raised.

    Examples
    --------
    >>> error = TermError("term 3 raised", worker=1, term=3)
    >>> error.__cause__ = IndexError("Target 7 is out of bounds.")
    >>> isinstance(specialise(error), IndexError), specialise(error).term
    (True, 3)
    """
    cause = error.__cause__
    made = next((made for made in KINDS if isinstance(cause, made.__bases__[1])), None)
    if made is None:
        return error
    same = made(str(error), error.worker, error.row, error.traceback, term=error.term)
    same.__cause__ = cause
    return same
