"""Memory of the workers: which copies of blocks fit there, and whether a row fits at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ... import checks
from ..._base._numbers import Flags, Floats
from ...engines._references import ReferencePool
from ._deal import Deal


class Room(NamedTuple):
    """Bytes at one worker.

    Parameters
    ----------
    least : float
        What it takes before the engine has to put some on disk.
    held : float
        What was there when this was last known.
    limit : float
        What it can have in memory at all.
    """

    least: float = math.inf
    held: float = 0.0
    limit: float = math.inf


def rooms_of(pool: ReferencePool) -> list[Room]:
    """Of all workers. An engine that knows has a member ``room()``, with a triple for each; others have no limit.

    Examples
    --------
    >>> import kofn
    >>> from kofn.engines import references_of
    >>> with references_of(kofn.ThreadPool(1)) as pool:
    ...     rooms_of(pool)
    [Room(least=inf, held=0.0, limit=inf)]
    """
    told = getattr(pool, "room", None)
    return [Room()] * pool.n if told is None else [Room(*one) for one in told()]


def fit(dealt: Deal, needs: Flags, sizes: Floats, held: Flags, results: Floats, rooms: Sequence[Room]) -> Deal:
    """The same with those copies alone for which there is memory, beside what rows need and make.

    Parameters
    ----------
    dealt : Deal
    needs, sizes, held
        As of `deal`.
    results : (rows,) array
        Bytes of what each row makes, which stays.
    rooms : sequence of Room

    Examples
    --------
    >>> from kofn.jobs.remote._deal import deal
    >>> needs, held, sizes = np.eye(2, dtype=bool), np.eye(2, dtype=bool), np.array([8.0, 8.0])
    >>> dealt = deal(needs, sizes, held, np.ones(2), redundancy=1)
    >>> fit(dealt, needs, sizes, held, np.array([2.0, 2.0]), [Room(18.0), Room(17.0)]).copies
    [(1, 0)]
    """
    there, left = held.copy(), free(sizes, held, rooms)
    for row, worker in zip(dealt.rows, dealt.workers, strict=True):
        left[worker] -= results[row] + sizes[needs[row] & ~there[:, worker]].sum()
        there[needs[row], worker] = True
    copies = []
    for block, worker in dealt.copies:
        if not there[block, worker]:
            if sizes[block] > left[worker]:
                continue
            left[worker] -= sizes[block]
        copies.append((block, worker))
    return replace(dealt, copies=copies)


def free(sizes: Floats, held: Flags, rooms: Sequence[Room]) -> Floats:
    """Bytes that each worker may still take; what it held a moment ago may not count what has come since."""
    at = zip(rooms, (sizes @ held).tolist(), strict=True)
    return np.array([room.least - max(room.held, own) for room, own in at])


def require_room(call: str, needs: Flags, sizes: Floats, results: Floats, rooms: Sequence[Room]) -> None:
    """Refuse rows that no worker can have in memory together with what they are made of."""
    largest = float((needs @ sizes + results).max(initial=0.0))
    most = max((room.limit for room in rooms), default=math.inf)
    if largest > most:
        must = f"have memory for a block of the answer and the blocks that it is made of, {largest / 1e6:.1f} MB"
        given = f"workers with {most / 1e6:.1f} MB at most"
        raise checks.refusal(call, "workers", must, given, "cut the matrices into smaller chunks")
