"""Before a run ends, who has part of its answer says that he is there."""

from __future__ import annotations

import queue
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..._base._clock import Clock, RealClock
from ...arrays._remote import Ref
from ...engines._references import ReferencePool
from ...errors import ReferenceLost, WorkerError, WorkerLost
from ._pulse import Pulse

LOOK_SECONDS = 0.02
"""How often it is looked who is silent."""


def absent(
    pool: ReferencePool, pulse: Pulse, asked: Mapping[int, Sequence[Ref]], computing: Collection[int], patience: float
) -> list[int]:
    """Workers that do not say that they are there, and have these values.

    Parameters
    ----------
    pool : ReferencePool
    pulse : Pulse
        Who is silent is not waited for.
    asked : mapping
        By worker, what it should have.
    computing : collection of int
        Workers that compute a row of the run: they are only asked whether they are there. Where nobody can ask them,
        they are: results at workers that are late do not count then.
    patience : float
        Seconds that others have; a thread of theirs may be busy with what others want.
    """
    clock: Clock = getattr(pool, "clock", RealClock())
    answers: dict[int, Future[Any]] = {}
    gone: set[int] = set()
    for worker, refs in asked.items():
        try:
            if worker not in computing:
                answers[worker] = pool.submit(worker, say_nothing, *refs)
            elif pulse.can_ask:
                answers[worker] = pulse.begin(worker)
        except WorkerError:  # it is busy with another job, and so there; or dead
            gone |= {worker} if pool.state(worker) in ("dead", "starting") else set()
    _wait(answers, pulse, clock, patience)
    return sorted(gone | {worker for worker, answer in answers.items() if not _says_so(answer)})


def _says_so(answer: Future[Any]) -> bool:
    """Whether a worker is there and has what it should; what else it may complain of is an error of its own."""
    if not answer.done() or answer.cancelled():
        return False
    error = answer.exception()
    if error is not None and not isinstance(error, WorkerLost | ReferenceLost):
        raise error
    return error is None


def _wait(answers: Mapping[int, Future[Any]], pulse: Pulse, clock: Clock, patience: float) -> None:
    """Wait until each has answered, or is silent, or patience is at its end."""
    inbox: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    for answer in answers.values():
        answer.add_done_callback(inbox.put)
    until = clock.now() + patience
    while (now := clock.now()) < until:
        left = {worker for worker, answer in answers.items() if not answer.done()}
        if left <= pulse.silent():
            return
        pulse.ask(left)
        clock.wait(inbox, min(until - now, LOOK_SECONDS) if pulse.can_ask else until - now)


def say_nothing(*values: Any) -> None:
    """What a worker is asked to do to show that it is there, and that it has these values."""
