"""When a job is done: rules as data, combined with ``|`` and ``&``, obeyed by runs and simulations alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

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
    def exact(self) -> bool:
        """Whether every target is exact."""

    @property
    def error(self) -> float:
        """Expected relative error of the estimate so far."""


@dataclass(frozen=True)
class Rule:
    """Base of all stop rules.

    Examples
    --------
    >>> Decodable() | Deadline(2.0)
    Either(first=Decodable(), second=Deadline(seconds=2.0))
    """

    def met(self, now: Situation) -> bool:
        """Tell whether the job is done."""
        raise NotImplementedError

    def wake(self, after: float = -math.inf) -> float:
        """First moment later than ``after`` at which the rule can turn true without an arrival; inf for never."""
        return math.inf

    def __or__(self, other: Rule) -> Rule:
        return Either(self, other) if isinstance(other, Rule) else NotImplemented

    def __and__(self, other: Rule) -> Rule:
        return Both(self, other) if isinstance(other, Rule) else NotImplemented


@dataclass(frozen=True)
class Decodable(Rule):
    """Done when every target is exact."""

    def met(self, now: Situation) -> bool:
        return now.exact


@dataclass(frozen=True)
class Count(Rule):
    """Done when ``results`` results have arrived, whatever they are worth."""

    results: int

    def __post_init__(self) -> None:
        checks.integer("kofn.Count", "results", self.results, 1, "ask for at least one result")

    def met(self, now: Situation) -> bool:
        return now.count >= self.results


@dataclass(frozen=True)
class Deadline(Rule):
    """Done when ``seconds`` have passed since the start."""

    seconds: float

    def __post_init__(self) -> None:
        remedy = "leave the deadline out to wait for the exact answer"
        checks.number("kofn.Deadline", "seconds", self.seconds, remedy, strict=True)

    def met(self, now: Situation) -> bool:
        return now.time >= self.seconds

    def wake(self, after: float = -math.inf) -> float:
        return self.seconds if self.seconds > after else math.inf


@dataclass(frozen=True)
class Tolerance(Rule):
    """Done when something arrived and its expected relative error is at most ``error``, or all is exact."""

    error: float

    def __post_init__(self) -> None:
        checks.number("kofn.Tolerance", "error", self.error, "use Decodable() for the exact answer", strict=True)

    def met(self, now: Situation) -> bool:
        return now.count > 0 and (now.exact or now.error <= self.error)


@dataclass(frozen=True)
class Either(Rule):
    """Done when one of two rules is met."""

    first: Rule
    second: Rule

    def met(self, now: Situation) -> bool:
        return self.first.met(now) or self.second.met(now)

    def wake(self, after: float = -math.inf) -> float:
        return min(self.first.wake(after), self.second.wake(after))


@dataclass(frozen=True)
class Both(Rule):
    """Done when two rules are met; a rule once met stays met, because none looks back."""

    first: Rule
    second: Rule

    def met(self, now: Situation) -> bool:
        return self.first.met(now) and self.second.met(now)

    def wake(self, after: float = -math.inf) -> float:
        # Not the later of the two: the other half can have been met by an arrival before.
        return min(self.first.wake(after), self.second.wake(after))


def rule(call: str, tolerance: float = 0.0, deadline: float | None = None, stop: Rule | None = None) -> Rule:
    """Build the rule that ``tolerance=``, ``deadline=`` and ``stop=`` of a public function mean, or refuse them.

    A tolerance and a deadline end a job by whichever comes first. ``stop`` says all of it by itself, so that it is
    refused beside them.

    Examples
    --------
    >>> rule("kofn.matmul", 0.1, 5.0)
    Either(first=Tolerance(error=0.1), second=Deadline(seconds=5.0))
    """
    checks.number(call, "tolerance", tolerance, "use 0.0 for the exact answer")
    if stop is not None:
        return _alone(call, tolerance, deadline, stop)
    done: Rule = Tolerance(tolerance) if tolerance else Decodable()
    if deadline is None:
        return done
    checks.number(call, "deadline", deadline, "leave it out to wait for the exact answer", strict=True)
    return done | Deadline(deadline)


def _alone(call: str, tolerance: float, deadline: float | None, stop: Any) -> Rule:
    if not isinstance(stop, Rule):
        raise checks.refusal(call, "stop", "be a stop rule", repr(stop), "use kofn.Deadline(2.0), for example")
    given = [name for name, there in (("tolerance", tolerance), ("deadline", deadline is not None)) if there]
    if given:
        remedy = "combine rules instead: kofn.Tolerance(0.1) | kofn.Deadline(2.0)"
        raise checks.refusal(call, "stop", f"be left out where '{given[0]}' is given", repr(stop), remedy)
    return stop
