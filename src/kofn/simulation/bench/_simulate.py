"""How long jobs take under a policy, and what they cost, over many trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..._base._numbers import Floats
from ._draws import Draws
from ._kernel import play_all
from ._run import Rules, new_run


@dataclass(frozen=True)
class Outcomes:
    """What came of trials, (trials,) arrays each.

    Parameters
    ----------
    times : array
        In units of plain work; inf where it never ended.
    work : array
        Load that was computed, in units of all plain work.
    moved : array
        Blocks that were sent, in units of all that plain work needs.
    """

    times: Floats
    work: Floats
    moved: Floats

    @staticmethod
    def joined(parts: Sequence[Outcomes]) -> Outcomes:
        """Trials one after the other."""
        fields = ([getattr(part, name) for part in parts] for name in ("times", "work", "moved"))
        return Outcomes(*map(np.concatenate, fields))

    def percentile(self, share: float) -> float:
        """The smallest time that at least this share of the trials did not exceed.

        Examples
        --------
        >>> Outcomes(np.array([3.0, 1.0, np.inf, 2.0]), np.ones(4), np.ones(4)).percentile(0.5)
        2.0
        """
        return float(np.quantile(self.times, share, method="inverted_cdf"))


def outcomes(rules: Rules, draws: Draws) -> Outcomes:
    """Play all trials.

    Examples
    --------
    >>> from ._draws import draws_of
    >>> from ._policies import POLICIES
    >>> pace = np.ones((1, 4, 8))
    >>> pace[0, 2] = 10.0
    >>> plain, coded = (POLICIES[name].rules("product", 4, 2) for name in ("plain", "coded"))
    >>> outcomes(plain, draws_of(pace)).times.tolist(), outcomes(coded, draws_of(pace)).times.tolist()
    ([5.0], [1.5])
    """
    workers = draws.pace.shape[1]
    found = Outcomes(*(np.empty(draws.trials) for _ in range(3)))
    play_all(rules, draws, new_run(rules, workers), found.times, found.work, found.moved)
    return Outcomes(found.times, found.work / workers, found.moved / workers)
