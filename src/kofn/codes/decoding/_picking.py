"""Decoding where rows are unknowns themselves: the first copy of each is picked, and nothing is computed."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..._base._numbers import Floats, Indices
from .._linear import LinearCode
from .._prior import Prior
from ._assess import Decoding


class Picks(Decoding):
    """A decoding that picks; its matrix is only made when somebody looks at it."""

    @classmethod
    def of(cls, place: Indices, received: int, error: float) -> Picks:
        """Make it.

        Parameters
        ----------
        place : (targets,) int array
            Which of the results is each target; -1 for what is missing, which is 0.
        received : int
        error : float
        """
        picks, there = object.__new__(cls), place >= 0
        picks.__dict__.update(
            recovered=there,
            error=np.array(error),
            backward_error=np.array(0.0 if there.all() else 1.0),
            amplification=np.array(float(there.any())),
            _picks=(place, received),
        )
        return picks

    @cached_property
    def matrix(self) -> Floats:
        """V, (targets, received)."""
        place, received = self.__dict__["_picks"]
        there = np.flatnonzero(place >= 0)
        matrix = np.zeros((len(place), received))
        matrix[there, place[there]] = 1.0
        return matrix


def covers(code: LinearCode, rows: Indices) -> bool:
    """Whether rows (received,) hold every unknown."""
    return bool(len(np.unique(code.groups[rows])) == code.unknowns)


def pick(code: LinearCode, rows: Indices, prior: Prior | None) -> Picks:
    """What rows (received,) of a code hold, and zero for the rest.

    Examples
    --------
    >>> from kofn.codes._copies import CopyCode
    >>> picks = pick(CopyCode("repetition", 2, 4, 2), np.array([3, 1]), None)
    >>> picks.recovered.tolist(), picks.matrix.tolist(), float(picks.error.round(3))
    ([False, True], [[0.0, 0.0], [1.0, 0.0]], 0.707)
    """
    place = np.full(code.unknowns, -1)
    place[code.groups[rows][::-1]] = np.arange(len(rows))[::-1]
    energies = np.ones(code.unknowns) if prior is None else prior.energies
    energies = energies if energies.sum() > 0 else np.ones(code.unknowns)
    missing = energies[place < 0].sum() / energies.sum() if code.unknowns else 0.0
    return Picks.of(place, len(rows), float(np.sqrt(missing)))
