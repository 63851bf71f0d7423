"""What a scheduler, which may be a user's own, has given a worker: looked at before it is sent."""

from __future__ import annotations

import math
from numbers import Real
from operator import index
from typing import Any

from .. import checks
from ..engines._protocol import POLL_SECONDS
from ..errors import ArgumentError, WorkerLost
from ._seen import Seen
from ._view import RunView
from .scheduling import Copy, InFlight, Rows, Scheduler, Wait


def require_rows(assignment: Any, view: RunView, scheduler: Scheduler) -> list[int]:
    """The rows of a `Rows` or a `Copy`, or a refusal of what cannot be given out."""
    rows, copied = _rows_of(assignment, scheduler), isinstance(assignment, Copy)
    under_way = {row for message in view.in_flight.values() for row in message.rows} if copied else ()
    wrong = [row for row in rows if not (row in under_way if copied else view.queue.is_waiting(row))]
    if wrong or not rows or len(set(rows)) < len(rows):
        must = f"{'copy rows that are being computed' if copied else 'give out rows that wait'}, each once"
        raise refusal(assignment, scheduler, must, "look at view.waiting and view.in_flight")
    return rows


def refusal(assignment: Any, scheduler: Scheduler, must: str, remedy: str) -> ArgumentError:
    """Build (not raise) what is wrong with an assignment."""
    return checks.refusal("kofn.run", "scheduler", must, f"{assignment!r} from {scheduler}", remedy)


def _rows_of(assignment: Any, scheduler: Scheduler) -> list[int]:
    if not isinstance(assignment, Rows | Copy):
        remedy = "return Wait() where it gives out nothing"
        raise refusal(assignment, scheduler, "answer with Rows([…]), Copy([…]), Fresh() or Wait()", remedy)
    try:
        return list(map(index, assignment.rows))
    except TypeError:
        raise refusal(assignment, scheduler, "give out numbers of rows, in a list", "write Rows([3, 4])") from None


def for_others(assignment: Rows | Copy | Wait, worker: int, view: RunView) -> Rows | Copy | Wait:
    """The same without rows of which this worker has told what they are; instead of none, one of which it has not.

    No scheduler knows of that: a row is seldom computed twice.
    """
    if not view.spoken or not isinstance(assignment, Rows | Copy):  # others are refused where they are looked at
        return assignment
    rows = [row for row in assignment.rows if view.may_tell(worker, row)]
    if rows:
        return type(assignment)(rows)
    others = (row for lane in view.waiting.values() for row in lane if view.may_tell(worker, row))
    row = next(others, None)
    return Wait() if row is None else Rows([row])


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
