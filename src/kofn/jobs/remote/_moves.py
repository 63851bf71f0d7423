"""What moves next, so that data is there when a worker needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from .._view import RunView
from ..scheduling._placed import late_rows, late_workers, orphans, silent_workers, spare_rows
from ._shelf import Shelf

AT_ONCE = 2
"""So many values travel to a worker at the same time."""

AHEAD = 2
"""Data of so many rows is brought before they are given out; more would only take memory."""


class Move(NamedTuple):
    """A value that is to be copied from one worker to another."""

    key: str
    source: int
    worker: int


def next_moves(
    shelf: Shelf,
    view: RunView,
    keys_of: Callable[[int], Sequence[str]],
    copies: Sequence[tuple[str, int]],
    after: float,
) -> Iterator[Move]:
    """What is to be sent now; whoever carries it out tells the shelf before it takes the next.

    Parameters
    ----------
    shelf : Shelf
    view : RunView
    keys_of : callable
        What a row needs.
    copies : sequence of (key, worker)
        Second copies that are to be made, first of all where no row of the worker waits for data.
    after : float
        As of `Placed`.
    """
    for worker in range(len(view.states)):
        if worker in shelf.avoided or not (worker in view.in_flight or worker in view.idle):
            continue
        while shelf.coming_to(worker) < AT_ONCE:
            move = _for_rows(worker, shelf, view, keys_of, after) or _for_copies(worker, shelf, copies)
            if move is None:
                break
            yield move


def _for_rows(
    worker: int, shelf: Shelf, view: RunView, keys_of: Callable[[int], Sequence[str]], after: float
) -> Move | None:
    """The first value that lacks for the rows that come next, of those that can be had."""
    for row in islice(_next_rows(worker, shelf, view, keys_of, after), AHEAD):
        lacking = [key for key in keys_of(row) if not shelf.lies_at(key, worker) and not shelf.is_coming(key, worker)]
        sources = [shelf.source(key, worker) for key in lacking]
        if lacking and None not in sources:
            return Move(lacking[0], int(sources[0] or 0), worker)
    return None


def _next_rows(
    worker: int, shelf: Shelf, view: RunView, keys_of: Callable[[int], Sequence[str]], after: float
) -> Iterator[int]:
    """Rows that a worker is likely to be given next: its own, then those of whoever has stopped, each worker others.

    What waits for one who is there, late or not, is worth a journey only to who has nothing else to do: where more
    workers compute than there are processors many are late, and each would be sent what all have.
    """
    yield from view.waiting.get(worker, ())
    late = late_workers(view, after)
    away = late if worker in view.idle else silent_workers(view, after)
    theirs = orphans(worker, view, away) + late_rows(view, away)
    first = worker % max(1, len(theirs))
    lacks = lambda row: sum(not shelf.lies_at(key, worker) for key in keys_of(row))  # noqa: E731
    yield from sorted(theirs[first:] + theirs[:first], key=lacks)
    if worker in view.idle:
        yield from spare_rows(worker, view, late)


def _for_copies(worker: int, shelf: Shelf, copies: Sequence[tuple[str, int]]) -> Move | None:
    for key, to in copies:
        if to == worker and not shelf.lies_at(key, worker) and not shelf.is_coming(key, worker):
            source = shelf.source(key, worker)
            if source is not None:
                return Move(key, source, worker)
    return None
