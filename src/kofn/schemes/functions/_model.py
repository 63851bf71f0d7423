"""What is expected of function values, before any are there and from those that are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...codes._prior import Prior
from ._mixing import Bar


class PriorModel(ABC):
    """Frozen data; what remembers results on the way is made anew for each run, by `learner`."""

    @abstractmethod
    def first_prior(self) -> Prior:
        """Of the unknowns, before anything has arrived."""

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """Of the unknowns, from the payloads that have arrived, by row."""
        return self.first_prior()

    @property
    def bar(self) -> Bar | None:
        """What an estimate's error is taken to be once its results are known; by default what the prior says of it."""
        return None

    def learner(self) -> PriorModel:
        """The same for one run."""
        return self


@dataclass(frozen=True, eq=False)
class KnownPrior(PriorModel):
    """A prior of which results tell nothing more.

    Parameters
    ----------
    prior : Prior
    """

    prior: Prior

    def first_prior(self) -> Prior:
        """As given."""
        return self.prior
