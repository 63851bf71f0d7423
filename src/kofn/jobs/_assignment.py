"""What a scheduler, which may be a user's own, has given a worker: looked at before it is sent."""

from __future__ import annotations

from operator import index
from typing import Any

from .. import checks
from ..errors import ArgumentError
from ._view import RunView
from .scheduling import Copy, Rows, Scheduler, Wait


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
