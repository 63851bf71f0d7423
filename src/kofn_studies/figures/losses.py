"""Points of the figures on losses, Figs. 8 to 11 of Tegin et al.: samples of one code, shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from kofn.codes import decode
from kofn.schemes.products import GAMMA
from kofn.schemes.products.families import Windows
from kofn.simulation.theory import KINDS

from ..study import Point, Result
from .sampling import SampledCode
from .uep_setting import CLASSES, SIZES, WORKERS, column_row, published, row_column, windows
from .uep_times import TIMES, load_balancing_losses


@cache
def contenders() -> dict[str, SampledCode]:
    """Every code that is sampled, by the name of its series."""
    load_1 = (*row_column(), *column_row(), *published("rxc"), *published("cxr"))
    return {contender.name: contender for contender in (*load_1, *windows())}


@dataclass(frozen=True)
class CountLosses(Point):
    """Losses of a contender after each number of results, ``losses`` (trials, 31)."""

    contender: str
    trials: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Draw and decode it."""
        return {"losses": contenders()[self.contender].losses(self.trials, WORKERS, self.seed)}


@dataclass(frozen=True)
class TimeLosses(Point):
    """Losses of a contender at each time, each row paying its load, ``losses`` (trials, times)."""

    contender: str
    trials: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Draw and decode it, each row paying its load."""
        return {"losses": contenders()[self.contender].losses_at(TIMES, self.trials, WORKERS, self.seed)}


@dataclass(frozen=True)
class BoundLosses(Point):
    """Losses of the load-balancing bound at each time, ``losses`` (trials, times)."""

    partition: str
    trials: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Draw when all workers together are done with each piece."""
        return {"losses": load_balancing_losses(self.partition, self.trials, self.seed)}


@dataclass(frozen=True)
class ClassesDecoded(Point):
    """Which classes of products are decoded after each number of results, ``decoded`` (trials, counts, classes)."""

    kind: str
    trials: int
    seed: int

    def compute(self, data: str | None) -> Result:
        """Draw windows of free Gaussian coefficients and decode them."""
        family = Windows(CLASSES["rxc"], kind=self.kind, gamma=GAMMA)
        code = family.code(self.trials * WORKERS, [self.seed, KINDS.index(self.kind)])
        rows = np.arange(code.rows).reshape(self.trials, WORKERS)
        # A class is decoded when all of its products are.
        members = [CLASSES["rxc"].label.ravel() == number for number in range(len(SIZES))]
        found = [
            decode(code, rows[:, :count], estimator="exact").recovered[:, mine].all(axis=1)
            for count in range(1, WORKERS + 1)
            for mine in members
        ]
        return {"decoded": np.array(found).reshape(WORKERS, len(SIZES), self.trials).transpose(2, 0, 1)}
