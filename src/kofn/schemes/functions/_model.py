"""What is expected of function values, before any are there and from those that are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._learning import sketches_of
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


@dataclass(frozen=True, eq=False)
class ScaledPrior(PriorModel):
    """A prior up to one number, which results tell: it makes the expected energy theirs.

    Parameters
    ----------
    code : LinearCode
    prior : Prior

    Examples
    --------
    >>> code = LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])
    >>> model = ScaledPrior(code, Prior.independent([1.0, 3.0]))
    >>> model.prior_of_results({1: np.array([3.0, 4.0])}).energies.round(9).tolist()
    [8.333333333, 25.0]
    """

    code: LinearCode
    prior: Prior

    def first_prior(self) -> Prior:
        """As it is."""
        return self.prior

    def prior_of_results(self, results: Mapping[int, Any]) -> Prior:
        """The prior times the number."""
        rows = list(results)
        expected = float(np.sum(self.prior.weigh(self.code.generator[rows]) ** 2, axis=1).sum())
        scale = np.sqrt(float(np.sum(sketches_of(results.values()) ** 2)) / expected) if expected > 0 else 0.0
        return replace(self.prior, factor=self.prior.factor * (scale or 1.0))  # zeros say nothing of the scale
