"""Which place of a code each unknown takes, so that whoever is dealt it has what it is made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from .._base._numbers import Indices


def near_places(owners: Sequence[int], homes: Sequence[int]) -> Indices:
    """The place of each unknown: one whose owner is where it lies, as far as there are some.

    Parameters
    ----------
    owners : sequence of int
        The worker that each place is dealt to; negative for nobody.
    homes : sequence of int
        The worker where each unknown lies; negative for none.

    Examples
    --------
    >>> near_places([0, 1, 0, 1], [1, 1, 1, 0]).tolist()
    [1, 3, 2, 0]
    """
    waiting = defaultdict(list)
    for unknown, home in reversed(list(enumerate(homes))):
        waiting[home].append(unknown)
    places, left = np.full(len(homes), -1), []
    for place, owner in enumerate(owners):
        mine = waiting[owner] if owner >= 0 else []
        if mine:
            places[mine.pop()] = place
        else:
            left.append(place)
    places[np.flatnonzero(places < 0)] = left
    return places
