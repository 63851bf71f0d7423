"""Whether a job could end at all: what is asked for must be there once every row has arrived."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..codes.decoding._decode import decodable, decode
from ..codes.decoding._estimators import Estimator
from ..codes.decoding._rank import track_rank
from ..schemes._scheme import Learner, Scheme
from ._stop import StopRule


@dataclass(frozen=True)
class _Everything:
    """The situation in which every row has arrived and all time has passed."""

    scheme: Scheme
    learner: Learner
    estimator: Estimator
    time: float = math.inf
    latest: float = 0.0

    @property
    def count(self) -> int:
        return self.scheme.code.rows

    @property
    def exact(self) -> bool:
        return bool(decodable(self.scheme.code, np.arange(self.count), self.scheme.epsilon, self.estimator))

    @property
    def error(self) -> float:
        scheme, prior = self.scheme, self.learner.prior({})
        return float(decode(scheme.code, np.arange(self.count), prior, self.estimator, scheme.epsilon).error)


def check_reachable(call: str, scheme: Scheme, learner: Learner, estimator: Estimator, stop: StopRule) -> None:
    """Refuse a job whose stop rule could not be met even if every row arrived."""
    everything = _Everything(scheme, learner, estimator)
    if not stop.is_met(everything):
        if everything.exact:
            given, remedy = f"{stop}, which exact targets from all {everything.count} rows do not meet", "ask for less"
        else:
            given, remedy = _why_not(scheme)
        raise checks.refusal(call, "stop", "be reachable when every row arrives", given, remedy)


def _why_not(scheme: Scheme) -> tuple[str, str]:
    """Why all rows together do not make a job exact, and what would: more equations, or more digits."""
    code = scheme.code
    space = track_rank(code)
    rank = sum(space.add(row) for row in range(code.rows))
    given = f"code {code.name!r} with {code.rows} rows of rank {rank} for {code.unknowns} unknowns"
    if rank < code.unknowns:
        return given, "use fewer blocks, more rows, a tolerance or a deadline"
    worst = float(decode(code, np.arange(code.rows), epsilon=1e-300).amplification)
    lost = f"rounding of {scheme.epsilon:.1g} of an output, amplified {worst:.2g} times, leaves too few digits"
    remedy = "give float64 data, use fewer inputs or blocks, a smaller degree or mask, a tolerance or a deadline"
    return f"{given}: {lost}", remedy
