"""When a job is done: rules as data, combined with ``|`` and ``&``, obeyed by runs and simulations alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol, final

from .. import checks


class Situation(Protocol):
    """What a rule may look at; every property is computed only when it is asked for."""

    @property
    def count(self) -> int:
        """Results that arrived."""

    @property
    def time(self) -> float:
        """Seconds since the start."""

    @property
    def latest(self) -> float:
        """When the newest result arrived, in seconds since the start; 0.0 before the first."""

    @property
    def exact(self) -> bool:
        """Whether every target is exact."""

    @property
    def error(self) -> float:
        """Expected relative error of the estimate so far."""


class StopRule(ABC):
    """Base of all stop rules.

    Examples
    --------
    >>> Decodable() | Deadline(2.0)
    Either(first=Decodable(), second=Deadline(seconds=2.0))
    """

    @abstractmethod
    def is_met(self, now: Situation) -> bool:
        """Tell whether the job is done."""

    def next_change(self, after: float = -math.inf) -> float:
        """First moment later than ``after`` at which the rule can turn true without an arrival; inf for never."""
        return math.inf

    def next_change_of(self, now: Situation) -> float:
        """The same, where it depends on what has arrived; nothing else needs to override this."""
        return next_change(self, now.time)

    def __or__(self, other: StopRule) -> StopRule:
        return Either(self, other) if isinstance(other, StopRule) else NotImplemented

    def __and__(self, other: StopRule) -> StopRule:
        return Both(self, other) if isinstance(other, StopRule) else NotImplemented


@final
@dataclass(frozen=True)
class Decodable(StopRule):
    """Done when every target is exact."""

    def is_met(self, now: Situation) -> bool:
        return now.exact


@final
@dataclass(frozen=True)
class Count(StopRule):
    """Done when ``results`` results have arrived, whatever they are worth."""

    results: int

    def __post_init__(self) -> None:
        checks.integer("kofn.Count", "results", self.results, 1, "ask for at least one result")

    def is_met(self, now: Situation) -> bool:
        return now.count >= self.results


@final
@dataclass(frozen=True)
class Deadline(StopRule):
    """Done when ``seconds`` have passed since the start."""

    seconds: float

    def __post_init__(self) -> None:
        remedy = "leave the deadline out to wait for the exact answer"
        checks.number("kofn.Deadline", "seconds", self.seconds, remedy, strict=True)

    def is_met(self, now: Situation) -> bool:
        return now.time >= self.seconds

    def next_change(self, after: float = -math.inf) -> float:
        return self.seconds if self.seconds > after else math.inf


@final
@dataclass(frozen=True)
class Tolerance(StopRule):
    """Done when something arrived and its expected relative error is at most ``error``, or all is exact."""

    error: float

    def __post_init__(self) -> None:
        checks.number("kofn.Tolerance", "error", self.error, "use Decodable() for the exact answer", strict=True)
        check_error("kofn.Tolerance", "error", self.error)

    def is_met(self, now: Situation) -> bool:
        return now.count > 0 and (now.exact or now.error <= self.error)


@final
@dataclass(frozen=True)
class NoProgress(StopRule):
    """Done when nothing has arrived for ``seconds``, since the newest result or the start.

    Best beside another rule, with ``|``. With ``&`` both must hold at the same moment, as this one looks back: what
    arrives late makes it wait again.

    Examples
    --------
    >>> import numpy as np, kofn
    >>> A = np.arange(6.0).reshape(3, 2)
    >>> pool = kofn.simulation.VirtualPool([[1.0], [3600.0], [2.0]])
    >>> stop = Decodable() | NoProgress(10.0)
    >>> answer = kofn.matmul(A, A.T, workers=pool, code="uncoded", scheduler="static", stop=stop)
    >>> answer.report.seconds, answer.exact
    (12.0, False)
    """

    seconds: float

    def __post_init__(self) -> None:
        remedy = "use kofn.Decodable() to wait as long as it takes"
        checks.number("kofn.NoProgress", "seconds", self.seconds, remedy, strict=True)

    def is_met(self, now: Situation) -> bool:
        return now.time >= now.latest + self.seconds

    def next_change(self, after: float = -math.inf) -> float:
        return self.seconds if self.seconds > after else math.inf  # where nothing arrives at all

    def next_change_of(self, now: Situation) -> float:
        due = now.latest + self.seconds
        return due if due > now.time else math.inf


@dataclass(frozen=True)
class TwoRules(StopRule):
    """Base of what combines two rules."""

    first: StopRule
    second: StopRule

    def next_change(self, after: float = -math.inf) -> float:
        # Where both must be met not the later of the two: the other can have been met by an arrival before.
        return min(next_change(self.first, after), next_change(self.second, after))

    def next_change_of(self, now: Situation) -> float:
        return min(self.first.next_change_of(now), self.second.next_change_of(now))


@final
class Either(TwoRules):
    """Done when one of two rules is met."""

    def is_met(self, now: Situation) -> bool:
        return self.first.is_met(now) or self.second.is_met(now)


@final
class Both(TwoRules):
    """Done when two rules are met; a rule once met stays met, because none but `NoProgress` looks back."""

    def is_met(self, now: Situation) -> bool:
        return self.first.is_met(now) and self.second.is_met(now)


def check_error(call: str, name: str, error: float) -> None:
    """Refuse a tolerance that everything would meet."""
    if error > 1:
        must, remedy = "be at most 1, the error of an answer of zeros", "use 0.1 for an error of 10 %, for example"
        raise checks.refusal(call, name, must, error, remedy)


def next_change(rule: StopRule, after: float = -math.inf) -> float:
    """What a rule, which may be a user's own, says of the next moment to look at it."""
    when: Any = rule.next_change(after)
    if not isinstance(when, Real) or math.isnan(when):
        must = "answer next_change with seconds since the start"
        raise checks.refusal("kofn.run", "stop", must, f"{when!r} from {rule}", "return math.inf for never")
    return float(when)


def looks_back(rule: StopRule) -> bool:
    """Whether it may be met now, and not any more after the next result."""
    if isinstance(rule, TwoRules):
        return looks_back(rule.first) or looks_back(rule.second)
    return isinstance(rule, NoProgress)


def nothing_arrived(rule: StopRule) -> tuple[str, str]:
    """Why a run is over in which nothing has arrived, and what to do."""
    if math.isinf(next_change(rule)):
        return f"{rule} was met before any result arrived", "let it look at now.count, too"
    remedy = "use a longer deadline, or call pool.warm(…) first, where workers had to import or load something"
    if looks_back(rule):
        return f"{rule} was met before any result arrived", remedy.replace("a longer deadline", "more seconds")
    return "the deadline passed before any result arrived", remedy


def stop_rule(
    call: str, tolerance: float = 0.0, deadline: float | None = None, stop: StopRule | None = None
) -> StopRule:
    """Build the rule that ``tolerance=``, ``deadline=`` and ``stop=`` of a public function mean, or refuse them.

    A tolerance and a deadline end a job by whichever comes first. ``stop`` says all of it by itself, so that it is
    refused beside them.

    Examples
    --------
    >>> stop_rule("kofn.matmul", 0.1, 5.0)
    Either(first=Tolerance(error=0.1), second=Deadline(seconds=5.0))
    """
    checks.number(call, "tolerance", tolerance, "use 0.0 for the exact answer")
    check_error(call, "tolerance", tolerance)
    if stop is not None:
        return _alone(call, tolerance, deadline, stop)
    done: StopRule = Tolerance(tolerance) if tolerance else Decodable()
    if deadline is None:
        return done
    checks.number(call, "deadline", deadline, "leave it out to wait for the exact answer", strict=True)
    return done | Deadline(deadline)


def _alone(call: str, tolerance: float, deadline: float | None, stop: Any) -> StopRule:
    if not isinstance(stop, StopRule):
        raise checks.refusal(call, "stop", "be a stop rule", repr(stop), "use kofn.Deadline(2.0), for example")
    given = [name for name, there in (("tolerance", tolerance), ("deadline", deadline is not None)) if there]
    if given:
        remedy = "combine rules instead: kofn.Tolerance(0.1) | kofn.Deadline(2.0)"
        raise checks.refusal(call, "stop", f"be left out where '{given[0]}' is given", repr(stop), remedy)
    return stop
