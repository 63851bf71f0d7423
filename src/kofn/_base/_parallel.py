"""Passing over large arrays in pieces that stay in the processor's cache, on all processors at once.

A BLAS that starts its own threads for thousands of small products spends its time waiting for them as soon as
anything else runs on the machine, and workers do. So each piece is computed by one thread with a BLAS of one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from ._machine import processors

PIECE_BYTES = 1 << 22
"""Size of a piece."""

WORTH_BYTES = 1 << 23
"""Size from which starting threads pays."""

_lock = threading.Lock()
_inside = 0
_limit: Any = None


def for_pieces(
    action: Callable[[int, int], None], length: int, bytes_each: int, piece_bytes: int = PIECE_BYTES
) -> None:
    """Call ``action(start, stop)`` for consecutive pieces of ``range(length)``.

    Parameters
    ----------
    action : callable
        May be called on several threads at once; an exception it raises is raised here.
    length : int
        Number of elements to pass over.
    bytes_each : int
        Bytes that an element stands for, in all arrays together.
    piece_bytes : int
        Size of a piece.

    Examples
    --------
    >>> for_pieces(lambda start, stop: print(start, stop), 5, PIECE_BYTES // 2)
    0 2
    2 4
    4 5
    """
    step = max(1, piece_bytes // max(1, bytes_each))
    starts = range(0, length, step)

    def work(start: int) -> None:
        action(start, min(start + step, length))

    if length * bytes_each < WORTH_BYTES or address_space() is not None:
        for start in starts:
            work(start)
        return
    with _one_blas_thread(), ThreadPoolExecutor(processors()) as threads:
        for _ in threads.map(work, starts):
            pass


def address_space() -> int | None:
    """The limit of address space (``ulimit -v``) in bytes, None where there is none.

    Every thread takes its stack and 64 to 128 MiB for its allocations, so under a limit none is started.

    Examples
    --------
    >>> address_space() is None or address_space() > 0
    True
    """
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else int(limit)


def _begin_anew() -> None:
    """Forget in a forked child what threads of its parent were doing; none of them is here to end it."""
    global _lock, _inside
    _lock, _inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    # The limit belongs to the whole process: the first to come sets it and the last to leave restores it.
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController  # not needed before something large is computed

    return ThreadpoolController()
