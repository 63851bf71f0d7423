"""When a run looks again though nothing has happened, and why it has nothing to look for any more."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from ..engines._protocol import POLL_SECONDS
from ..errors import WorkerLost
from ._assignment import refusal
from ._seen import Seen
from ._view import RunView
from .scheduling import InFlight, Scheduler


def wake_at(view: RunView, seen: Seen, scheduler: Scheduler, change: float) -> float:
    """When to look again though nothing has happened; ``change`` is when the stop rule may be met by time alone."""
    # What the rule last heard of counts: a deadline may have passed since, while rows were given out.
    if view.waiting and view.absent:
        change = min(change, view.now + POLL_SECONDS)
    if view.idle:
        look = _next_look(seen, scheduler)
        change = min(change, look if look > view.now else view.now + POLL_SECONDS)
    return change


def _next_look(seen: Seen, scheduler: Scheduler) -> float:
    """When a scheduler would decide otherwise by itself."""
    return _require_time(scheduler.next_look(seen), scheduler, "next_look", "decides otherwise only when told of more")


def restarts_at(message: InFlight, seen: Seen, scheduler: Scheduler) -> float:
    """When what a worker computes is to be ended."""
    return _require_time(scheduler.restarts_at(message, seen), scheduler, "restarts_at", "lets it run")


def _require_time(time: Any, scheduler: Scheduler, method: str, never: str) -> float:
    if not isinstance(time, Real) or math.isnan(time):
        must = f"answer {method} with a time in seconds since the start"
        raise refusal(time, scheduler, must, f"return math.inf where it {never}")
    return float(time)


def why_over(view: RunView, seen: Seen, scheduler: Scheduler, loss: BaseException | None) -> str | None:
    """Why nothing more will arrive, if that is so; ``loss`` is that of the last worker that died."""
    if view.in_flight:
        return None
    if not view.waiting:
        return "everything that can arrive has arrived"
    if not view.idle and not view.absent:
        last = f"; the last: {loss}" if isinstance(loss, WorkerLost) else ""
        aside = f", {len(view.barred)} of them set aside for wrong results or failures" if view.barred else ""
        return f"all {len(view.states)} workers are gone{aside}{last}"
    if not view.absent and not view.now < _next_look(seen, scheduler) < math.inf:  # it has been asked just now
        if view.spoken and all(not view.may_tell(one, row) for one in view.idle for row in _rows(view)):
            return "no other worker is left to compare with"
        return f"{scheduler} gives out none of the rows that wait"
    return None


def _rows(view: RunView) -> list[int]:
    return [row for lane in view.waiting.values() for row in lane]
