"""Delays of many trials, drawn before anybody decides anything, so that all policies meet the same ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..._base._numbers import Floats

ATTEMPTS = 48
"""Messages of a worker that are drawn; later ones begin anew with the first."""

TASKS = 8
"""Most tasks a worker that a policy cuts the work into."""


class Draws(NamedTuple):
    """Delays of trials. Times are in units of plain work: what a worker needs for its share where nothing straggles.

    The i-th message of worker w takes ``message[:, w, i]`` plus its load times ``pace[:, w, i]`` times what its row is
    slower by, ``skew``, wherever it runs.

    Parameters
    ----------
    pace, message : (trials, workers, ATTEMPTS) arrays
    skew : (trials, rows) array
        Of a row of plain work; a combination is as slow as the slowest row in it.
    start : (trials, workers) array
        When a worker is there.
    death : (trials, workers) array
        After it nothing comes back, and nobody is told; inf for never.
    pause_at, pause : (trials, workers) arrays
        When a worker stands still and for how long.
    """

    pace: Floats
    message: Floats
    skew: Floats
    start: Floats
    death: Floats
    pause_at: Floats
    pause: Floats

    @property
    def trials(self) -> int:
        """How many there are."""
        return len(self.pace)


def draws_of(pace: Floats, **others: Floats) -> Draws:
    """Delays of workers, with nothing else unless it is given.

    Parameters
    ----------
    pace : (trials, workers, attempts) array

    Examples
    --------
    >>> drawn = draws_of(np.ones((2, 3, 4)), death=np.zeros((2, 3)))
    >>> drawn.trials, drawn.skew.shape, drawn.death.tolist()
    (2, (2, 24), [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    """
    trials, workers, _ = pace.shape
    each = np.zeros((trials, workers))
    nothing = {
        "message": np.zeros((trials, workers, 1)),
        "skew": np.ones((trials, workers * TASKS)),
        "start": each,
        "death": np.full_like(each, np.inf),
        "pause_at": np.full_like(each, np.inf),
        "pause": each,
    }
    return Draws(pace, **{name: np.ascontiguousarray(others.get(name, value)) for name, value in nothing.items()})
