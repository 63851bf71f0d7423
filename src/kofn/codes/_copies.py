"""Codes that only copy: every row is one of the unknowns, and each unknown is a target."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from .._base._numbers import Floats
from ._linear import LinearCode


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

    Attributes
    ----------
    groups : (rows,) int array
        Which unknown each row is.

    Examples
    --------
    >>> code = CopyCode("repetition", 2, 4, 2)
    >>> code.generator.tolist(), code.worker.tolist(), code.threshold
    ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 1, 0], 3)
    """

    def __init__(self, name: str, unknowns: int, rows: int, workers: int) -> None:
        groups = np.arange(rows) % max(1, unknowns)
        dealt = np.arange(rows)
        # A step aside whenever the unknowns and the workers come round together: copies then never meet.
        worker = (dealt + dealt // math.lcm(max(1, unknowns), workers)) % workers
        threshold = rows - (rows // unknowns - 1) if 0 < unknowns <= rows else None
        load = np.ones(rows)
        for array in (worker, load, groups):
            array.setflags(write=False)
        # What a `LinearCode` finds out when it is asked is known here: nothing looks at the matrices for that.
        found = {"unknowns": unknowns, "groups": groups, "picks": groups, "mixes": False, "disjoint": None}
        vars(self).update(name=name, worker=worker, load=load, threshold=threshold, spread=None, **found)

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.name, self.unknowns, self.rows, max(1, self.workers))

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
        return self if count >= self.workers else CopyCode(self.name, self.unknowns, self.rows, count)


def _lock(matrix: Floats) -> Floats:
    matrix.setflags(write=False)
    return matrix
