"""What moves next, so that data is there when a worker needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate, islice
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
    for worker, rows in _next_rows(shelf, view, keys_of, after).items():
        while shelf.coming_to(worker) < AT_ONCE:
            move = _for_rows(worker, shelf, rows, keys_of) or _for_copies(worker, shelf, copies)
            if move is None:
                break
            yield move


def _next_rows(
    shelf: Shelf, view: RunView, keys_of: Callable[[int], Sequence[str]], after: float
) -> dict[int, list[int]]:
    """Rows that each worker is likely to be given next: its own, then of others, one to each, then one more."""
    taken: set[int] = set()
    found = {worker: list(islice(view.waiting.get(worker, ()), AHEAD)) for worker in _in_turn(shelf, view)}
    for _ in range(AHEAD):
        for worker, rows in found.items():
            others = _theirs(worker, shelf, view, keys_of, after, taken) if len(rows) < AHEAD else iter(())
            for row in islice(others, 1):
                rows.append(row)
                taken.add(row)
    return found


def _in_turn(shelf: Shelf, view: RunView) -> list[int]:
    """Workers that can be sent something: first who has nothing to do, of these first to whom something is coming.

    He goes on with what it is for, and nobody else brings data for the same row.
    """
    there = (worker for worker in range(len(view.states)) if worker in view.in_flight or worker in view.idle)
    order = lambda worker: (worker not in view.idle, -shelf.coming_to(worker))  # noqa: E731
    return sorted((worker for worker in there if worker not in shelf.avoided), key=order)


def _for_rows(worker: int, shelf: Shelf, rows: Sequence[int], keys_of: Callable[[int], Sequence[str]]) -> Move | None:
    """The first value that lacks for the rows that come next, of those that can be had."""
    for row in rows:
        lacking = [key for key in keys_of(row) if not shelf.lies_at(key, worker) and not shelf.is_coming(key, worker)]
        sources = [shelf.source(key, worker) for key in lacking]
        if lacking and None not in sources:
            return Move(lacking[0], int(sources[0] or 0), worker)
    return None


def _theirs(
    worker: int,
    shelf: Shelf,
    view: RunView,
    keys_of: Callable[[int], Sequence[str]],
    after: float,
    taken: Collection[int],
) -> Iterator[int]:
    """Rows of others that a worker is likely to be given next: first of whoever has stopped, each worker another.

    What waits for one who is there, late or not, is worth a journey only to who has nothing else to do: where more
    workers compute than there are processors many are late, and each would be sent what all have. What its owner will
    have begun before data could be here is left to him.
    """
    late = late_workers(view, after)
    away = late if worker in view.idle else silent_workers(view, after)

    def is_free(row: int) -> bool:
        return row not in taken and _can_be_had(worker, shelf, keys_of(row))

    theirs = [row for row in orphans(worker, view, away) + late_rows(view, away) if is_free(row)]
    first = worker % max(1, len(theirs))
    yield from sorted(theirs[first:] + theirs[:first], key=lambda row: _lacks(worker, shelf, keys_of(row)))
    if worker in view.idle:
        soonest = _soonest(view)
        # Where nobody can be asked, a worker that is late can send nothing any more: there it is sent before.
        spare = spare_rows(worker, view, late)
        rows = (row for row in spare if view.silent is None or soonest[row] >= shelf.last)
        yield from filter(is_free, rows)


def _soonest(view: RunView) -> dict[int, float]:
    """Seconds until rows that wait will be begun at the least: what those before them take."""
    found: dict[int, float] = {}
    for rows in view.waiting.values():
        before = accumulate((view.pace * float(view.code.load[row]) for row in rows), initial=0.0)
        found.update(zip(rows, before, strict=False))
    return found


def _can_be_had(worker: int, shelf: Shelf, keys: Sequence[str]) -> bool:
    """Whether all that a row needs is there, or on its way, or somebody can send it."""
    here = (shelf.lies_at(key, worker) or shelf.is_coming(key, worker) for key in keys)
    return all(is_here or shelf.source(key, worker) is not None for key, is_here in zip(keys, here, strict=True))


def _lacks(worker: int, shelf: Shelf, keys: Sequence[str]) -> int:
    """How much is neither there nor on its way."""
    return sum(not shelf.lies_at(key, worker) and not shelf.is_coming(key, worker) for key in keys)


def _for_copies(worker: int, shelf: Shelf, copies: Sequence[tuple[str, int]]) -> Move | None:
    for key, to in copies:
        if to == worker and not shelf.lies_at(key, worker) and not shelf.is_coming(key, worker):
            source = shelf.source(key, worker)
            if source is not None:
                return Move(key, source, worker)
    return None
