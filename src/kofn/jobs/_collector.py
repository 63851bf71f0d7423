"""The collector: arrivals go in, progress and the decision to stop come out. It does no input or output.

Real runs and simulations drive the same collector, so they cannot disagree on what is decodable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base._numbers import EPSILON
from .._base._travel import Carrying
from ..codes._linear import LinearCode
from ..codes._prior import Prior
from ..codes.decoding._assess import Decoding
from ..codes.decoding._decode import decode
from ..codes.decoding._estimators import Estimator
from ..codes.decoding._rank import track_rank
from ..errors import CodeError
from ..schemes._scheme import Judge, Judgement
from ._stop import Decodable, StopRule


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Parameters
    ----------
    count, rows : int
        Results that arrived, of how many.
    rank, unknowns : int
        Independent results among them, and how many there can be.
    error : float
        Expected relative error of the estimate so far; 0.0 when exact, and nan where results are there that are still
        to be checked (``verify=``).
    exact : bool
    time : float
        Seconds since the start.
    """

    count: int
    rows: int
    rank: int
    unknowns: int
    error: float
    exact: bool
    time: float


class Collector(Carrying):
    """Collects the rows of one job.

    Parameters
    ----------
    code : LinearCode
    prior : callable returning a Prior, optional
        Called only when an expected error or an estimate is needed; equal energies by default.
    estimator : {"lmmse", "exact", "peeling"} or Rule
    stop : StopRule
        When the job is done.
    epsilon : float
        Relative precision of the results' numbers.
    judge : Judge, optional
        What the payloads in ``results`` allow to be called exact; by default all that the code can make so.
    results : mapping, optional
        Payloads of the rows that arrived.
    surplus : int
        So many results more than are independent must be there, and be vouched for, before anything is exact.

    Examples
    --------
    >>> code = LinearCode("parity", [[1, 0], [0, 1], [1, 1]], np.eye(2), worker=[0, 1, 2], threshold=2)
    >>> collector = Collector(code)
    >>> collector.add(2, time=0.1)
    >>> collector.done
    False
    >>> collector.add(0, time=0.3)
    >>> collector.done, collector.decoding.matrix.tolist()
    (True, [[0.0, 1.0], [1.0, -1.0]])
    """

    def __init__(
        self,
        code: LinearCode,
        prior: Callable[[], Prior] | None = None,
        estimator: Estimator = "lmmse",
        stop: StopRule | None = None,
        epsilon: float = EPSILON,
        judge: Judge | None = None,
        results: Mapping[int, Any] | None = None,
        surplus: int = 0,
    ) -> None:
        self.code = code
        self._surplus, self.is_vouched = surplus, not surplus
        self.stop = Decodable() if stop is None else stop
        self.received: list[int] = []
        self._seen: set[int] = set()
        self.time = self.latest = 0.0
        self._expect = prior
        self._estimator = estimator
        self._epsilon = epsilon
        self._precision = 0.0  # of the coarsest result, as it says itself
        self._judge, self._results = judge, results
        self._judgement: Judgement | None = None
        self._enough = self._settled = False
        self._limit = math.inf
        self._space = track_rank(code)
        self._exact: bool | None = None
        self.estimates: list[Progress] = []  # whenever somebody asked how good the estimate is

    def add(self, row: int, time: float, epsilon: float = 0.0) -> None:
        """Take note that the result of ``row`` arrived at ``time``; a second arrival of a row changes nothing.

        Parameters
        ----------
        row : int
        time : float
            Seconds since the start.
        epsilon : float
            Relative precision of its numbers: the coarsest result says what is exact.

        Raises
        ------
        CodeError
            When the code has no such row.
        """
        if not (hasattr(row, "__index__") and 0 <= row < self.code.rows):
            raise CodeError(f"row must be an int in [0, {self.code.rows - 1}], got {row!r}.")
        self.advance(time)
        if row in self._seen:
            return
        was_exact = self._exact and epsilon <= self._epsilon
        self._epsilon, self._precision = max(self._epsilon, epsilon), max(self._precision, epsilon)
        self._seen.add(row)
        self.received.append(row)
        self.latest = self.time
        self._space.add(row)
        self._judgement, self.is_vouched = None, not self._surplus
        self._exact = True if was_exact else None  # more rows never make an exact target inexact

    def extend(self, code: LinearCode, amplification: float) -> None:
        """Go on with a code that has more rows at its end, and wait for another result where more would be amplified.

        Parameters
        ----------
        code : LinearCode
        amplification : float
            Largest one with which a job is done while more can arrive.
        """
        self.code, self._limit, self._space = code, amplification, track_rank(code)
        for row in sorted(self.received, key=lambda row: code.plain[row] < 0):  # combinations count for what is left
            self._space.add(row)

    def withdraw(self, rows: Collection[int]) -> None:
        """Take note that the results of these rows do not count any more; they may arrive again."""
        self.received = [row for row in self.received if row not in rows]
        self._seen, self._space = set(self.received), track_rank(self.code)
        for row in self.received:
            self._space.add(row)
        self._judgement = self._exact = None
        self.is_vouched = not self._surplus

    def vouch(self) -> None:
        """Take note that what is there was found not to contradict itself."""
        self.is_vouched, self._exact = True, None
        if self._judgement is not None and self.received:
            self.estimates.append(self._progress(self._judgement.decoding))

    @property
    def wants_audit(self) -> bool:
        """Whether there is enough to find out whether any of it is wrong, which nobody has done."""
        enough = min(1, self._surplus) if self._settled else self._surplus
        return not self.is_vouched and self._space.is_near and self.count - self.rank >= enough

    def settle(self) -> None:
        """Take note that nothing more will arrive."""
        self._settled, self._exact = True, None

    def advance(self, time: float) -> None:
        """Take note that it is now ``time``, in seconds since the start."""
        self.time = max(self.time, time)

    @property
    def count(self) -> int:
        """Results that arrived."""
        return len(self.received)

    @property
    def rank(self) -> int:
        """Independent results among them."""
        return self._space.rank

    @property
    def exact(self) -> bool:
        """Whether every target is exact, or all that the code can make exact is there and more results cannot help."""
        if self._exact is None:
            self._exact = self.is_vouched and self._space.is_near and self._decided()
        return self._exact

    def _decided(self) -> bool:
        judgement = self._judged()
        if not (self._settled or judgement.decoding.amplification <= self._limit):
            return False
        return judgement.decoding.exact or (self._enough and (judgement.final or self._settled))

    @property
    def error(self) -> float:
        """Expected relative error of the estimate so far."""
        return float(self.decoding.error)

    @property
    def done(self) -> bool:
        """Whether the stop rule is met."""
        return self.stop.is_met(self)

    def next_change(self) -> float:
        """When the stop rule may be met without an arrival; inf for never."""
        return self.stop.next_change_of(self)

    @property
    def decoding(self) -> Decoding:
        """V for the rows in ``received``, in their order."""
        return self._judged().decoding

    @property
    def remarks(self) -> Sequence[str]:
        """What there is to say of the decoding."""
        return self._judged().remarks

    def _judged(self) -> Judgement:
        if self._judgement is None:
            # What is exact needs no prior, and a prior can cost a pass over the data.
            decoding = self._decode(None) if self._space.is_near else None
            self._enough = decoding is not None and decoding.exact
            if decoding is None or not decoding.exact:
                decoding = self._decode(None if self._expect is None else self._expect())
            self._judgement = self._looked_at(decoding)
            if self.received:
                self.estimates.append(self._progress(self._judgement.decoding))
        return self._judgement

    def _looked_at(self, decoding: Decoding) -> Judgement:
        if self._judge is None or self._results is None or not self.received:
            return Judgement(decoding)
        payloads = [self._results[row] for row in self.received]
        return self._judge(decoding, self.received, payloads, self._precision)

    def _decode(self, prior: Prior | None) -> Decoding:
        rows = np.array(self.received, dtype=np.intp)
        return decode(self.code, rows, prior, self._estimator, self._epsilon)

    @property
    def progress(self) -> Progress:
        """Where the job stands."""
        return self._progress(self.decoding)

    def _progress(self, decoding: Decoding) -> Progress:
        exact = self.is_vouched and decoding.exact
        error = float(decoding.error) if self.is_vouched else math.nan  # nobody knows whether they are right
        return Progress(self.count, self.code.rows, self.rank, self.code.unknowns, error, exact, self.time)
