"""Codes that only copy: every row is one of the unknowns, and each unknown is a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .._base._numbers import Floats, Indices
from ._linear import LinearCode
from ._near import near_places


class CopyCode(LinearCode):
    """Rows that are unknowns themselves, dealt round: G repeats the identity and T is it.

    The same as a `LinearCode` with those matrices, which are only made when somebody looks at them: there may be a
    hundred thousand unknowns.

    Parameters
    ----------
    name : str
    unknowns : int
    rows : int
        Row r is unknown ``r % unknowns``.
    workers : int
        That the rows are dealt to, copies of one unknown to different ones as far as there are enough.
    homes : sequence of int
        The worker where what each unknown is made of lies, negative for none; empty where that does not matter. The
        first row of an unknown is dealt to that worker, as far as all have as many.

    Attributes
    ----------
    groups : (rows,) int array
        Which unknown each row is.

    Examples
    --------
    >>> code = CopyCode("repetition", 2, 4, 2)
    >>> code.generator.tolist(), code.worker.tolist(), code.threshold
    ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1, 0], 3)
    >>> CopyCode("repetition", 2, 4, 2, homes=[1, 0]).worker.tolist()
    [1, 0, 0, 1]
    """

    def __init__(self, name: str, unknowns: int, rows: int, workers: int, homes: Sequence[int] = ()) -> None:
        groups = np.arange(rows) % max(1, unknowns)
        worker = _dealt(np.arange(rows), unknowns, workers)
        if homes:  # in turn as ever, with the unknowns in another order
            places = near_places(_dealt(np.arange(unknowns), unknowns, workers).tolist(), homes)
            worker = _dealt(np.arange(rows) - groups + places[groups], unknowns, workers)
        threshold = rows - (rows // unknowns - 1) if 0 < unknowns <= rows else None
        load = np.ones(rows)
        for array in (worker, load, groups):
            array.setflags(write=False)
        # What a `LinearCode` finds out when it is asked is known here: nothing looks at the matrices for that.
        found = {"unknowns": unknowns, "groups": groups, "picks": groups, "mixes": False, "disjoint": None}
        vars(self).update(name=name, worker=worker, load=load, threshold=threshold, spread=None, **found)
        vars(self)["_homes"] = tuple(homes)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.name, self.unknowns, self.rows, max(1, self.workers), vars(self)["_homes"])

    @cached_property
    def generator(self) -> Floats:
        """G, (rows, unknowns)."""
        return _lock(np.eye(self.unknowns)[self.groups])

    @cached_property
    def targets(self) -> Floats:
        """T, the identity."""
        return _lock(np.eye(self.unknowns))

    def on_workers(self, count: int) -> LinearCode:
        """Return the same code on at most ``count`` workers."""
        if count >= self.workers:
            return self
        return CopyCode(self.name, self.unknowns, self.rows, count, vars(self)["_homes"])


def _dealt(places: Indices, unknowns: int, workers: int) -> Indices:
    """The worker of each place, dealt round.

    A step aside whenever the unknowns and the workers come round together: copies then never meet.
    """
    dealt: Indices = (places + places // math.lcm(max(1, unknowns), workers)) % workers
    return dealt


def _lock(matrix: Floats) -> Floats:
    matrix.setflags(write=False)
    return matrix
